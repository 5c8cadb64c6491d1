// npm run remake-vectors -- DIR [CASE...] [--qemu PATH] [--qemu-img PATH]: makes captures anew with the QEMU at hand, each in DIR/CASE/ with
// stream.bin and truth.json (`npm run captures -- DIR` checks them), and holds their chunks against those of the vectors.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { encodeTraceItem } from '../src/capture/trace.js';
import { listVectors, readStream, traceOf } from '../test/support/vectors.js';
import { CASES, type Case, type Node } from './remake/cases.js';
import { type Ended, Qemu } from './remake/qemu.js';
import { expectedBitmaps, querySource } from './remake/truth.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    qemu: { type: 'string', default: 'qemu-system-x86_64' },
    'qemu-img': { type: 'string', default: 'qemu-img' },
  },
});
const [root, ...names] = positionals;
const unknown = names.filter((name) => !CASES.some((one) => one.name === name));
if (root === undefined || unknown.length > 0) {
  console.error(`usage: npm run remake-vectors -- DIR [CASE...]   (cases: ${CASES.map((one) => one.name).join(' ')})`);
  process.exit(2);
}
const version = versionOf(values.qemu);
if (version === undefined || versionOf(values['qemu-img']) === undefined) {
  console.error(`${values.qemu} and ${values['qemu-img']} are needed: apt-get install qemu-system-x86 qemu-utils`);
  process.exit(2);
}

let failed = 0;
for (const made of CASES.filter((one) => names.length === 0 || names.includes(one.name))) {
  try {
    const { same, text } = compare(made, await remake(made, resolve(root, made.name)));
    if (!same) failed++;
    console.log(`${made.name}: ${text}`);
  } catch (error) {
    failed++;
    console.log(`${made.name}: FAILED: ${(error as Error).message}`);
  }
}
process.exitCode = failed > 0 ? 1 : 0;

function versionOf(program: string): string | undefined {
  return spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0];
}

async function remake(made: Case, target: string): Promise<Uint8Array> {
  const work = mkdtempSync(join(tmpdir(), 'dirtybitmap-remake-'));
  const stream = join(work, 'stream.bin');
  try {
    // One `hlt` where the processor starts: enough of a BIOS, and nobody else's.
    writeFileSync(join(work, 'hlt.bin'), Buffer.alloc(64 * 1024).fill(0xf4, 0xfff0, 0xfff1));
    const machine = made.machine ?? ['-machine', 'none'];
    const args = [...made.nodes.flatMap((node) => nodeArgs(node, work)), ...(made.args ?? [])];
    const qemu = await Qemu.start(values.qemu, [...machine, ...args, ...(made.running ? [] : ['-S'])], work);
    let before: Awaited<ReturnType<typeof querySource>>;
    let status: string;
    let end: Ended | undefined;
    try {
      await prepare(qemu, made);
      before = await querySource(qemu);
      status = await migrate(qemu, made, stream);
    } finally {
      end = await qemu.quit();
    }
    if (status !== (made.status ?? 'completed')) throw new Error(`the migration is ${status}: ${end.stderr}`);
    const bytes = readFileSync(stream);
    const { exit, stderr } = end;
    const truth = {
      ...{ case: made.name, doc: made.doc, qemu: version, machine: machine.join(' ') },
      ...{ mode: made.mode ?? 'precopy', source_paused: made.running !== true },
      ...{ capabilities: capabilitiesOf(made), parameters: parametersOf(made), qemu_args: args },
      ...{ source_before: before, migration: { status }, source_end: { exit }, source_stderr: stderr },
      ...{ stream_bytes: bytes.length, stream_sha256: createHash('sha256').update(bytes).digest('hex') },
      expect_stream: {
        truncated: status !== 'completed',
        bitmaps: status === 'failed' ? [] : expectedBitmaps(made, before),
      },
    };
    mkdirSync(target, { recursive: true });
    writeFileSync(join(target, 'stream.bin'), bytes);
    writeFileSync(join(target, 'truth.json'), `${JSON.stringify(truth, null, 1)}\n`);
    return bytes;
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The arguments for a node; where it needs an image, that is made. */
function nodeArgs({ name, driver, size }: Node, work: string): string[] {
  if (driver === 'null-co')
    return ['-blockdev', JSON.stringify({ driver, 'node-name': name, size, 'read-zeroes': true })];
  const filename = `${name}.${driver}`;
  const image = spawnSync(values['qemu-img'], ['create', '-q', '-f', driver, filename, String(size)], { cwd: work });
  if (image.status !== 0) throw new Error(`qemu-img: ${image.stderr}`);
  return ['-blockdev', JSON.stringify({ driver, 'node-name': name, file: { driver: 'file', filename } })];
}

/** Makes the bitmaps, and writes through qemu-io. */
async function prepare(qemu: Qemu, made: Case): Promise<void> {
  for (const step of made.steps) {
    if (step.do === 'add') {
      const { node, name, granularity, persistent } = step;
      await qemu.execute('block-dirty-bitmap-add', { node, name, granularity, persistent });
    } else if (step.do === 'disable') {
      await qemu.execute('block-dirty-bitmap-disable', { node: step.node, name: step.name });
    } else {
      const line = `qemu-io ${step.node} "write ${step.offset} ${step.length}"`;
      const said = await qemu.execute<string>('human-monitor-command', { 'command-line': line });
      if (/error|failed|invalid/i.test(said)) throw new Error(`${line}: ${said}`);
    }
  }
}

function capabilitiesOf(made: Case): readonly string[] {
  return ['dirty-bitmaps', ...(made.capabilities ?? [])];
}

/** Slow enough to iterate; precopy ends at the first chance, what is to be interrupted never does. */
function parametersOf(made: Case): Readonly<Record<string, unknown>> {
  return {
    'max-bandwidth': made.machine === undefined ? 5_000 : 100_000,
    'downtime-limit': made.mode === undefined ? 2_000_000 : 1,
    ...(made.mapping && { 'block-bitmap-mapping': made.mapping }),
  };
}

/** Migrates into a file, and says how that ended. */
async function migrate(qemu: Qemu, made: Case, file: string): Promise<string> {
  const capabilities = capabilitiesOf(made).map((capability) => ({ capability, state: true }));
  await qemu.execute('migrate-set-capabilities', { capabilities });
  await qemu.execute('migrate-set-parameters', parametersOf(made));
  await qemu.execute('migrate', { uri: `exec:cat > ${file}` });
  let interrupted = false;
  for (let times = 0; times < 3000; times++) {
    const { status } = await qemu.execute<{ readonly status: string }>('query-migrate');
    if (['completed', 'cancelled', 'failed'].includes(status)) return status;
    if (status === 'active' && !interrupted && made.mode !== undefined) {
      interrupted = true;
      if (made.mode === 'cancel') await sleep(300);
      await qemu.execute(made.mode === 'cancel' ? 'migrate_cancel' : 'migrate-start-postcopy');
    }
    await sleep(20);
  }
  throw new Error('the migration does not end');
}

/** Holds a stream against the vector. How often QEMU iterates is a matter of time, so idle chunks do not count. */
function compare(made: Case, stream: Uint8Array): { readonly same: boolean; readonly text: string } {
  const id = `${made.folder ?? 'captures'}/${made.name}`;
  const vector = listVectors().find((one) => one.id === id);
  if (vector === undefined) throw new Error(`there is no vector ${id}`);
  const shipped = readStream(vector);
  if (Buffer.compare(stream, shipped) === 0) return { same: true, text: `byte for byte vectors/${id}` };
  const same = chunksOf(stream) === chunksOf(shipped);
  return { same, text: `${stream.length} bytes; its chunks ${same ? 'are' : 'DIFFER from'} those of vectors/${id}` };
}

function chunksOf(stream: Uint8Array): string {
  return traceOf(stream)
    .filter((item) => item.type === 'chunk' && item.kind !== 'bare')
    .map((item) => Buffer.from(encodeTraceItem(item)).toString('hex'))
    .join('\n');
}
