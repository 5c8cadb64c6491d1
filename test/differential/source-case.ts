import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { granulesIn } from '../../src/bitmap/granularity.js';
import { bitmapSha256 } from '../../src/bitmap/sha256.js';
import type { Name } from '../../src/bytes/text.js';
import { encodeSection } from '../../src/capture/capture-encoder.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import type { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { sectionBytes } from '../support/reencode.js';
import { collect } from '../support/sets.js';
import type { Dice } from './dice.js';
import type { Outcome } from './outcome.js';
import { differences, type Shown, shownByGraph, shownByQemu } from './shown.js';
import { type QemuProgram, VirtualMachine } from './virtual-machine.js';
import { graphOf, randomWorld, type WorldNode } from './world.js';

const BOUNDS = { nodes: 3, bitmaps: 4, granules: 2 ** 17 };
const MIB = 1024 * 1024;
/** Cases that one QEMU serves. */
const CASES_PER_MACHINE = 50;

type Driver = 'null-co' | 'raw' | 'qcow2';

interface SourceNode extends WorldNode {
  readonly driver: Driver;
}

/** A QEMU in which bitmaps are made and from which they are captured; it serves many cases. */
export class SourceMachine {
  readonly #program: QemuProgram;
  readonly #folder: string;
  #machine: VirtualMachine | undefined;
  #cases = 0;

  constructor(program: QemuProgram, folder: string) {
    this.#program = program;
    this.#folder = folder;
  }

  async stop(): Promise<void> {
    await this.#machine?.stop();
    this.#machine = undefined;
  }

  /** Bitmaps made in QEMU: what we read from its stream must be what it shows, and what we send what it sent. */
  async run(dice: Dice): Promise<Outcome> {
    const world = randomWorld(dice, BOUNDS).map((node) => asSource(dice, node));
    const wrapped = world.some(({ size, bitmaps }) => bitmaps.some(({ granularity }) => loops(size, granularity)));
    if (wrapped)
      return { kind: 'exception', name: 'QEMU loops for ever: granularity of 256 MiB or more on 2 TiB or more' };
    try {
      const outcome = await this.#compare(dice, world);
      if (++this.#cases % CASES_PER_MACHINE === 0) await this.stop();
      return outcome;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #compare(dice: Dice, world: readonly SourceNode[]): Promise<Outcome> {
    const machine = await this.#ready();
    const graph = await this.#make(machine, dice, world);
    const before = await shownByQemu(machine);
    const problems = differences(shownByGraph(graph), before).map((text) => `our block graph: ${text}`);
    const stream = await this.#capture(machine);
    problems.push(...compareStream(stream, world, before, graph));
    await this.#cleanUp(machine, world);
    return problems.length === 0 ? { kind: 'agree', verdict: 'identical' } : { kind: 'differ', problems };
  }

  async #capture(machine: VirtualMachine): Promise<Buffer> {
    const file = join(this.#folder, 'capture.bin');
    rmSync(file, { force: true });
    // QEMU says that it is done before the last bytes are in the file, so this gets its name after that.
    const end = await machine.migrate('migrate', `exec:cat > ${file}.part && mv ${file}.part ${file}`);
    if (end !== 'completed') throw new Error(`the migration is ${end}: ${machine.stderr}`);
    for (let times = 0; !existsSync(file); times++) {
      if (times > 4000) throw new Error('the capture does not come to its end');
      await sleep(5);
    }
    return readFileSync(file);
  }

  async #ready(): Promise<VirtualMachine> {
    if (this.#machine !== undefined) return this.#machine;
    const machine = await VirtualMachine.start(this.#program, [], this.#folder);
    this.#machine = machine;
    await machine.prepareMigration();
    // It ends at the first chance, however much there is to send.
    await machine.execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 30, 'downtime-limit': 2_000_000 });
    return machine;
  }

  /** Makes nodes and bitmaps, writes, and does the same in a block graph of ours. */
  async #make(machine: VirtualMachine, dice: Dice, world: readonly SourceNode[]): Promise<MemoryGraph> {
    const graph = graphOf(world.map((node) => ({ ...node, bitmaps: [] })));
    for (const node of world) await this.#addNode(machine, node);
    for (const { name: node, bitmaps } of world) {
      for (const { dirty: _dirty, recording, ...add } of bitmaps) {
        await machine.execute('block-dirty-bitmap-add', { node, ...add, disabled: !recording });
        graph.find(node)?.create({ ...add, recording });
      }
    }
    for (let steps = dice.below(20); steps > 0; steps--) await step(machine, dice, dice.pick(world), graph);
    return graph;
  }

  async #addNode(machine: VirtualMachine, { name, device, size, driver }: SourceNode): Promise<void> {
    const filename = join(this.#folder, `${name}.img`);
    if (driver === 'raw') {
      writeFileSync(filename, '');
      truncateSync(filename, size);
    } else if (driver === 'qcow2') {
      const made = spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', filename, String(size)], { timeout: 10_000 });
      if (made.status !== 0) throw new Error(`qemu-img: ${made.stderr}`);
    }
    if (device === undefined) {
      const below = driver === 'null-co' ? { size } : { file: { driver: 'file', filename } };
      await machine.execute('blockdev-add', { driver, 'node-name': name, ...below });
      return;
    }
    const below = driver === 'null-co' ? `size=${size}` : `file.driver=file,file.filename=${filename}`;
    await monitor(machine, `drive_add 0 if=none,id=${device},node-name=${name},driver=${driver},${below}`);
  }

  /** Makes room for the next case: the guest goes on here, as after a migration that was only for a backup. */
  async #cleanUp(machine: VirtualMachine, world: readonly SourceNode[]): Promise<void> {
    await machine.execute('cont');
    await machine.execute('stop');
    for (const { name, device } of world) {
      if (device === undefined) await machine.execute('blockdev-del', { 'node-name': name });
      else await monitor(machine, `drive_del ${device}`);
      rmSync(join(this.#folder, `${name}.img`), { force: true });
    }
  }
}

/** A node as it can be made: images only of sizes that a file can have here. */
function asSource(dice: Dice, node: WorldNode): SourceNode {
  const { size } = node;
  const driver = size > 0 && size < 1024 * MIB ? dice.pick(['null-co', 'raw', 'qcow2'] as const) : 'null-co';
  const rounded = driver === 'qcow2' ? Math.ceil(size / 512) * 512 : size;
  const bitmaps = node.bitmaps.map((bitmap) => ({
    ...bitmap,
    persistent: bitmap.persistent && driver === 'qcow2',
    // That QEMU loops needs not be seen in every other case.
    granularity: loops(size, bitmap.granularity) && dice.chance(95) ? 128 * MIB : bitmap.granularity,
  }));
  return { ...node, size: rounded, driver, bitmaps };
}

/** Whether the length of a chunk, in sectors, is more than its field holds. */
function loops(size: number, granularity: number): boolean {
  return Math.min(Math.ceil(size / 512), 16 * granularity) >= 2 ** 32;
}

/** A write, or something done to a bitmap. */
async function step(machine: VirtualMachine, dice: Dice, world: SourceNode, graph: MemoryGraph): Promise<void> {
  const node = graph.find(world.name);
  if (node === undefined || world.size === 0) return;
  if (dice.chance(75)) {
    const offset = dice.chance(10) ? world.size - 1 : dice.between(0, world.size - 1);
    const length = Math.max(1, dice.spread(Math.min(world.size - offset, 64 * MIB)));
    const large = length > MIB ? '-z ' : '';
    await monitor(machine, `qemu-io ${world.name} "write ${large}${offset} ${length}"`);
    node.recordWrite(offset, length);
    return;
  }
  const bitmap = dice.pick(node.bitmaps);
  const where = { node: world.name, name: bitmap.name?.text ?? '' };
  const what = dice.pick(['enable', 'disable', 'clear', 'merge'] as const);
  if (what === 'merge') {
    const from = dice.pick(node.bitmaps);
    await machine.execute('block-dirty-bitmap-merge', {
      ...{ node: where.node, target: where.name, bitmaps: [from.name?.text ?? ''] },
    });
    bitmap.merge(from);
  } else {
    await machine.execute(`block-dirty-bitmap-${what}`, where);
    bitmap[what]();
  }
}

/** What our reader makes of a stream, against what QEMU showed; and what we send of that, and of our own bitmaps. */
function compareStream(
  stream: Buffer,
  world: readonly WorldNode[],
  before: readonly Shown[],
  graph: MemoryGraph,
): string[] {
  const reader = new CaptureReader({ total: stream.length });
  reader.push(stream);
  reader.finish();
  const placeOf = (node: Name): WorldNode | undefined => world.find((one) => (one.device ?? one.name) === node.text);
  const read = reader.bitmaps.map(({ node, name, granularity, recording, persistent, bits }): Shown => {
    const place = placeOf(node);
    const sha256 = bitmapSha256(bits, granulesIn(place?.size ?? 0, granularity));
    const flags = { recording, busy: false, persistent };
    return { node: place?.name ?? node.text, name: name.text, granularity, ...flags, count: bits.count(), sha256 };
  });
  const problems = differences(read, before).map((text) => `our reader: ${text}`);
  problems.push(...reader.findings.list.map(({ code, message }) => `finding ${code}: ${message}`));
  const source = new Source(graph);
  source.setup();
  const start = Buffer.from(sectionBytes(source));
  source.complete();
  const end = Buffer.from(sectionBytes(source));
  if (!stream.includes(start)) problems.push("our block graph's START section is not in QEMU's stream");
  if (!stream.includes(end)) problems.push("our block graph's END section is not in QEMU's stream");
  const sized = { nodes: reader.set.nodes.map((node) => ({ ...node, size: placeOf(node.node)?.size })) };
  const again = collect(encodeSection(sized));
  if (!Buffer.concat([start, end]).equals(again)) problems.push('what was read is not encoded as QEMU did');
  return problems;
}

/** A command of the human monitor, whose errors are only text. */
async function monitor(machine: VirtualMachine, line: string): Promise<void> {
  machine.said = [];
  const answer = await machine.execute<string>('human-monitor-command', { 'command-line': line });
  const said = [answer, ...machine.said].join('\n');
  if (/error|failed|invalid|cannot|not found/i.test(said)) throw new Error(`${line}: ${said}`);
}
