import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatSetJson } from '../../src/set/set-json.js';
import { readVector } from '../qcow2/vectors.js';
import { mapByNbdinfo } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { type Sketch, setOf } from '../support/sets.js';
import { describeWithQemu } from '../support/with-qemu.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-qcow2-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

/** A copy of an image of the vectors. */
function image(name: string): string {
  const path = at(`${name}.qcow2`);
  writeFileSync(path, readVector(`${name}.qcow2`));
  return path;
}

function setFile(...sketches: Sketch[]): string {
  writeFileSync(at('set.json'), formatSetJson(setOf(...sketches)));
  return at('set.json');
}

async function good(...args: string[]): Promise<CliResult> {
  const result = await runCli(...args);
  expect(result, args.join(' ')).toMatchObject({ code: 0 });
  return result;
}

async function infoOf(path: string): Promise<Record<string, never>> {
  return JSON.parse((await runCli('info', '--json', path)).stdout);
}

/** Name, trust and dirty bytes of each bitmap. */
async function bitmapsOf(path: string): Promise<string[]> {
  const { bitmaps } = (await infoOf(path)) as unknown as { bitmaps: { name: string; trust: string; count: number }[] };
  return bitmaps.map(({ name, trust, count }) => `${name} ${trust} ${count}`);
}

const DISK = 4 * 2 ** 20;

describe('info, map and check of images', () => {
  it('shows bitmaps with trust and flags, and no node', async () => {
    const info = await infoOf(image('enabled'));
    expect(info).toMatchObject({
      format: 'qcow2',
      qcow2: {
        version: 3,
        virtualSize: DISK,
        clusterSize: 65_536,
        encryption: 'none',
        backing: null,
        bitmapsValid: true,
      },
      bitmaps: [
        {
          node: null,
          name: 'b0',
          trust: 'enabled',
          flags: ['auto'],
          recording: true,
          persistent: true,
          count: 196_608,
        },
      ],
      findings: [],
    });
  });

  it('shows that the bits of a bitmap in use are not there, and does not map them', async () => {
    const path = image('in-use');
    expect(await bitmapsOf(path)).toEqual(['live in-use-orphaned null', 'off in-use-orphaned null']);
    expect((await runCli('info', path)).stdout).toContain('not known');
    const map = await runCli('map', path, '--bitmap', 'live');
    expect(map).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^dirtybitmap: bitmap-inconsistent/),
    });
    expect((await runCli('check', path)).stdout).toContain('qcow2-in-use-orphaned');
  });

  it('names rule and offset of a broken list, and what to run', async () => {
    const path = image('bad-duplicate-names');
    const before = readFileSync(path);
    for (const args of [
      ['info', path],
      ['map', path],
      ['convert', path, '-O', 'set', '-o', '-'],
    ]) {
      const { code, stderr } = await runCli(...args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^dirtybitmap: qcow2-name-twice at \d+: directory\[1\]\.name: .*drop-all/);
    }
    const { stdout } = await runCli('check', '--json', path);
    expect(JSON.parse(stdout).inputs[0].findings[0]).toMatchObject({ code: 'qcow2-name-twice', severity: 'error' });
    expect(readFileSync(path)).toEqual(before);
  });

  it('wants a file, from its beginning', async () => {
    expect(await runCli('info', '--format', 'qcow2', '--offset', '512', image('enabled'))).toMatchObject({ code: 2 });
  });
});

describe('convert and compare with images', () => {
  it('takes the file as name of the node, or --node', async () => {
    const path = image('enabled');
    await good('convert', path, '-O', 'set', '-o', at('a.json'));
    await good('convert', path, '-O', 'set', '-o', at('b.json'), '--node', 'disk0');
    const nodes = (name: string): unknown => JSON.parse(readFileSync(at(name), 'utf8')).nodes[0];
    expect(nodes('a.json')).toMatchObject({ node: 'enabled', size: DISK });
    expect(nodes('b.json')).toMatchObject({
      node: 'disk0',
      bitmaps: [{ name: 'b0', recording: true, persistent: true }],
    });
    expect((await runCli('convert', path, '-O', 'set', '-o', at('c'), '--node', 'a/b')).code).toBe(2);
  });

  it('leaves no bitmap behind without a word', async () => {
    const result = await runCli('convert', image('in-use'), '-O', 'set', '-o', at('out'));
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('"live" is in-use-orphaned') });
    expect(readdirSync(folder)).not.toContain('out');
  });

  it('compares an image with any input of one node', async () => {
    const path = image('enabled');
    await good('convert', path, '-O', 'capture', '-o', at('a.bin'), '--node', 'somewhere');
    await good('compare', path, at('a.bin'));
    await good('compare', at('a.bin'), path);
    const other = await runCli('compare', path, setFile({ node: 'x', name: 'b0', size: DISK, persistent: true }));
    expect(other).toMatchObject({ code: 1, stdout: expect.stringContaining('only in A') });
    expect((await runCli('compare', image('in-use'), path)).code).toBe(1);
  });
});

describeWithQemu('bitmaps into images and out again', () => {
  const check = (path: string): unknown =>
    JSON.parse(execFileSync('qemu-img', ['check', '--output=json', path], { encoding: 'utf8' }));

  it('a capture becomes a bitmap in an image and a capture again, in one command each way', async () => {
    const path = at('new.qcow2');
    execFileSync('qemu-img', ['create', '-f', 'qcow2', path, '64M'], { stdio: 'ignore' });
    const capture = join('vectors', 'captures', 'small-qcow2-persistent.bin');
    const { stdout } = await good('convert', capture, '-O', 'qcow2', '-o', path);
    expect(stdout).toContain('bitmap "b0" added: 3.19 MiB (3342336) dirty, records writes');
    await good('compare', capture, path);
    await good('convert', path, '-O', 'section', '-o', at('back'), '--node', 'disk0');
    await good('convert', capture, '-O', 'section', '-o', at('there'));
    expect(readFileSync(at('back'))).toEqual(readFileSync(at('there')));
    await good('map', path, '--json');
    expect(await mapByNbdinfo(folder, path, 'b0')).toEqual(JSON.parse((await good('map', path, '--json')).stdout));
    expect(check(path)).toMatchObject({ 'check-errors': 0 });
  });

  it('refuses disks of another size, several nodes, and names that are there', async () => {
    const path = image('enabled');
    const before = readFileSync(path);
    const refused = async (code: number, rule: string, ...sketches: Sketch[]): Promise<void> => {
      const result = await runCli('convert', setFile(...sketches), '-O', 'qcow2', '-o', path);
      expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(`^dirtybitmap: ${rule}`) });
    };
    await refused(1, 'size-differs', { name: 'new', size: 2 * DISK });
    await refused(1, 'size-differs', { name: 'new', size: null, covered: 2 * DISK });
    await refused(2, 'bitmap-not-found', { node: 'a', size: DISK }, { node: 'b', size: DISK });
    await refused(1, 'bitmap-exists', { size: DISK });
    expect(readFileSync(path)).toEqual(before);
    const set = setFile({ size: DISK, granularity: 512, dirty: [[512, 1024]] });
    expect((await good('convert', set, '-O', 'qcow2', '-o', path, '--force')).stdout).toContain('replaced');
    expect(await bitmapsOf(path)).toEqual(['b0 enabled 1024']);
  });

  it('does not make up what nobody told: --rest says what it is', async () => {
    const path = image('enabled');
    const put = (...more: string[]): Promise<CliResult> =>
      runCli('convert', at('part.json'), '-O', 'qcow2', '-o', path, '--force', ...more);
    const half = { size: null, covered: DISK / 2, granularity: 512, dirty: [[0, 512]] } satisfies Sketch;
    for (const sketch of [half, { ...half, size: DISK }, { size: null, dirty: [[0, 65_536]] } satisfies Sketch]) {
      writeFileSync(at('part.json'), formatSetJson(setOf(sketch)));
      expect(await put()).toMatchObject({ code: 1, stderr: expect.stringMatching('size-unknown.*--rest') });
      const merge = await runCli('bitmap', 'merge', path, 'b0', 'b0', '--from', at('part.json'));
      expect(merge).toMatchObject({ code: 1, stderr: expect.stringContaining('size-unknown') });
    }
    writeFileSync(at('part.json'), formatSetJson(setOf(half)));
    await good('convert', at('part.json'), '-O', 'qcow2', '-o', path, '--force', '--rest', 'clean');
    expect(await bitmapsOf(path)).toEqual(['b0 enabled 512']);
    await good('convert', at('part.json'), '-O', 'qcow2', '-o', path, '--force', '--rest', 'dirty');
    expect(await bitmapsOf(path)).toEqual([`b0 enabled ${DISK / 2 + 512}`]);
    expect((await runCli('convert', path, '-O', 'set', '-o', at('x'), '--rest', 'clean')).code).toBe(2);
  });

  it('a set made of a capture still knows where the disk ends', async () => {
    await good('convert', join('vectors', 'captures', 'small-qcow2-persistent.bin'), '-O', 'set', '-o', at('c.json'));
    execFileSync('qemu-img', ['create', '-f', 'qcow2', at('g.qcow2'), '1G'], { stdio: 'ignore' });
    const put = await runCli('convert', at('c.json'), '-O', 'qcow2', '-o', at('g.qcow2'), '--rest', 'clean');
    expect(put).toMatchObject({ code: 1, stderr: expect.stringContaining('size-differs') });
    execFileSync('qemu-img', ['create', '-f', 'qcow2', at('m.qcow2'), '64M'], { stdio: 'ignore' });
    await good('convert', at('c.json'), '-O', 'qcow2', '-o', at('m.qcow2'));
  });

  it('refuses undo where the guest writes to another file', async () => {
    const path = at('x.qcow2');
    const data = `data_file=${at('x.raw')}`;
    execFileSync('qemu-img', ['create', '-f', 'qcow2', '-o', data, path, '4M'], { stdio: 'ignore' });
    const refused = await runCli('bitmap', 'add', path, 'b', '--undo', at('undo'));
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('data are in another file') });
    await good('bitmap', 'add', path, 'b');
  });

  it('tells of void bitmaps that go, and of leaks', async () => {
    const stale = image('many');
    const bytes = readFileSync(stale);
    bytes[95] = 0;
    writeFileSync(stale, bytes);
    const names = (await bitmapsOf(stale)).length;
    const { stdout } = await good('bitmap', 'add', stale, 'new');
    expect(stdout).toContain(`${names} void bitmaps dropped; \`qemu-img check -r leaks\``);
    const damaged = image('bad-table-beyond-eof');
    const [name = ''] = (await bitmapsOf(damaged))[0]?.split(' ') ?? [];
    expect((await good('bitmap', 'remove', damaged, name)).stdout).toContain('left over');
  });

  it('gives up lists that hold numbers no list can, and kinds that QEMU does not open', async () => {
    for (const name of ['spec-extra-data', 'spec-flags-bit2', 'spec-granularity8', 'bad-autoclear-noext']) {
      const path = image(name);
      await good('bitmap', 'drop-all', path);
      execFileSync('qemu-img', ['info', path], { stdio: 'ignore' });
    }
    const huge = image('enabled');
    const bytes = readFileSync(huge);
    // The directory's offset, in the bitmaps extension of an image of QEMU's.
    bytes.writeBigUInt64BE(2n ** 60n, 512 + 16);
    writeFileSync(huge, bytes);
    expect((await runCli('info', huge)).stderr).toContain('u64-too-large');
    const told = JSON.parse((await good('bitmap', 'drop-all', huge, '--json')).stdout);
    expect(told).toMatchObject({ image: huge, changes: [expect.stringContaining('u64-too-large')] });
    execFileSync('qemu-img', ['info', huge], { stdio: 'ignore' });
  });

  it('every operation, as qemu-img sees it', async () => {
    const path = image('enabled');
    const change = async (...args: string[]): Promise<string> => (await good('bitmap', ...args)).stdout;
    expect(await change('add', path, 'new', '-g', '4k', '--disabled')).toContain('granularity 4 KiB, clean, disabled');
    expect(await change('add', path, 'full', '--all-dirty')).toContain('all dirty, records writes');
    expect(await bitmapsOf(path)).toEqual(['b0 enabled 196608', 'new disabled 0', `full enabled ${DISK}`]);
    await change('merge', path, 'new', 'b0');
    await change('enable', path, 'new');
    await change('disable', path, 'full');
    await change('rename', path, 'full', 'all');
    await change('clear', path, 'b0');
    expect(await bitmapsOf(path)).toEqual(['b0 enabled 0', 'new enabled 196608', `all disabled ${DISK}`]);
    const set = setFile({ node: 'x', name: 'other', size: DISK, dirty: [[DISK - 65_536, 65_536]] });
    await change('merge', path, 'b0', 'other', '--from', set);
    await change('remove', path, 'all');
    expect(await bitmapsOf(path)).toEqual(['b0 enabled 65536', 'new enabled 196608']);
    expect(check(path)).toMatchObject({ 'check-errors': 0 });
    expect(check(path)).not.toHaveProperty('leaks');
    const runs = (await mapByNbdinfo(folder, path, 'b0')) as { type: number }[];
    expect(runs.filter(({ type }) => type === 1)).toHaveLength(1);
    await change('drop-all', path);
    expect(await bitmapsOf(path)).toEqual([]);
    expect(check(path)).not.toHaveProperty('leaks');
  });

  it('says what it would do, and does nothing, with --dry-run', async () => {
    const path = image('enabled');
    const before = readFileSync(path);
    const { stdout } = await good('bitmap', 'remove', path, 'b0', '--dry-run');
    expect(stdout).toMatch(
      /removed \(it was enabled\) \(nothing was written\)\n +1 {2}switch {4}write 8 bytes at 88: /,
    );
    const plan = JSON.parse((await good('bitmap', 'remove', path, 'b0', '--dry-run', '--json')).stdout);
    expect(plan).toMatchObject({ dryRun: true, bitmaps: [], clusters: { taken: 0, freed: 3, leaked: 0 } });
    expect(plan.steps[0]).toEqual({ kind: 'write', phase: 'switch', offset: 88, length: 8, what: expect.any(String) });
    expect(readFileSync(path)).toEqual(before);
  });

  it('puts every byte back with undo, and refuses where something else was written', async () => {
    const path = image('enabled');
    const before = readFileSync(path);
    await good('bitmap', 'add', path, 'new', '--undo', at('undo'));
    await good('bitmap', 'undo', path, at('undo'));
    expect(readFileSync(path).subarray(0, before.length)).toEqual(before);
    expect(check(path)).not.toHaveProperty('leaks');
    expect((await runCli('bitmap', 'add', path, 'new', '--undo', at('undo'))).stderr).toContain('output-exists');
    await good('bitmap', 'add', path, 'new', '--undo', at('undo2'));
    await good('bitmap', 'remove', path, 'b0');
    expect(await runCli('bitmap', 'undo', path, at('undo2'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it cannot be undone'),
    });
  });

  it('gives up a broken list, resets a lost bitmap, and QEMU opens the image', async () => {
    const broken = image('bad-duplicate-names');
    expect((await good('bitmap', 'drop-all', broken)).stdout).toContain(
      'the list of bitmaps is broken (qcow2-name-twice)',
    );
    execFileSync('qemu-img', ['info', broken], { stdio: 'ignore' });
    const lost = image('in-use');
    expect(await runCli('bitmap', 'enable', lost, 'off')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('reset'),
    });
    await good('bitmap', 'reset', lost, 'live');
    await good('bitmap', 'remove', lost, 'off');
    expect(await bitmapsOf(lost)).toEqual([`live enabled ${2 ** 20}`]);
    expect(await mapByNbdinfo(folder, lost, 'live')).toEqual([
      { offset: 0, length: 2 ** 20, type: 1, description: 'dirty' },
    ]);
  });

  it.each([
    ['v2', 'qcow2-not-writable'],
    ['dirty-bit', 'qcow2-not-writable'],
    ['ok-corrupt-bit', 'qcow2-not-writable'],
    ['zero-size', 'qcow2-not-writable'],
    ['spec-flags-bit2', 'qcow2-bitmap-unsupported'],
    ['bad-entry-overlaps-l1', 'qcow2-cluster-referenced'],
    ['bad-table-beyond-eof', 'qcow2-table-outside'],
    ['bad-unknown-incompatible', 'qcow2-incompatible-unknown'],
  ])('does not write %s: %s', async (name, rule) => {
    const path = image(name);
    const before = readFileSync(path);
    expect(await runCli('bitmap', 'add', path, 'another')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining(`dirtybitmap: ${rule}`),
    });
    expect(readFileSync(path)).toEqual(before);
  });
});
