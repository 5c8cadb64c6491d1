import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { MigrationOutlook } from '../../src/qmp/migration-outlook.js';
import { type Migration, MigrationPair, nullDisk, type PairOptions } from '../support/migration-pair.js';
import { bitmapsOf } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { describeWithQemu } from '../support/with-qemu.js';

let pair: MigrationPair | undefined;
afterEach(async () => {
  await pair?.quit();
  pair = undefined;
});

const start = async (options: PairOptions): Promise<MigrationPair> => {
  pair = await MigrationPair.start(options);
  return pair;
};
const watch = async (of: MigrationPair, ...more: string[]): Promise<CliResult> =>
  await runCli('watch', ...of.arguments, ...more);
const check = async (of: MigrationPair): Promise<MigrationOutlook> =>
  JSON.parse((await watch(of, '--check', '--json')).stdout) as MigrationOutlook;

describe('watch, used wrongly', () => {
  it.each([
    [[], 2],
    [['--qmp', '/nowhere', '--verify'], 2],
    [['--qmp', '/nowhere', '--dst-qmp', '/nowhere', '--verify', '--check'], 2],
    [['--qmp', '/nowhere', '--interval', '0'], 2],
    [['--qmp', '/nowhere', '--check'], 3],
  ])('%j: exit code %i', async (args, code) => {
    expect((await runCli('watch', ...args)).code).toBe(code);
  });
});

describeWithQemu('a migration between two real QEMUs', () => {
  const GIB = 2 ** 30;
  const NONE = ['-machine', 'none'];
  const HUGE = { source: [nullDisk('disk0', 256 * GIB)] };
  const completed = ({ status }: Migration): boolean => status === 'completed';
  const failed = ({ status }: Migration): boolean => status === 'failed';
  /** It turns in circles: nothing but the bitmap can be what it waits for. */
  const hangs = ({ status, ram }: Migration): boolean =>
    status === 'active' && (ram?.['dirty-sync-count'] ?? 0) > 10_000;

  describe('an empty bitmap on 256 GiB, default settings', () => {
    it('is predicted to stall, and does', async () => {
      const both = await start(HUGE);
      await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
      const { code, stdout } = await watch(both, '--check');
      expect(code).toBe(1);
      expect(stdout).toContain('STALL (likely): 4194304 granules');
      await both.migrate();
      await both.until(hangs);
      const during = await watch(both, '--check');
      expect([during.code, during.stdout]).toEqual([1, expect.stringContaining('STALL (certain)')]);
    });

    it('is cured by downtime-limit set late, as printed then', async () => {
      const both = await start(HUGE);
      await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
      await both.migrate();
      await both.until(hangs);
      const cure = (await check(both)).stall.cures.find(({ kind }) => kind === 'downtime-limit');
      expect(cure?.when).toBe('running');
      for (const { execute, arguments: args } of cure?.commands ?? []) await both.source.execute(execute, args);
      await both.until(completed);
    });

    it.each(['postcopy', 'downtime-limit', 'granularity'] as const)('is cured by %s, as printed', async (kind) => {
      const both = await start(HUGE);
      await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
      const { stall } = await check(both);
      const cure = stall.cures.find((one) => one.kind === kind);
      const apply = async (): Promise<void> => {
        for (const { execute, arguments: args } of cure?.commands ?? []) await both.source.execute(execute, args);
      };
      expect(cure?.commands.length).toBeGreaterThan(0);
      if (cure?.when === 'before') {
        await apply();
        expect((await check(both)).stall.verdict).toBe('no');
        await both.migrate();
      } else {
        await both.migrate();
        await both.until(hangs);
        await apply();
      }
      await both.until(completed);
      await both.arrived();
      expect(await watch(both, '--verify')).toMatchObject({ code: 0 });
    });
  });

  it('a bitmap made coarser keeps its writes, and what it was', async () => {
    const both = await start({ machine: NONE, ...HUGE });
    const { source } = both;
    await source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0', disabled: true });
    await source.execute('block-dirty-bitmap-enable', { node: 'disk0', name: 'b0' });
    await source.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 5G 4096"' });
    await source.execute('block-dirty-bitmap-disable', { node: 'disk0', name: 'b0' });
    const cure = (await check(both)).stall.cures.find(({ kind }) => kind === 'granularity');
    for (const { execute, arguments: args } of cure?.commands ?? []) await source.execute(execute, args);
    const granularity = 2 ** 19;
    expect(await bitmapsOf(source)).toMatchObject([{ name: 'b0', granularity, count: granularity, recording: false }]);
  });

  it('silent loss: a node that is missing, an alias that is not mapped', async () => {
    const nodes = ['disk0', 'disk1'].map((node) => nullDisk(node, GIB));
    const both = await start({ machine: NONE, source: nodes, destination: nodes.slice(0, 1) });
    for (const node of ['disk0', 'disk1']) await both.source.execute('block-dirty-bitmap-add', { node, name: 'b0' });
    const { bitmaps } = await check(both);
    expect(bitmaps).toMatchObject([
      { node: 'disk0', verdict: 'lost', code: 'bitmaps-cancelled' },
      { node: 'disk1', verdict: 'lost', code: 'node-not-found' },
    ]);
    await both.destination.execute('migrate-set-parameters', {
      'block-bitmap-mapping': [{ 'node-name': 'disk0', alias: 'disk0', bitmaps: [{ name: 'b0', alias: 'other' }] }],
    });
    expect((await check(both)).bitmaps).toMatchObject([{ code: 'alias-unknown' }, { code: 'alias-unknown' }]);
    await both.migrate();
    await both.until(completed);
    await both.arrived();
    const { code, stdout } = await watch(both, '--verify');
    expect([code, stdout.split('\n')]).toMatchObject([
      1,
      [
        'LOST      disk0/b0',
        expect.stringContaining(
          'alias-unknown: silently lost: at the destination the mapping has no bitmap alias "b0"',
        ),
        'LOST      disk1/b0',
        expect.stringContaining('alias-unknown: silently lost'),
        'not as it was: 2 of 2 bitmaps',
        '',
      ],
    ]);
    expect(await bitmapsOf(both.destination)).toEqual([]);
  });

  it('blocked: a bitmap of that name is there already', async () => {
    const both = await start({ machine: NONE, source: [nullDisk('disk0', GIB)] });
    for (const qemu of [both.source, both.destination]) {
      await qemu.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    }
    expect((await check(both)).bitmaps).toMatchObject([{ verdict: 'blocked', code: 'bitmap-exists' }]);
  });

  it('blocked: inconsistent, read-only, on a node that QEMU has named; and the migration fails', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-watch-'));
    const qcow2 = (node: string, image: string, readOnly: boolean): object => {
      const filename = join(folder, `${node}.qcow2`);
      const bytes = readFileSync(`vectors/qcow2/images/${image}`);
      writeFileSync(filename, image.endsWith('.gz') ? gunzipSync(bytes) : bytes);
      return { driver: 'qcow2', 'node-name': node, 'read-only': readOnly, file: { driver: 'file', filename } };
    };
    try {
      const raw = { driver: 'raw', 'node-name': 'top', file: { driver: 'null-co', size: GIB, 'read-zeroes': true } };
      const source = [qcow2('void', 'in-use.qcow2', false), qcow2('frozen', 'enabled.qcow2.gz', true), raw];
      const both = await start({ machine: NONE, source, destination: [] });
      type Shown = { readonly 'node-name': string; readonly drv: string };
      const nodes = await both.source.execute<Shown[]>('query-named-block-nodes', { flat: true });
      const node = nodes.find(({ drv }) => drv === 'null-co')?.['node-name'] ?? '';
      await both.source.execute('block-dirty-bitmap-add', { node, name: 'b0' });
      const { code, stdout } = await runCli('watch', '--qmp', join(both.folder, 'src.qmp'), '--check', '--json');
      const { bitmaps } = JSON.parse(stdout) as MigrationOutlook;
      const codes = bitmaps.map((bitmap) => `${bitmap.node[0]} ${bitmap.verdict} ${bitmap.code}`);
      expect([code, [...new Set(codes)].sort()]).toEqual([
        1,
        ['# blocked node-unnamed', 'f blocked bitmap-readonly', 'v blocked bitmap-inconsistent'],
      ]);
      await both.migrate();
      await both.until(failed);
      // The destination has ended with the stream.
      expect((await watch(both, '--verify')).code).toBe(3);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('goes by the names of drives, and by a mapping that leaves all out', async () => {
    const both = await start({ machine: [...NONE, '-drive', `if=none,id=d0,driver=null-co,size=${GIB}`], source: [] });
    const [node] = await both.source.execute<{ 'node-name': string }[]>('query-named-block-nodes', { flat: true });
    await both.source.execute('block-dirty-bitmap-add', { node: node?.['node-name'], name: 'b0' });
    const { bitmaps, ok } = await check(both);
    expect([ok, bitmaps]).toMatchObject([true, [{ nodeAlias: 'd0', alias: 'b0', verdict: 'fine' }]]);
    await both.source.execute('migrate-set-parameters', { 'block-bitmap-mapping': [] });
    expect((await check(both)).bitmaps).toMatchObject([{ verdict: 'left-out', code: 'node-not-mapped' }]);
  });

  it('persistent bitmaps of an image arrive; what is changed there is told', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-watch-'));
    const image = (side: string): object => {
      const filename = join(folder, `${side}.qcow2`);
      execFileSync('qemu-img', ['create', '-f', 'qcow2', filename, '1G'], { stdio: 'ignore' });
      return { driver: 'qcow2', 'node-name': 'disk0', file: { driver: 'file', filename } };
    };
    try {
      const both = await start({ machine: NONE, source: [image('src')], destination: [image('dst')] });
      const { source, destination } = both;
      await source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0', persistent: true });
      await source.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 0 4096"' });
      await source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'off', disabled: true });
      expect((await check(both)).ok).toBe(true);
      await both.migrate();
      await both.until(completed);
      await both.arrived();
      const { code, stdout } = await watch(both, '--verify');
      expect([code, stdout.split('\n')]).toEqual([
        0,
        [
          'arrived   disk0/off: 0 B dirty',
          'arrived   disk0/b0: 64 KiB dirty',
          expect.stringMatching(/^info migration-not-proven: disk0\/off: there, but/),
          'verified: 2 bitmaps arrived',
          '',
        ],
      ]);
      await destination.execute('block-dirty-bitmap-clear', { node: 'disk0', name: 'b0' });
      await destination.execute('block-dirty-bitmap-enable', { node: 'disk0', name: 'off' });
      const changed = await watch(both, '--verify');
      expect([changed.code, changed.stdout.split('\n')]).toEqual([
        1,
        [
          'DIFFERS   disk0/off',
          '          migration-bitmap-differs: recording is true, was false',
          'DIFFERS   disk0/b0',
          '          migration-bitmap-differs: 0 dirty bytes, were 65536',
          'not as it was: 2 of 2 bitmaps',
          '',
        ],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('without the capability at the source: nothing migrates, and that is said', async () => {
    const both = await start({ machine: NONE, source: [nullDisk('disk0', GIB)] });
    await both.source.execute('migrate-set-capabilities', {
      capabilities: [{ capability: 'dirty-bitmaps', state: false }],
    });
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    const before = await check(both);
    expect([before.ok, before.bitmaps]).toMatchObject([false, [{ verdict: 'left-out', code: 'migration-capability' }]]);
    await both.migrate();
    await both.until(completed);
    await both.arrived();
    const { code, stdout } = await watch(both, '--verify');
    expect([code, stdout]).toEqual([1, expect.stringContaining('on only at the destination')]);
  });

  it('follows a migration that stalls, until it is cured, and verifies', async () => {
    const both = await start(HUGE);
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    const followed = watch(both, '--interval', '0.05');
    await both.migrate();
    await both.until(hangs);
    await both.source.execute('migrate-start-postcopy');
    const { code, stdout, stderr } = await followed;
    expect([code, stderr]).toEqual([0, '']);
    for (const line of ['STALL (likely)', 'migration completed\n', 'verified: 1 bitmap arrived\n']) {
      expect(stdout).toContain(line);
    }
  });

  it('an earlier migration is not the one that is judged, or followed: its guest runs on', async () => {
    const both = await start(HUGE);
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    await both.source.execute('migrate-set-parameters', { 'downtime-limit': 200_000 });
    await both.source.execute('migrate', { uri: 'exec:cat >/dev/null' });
    await both.until(completed);
    await both.source.execute('cont');
    await both.source.execute('migrate-set-parameters', { 'downtime-limit': 300 });
    const { code, stdout } = await watch(both, '--check');
    expect([code, stdout]).toEqual([1, expect.stringMatching(/migration-tried-before.*STALL \(likely\)/s)]);
    expect((await watch(both, '--verify')).stdout).toContain('an earlier one');
    const followed = watch(both, '--interval', '0.05', '--json');
    // Above the best case: it cannot end by itself.
    await both.source.execute('migrate-set-parameters', { 'downtime-limit': 1 });
    await both.migrate();
    await both.until(hangs);
    await both.source.execute('migrate-start-postcopy');
    expect(JSON.parse((await followed).stdout)).toMatchObject({
      ...{ status: 'completed', ok: true },
      verification: { bitmaps: [{ verdict: 'arrived' }] },
    });
  });

  it('a destination that does not wait; an alias that no destination can read', async () => {
    const both = await start({ machine: NONE, source: [nullDisk('disk0', GIB)] });
    const [, source, , destination] = both.arguments as [string, string, string, string];
    const swapped = await runCli('watch', '--qmp', destination, '--dst-qmp', source, '--check');
    expect([swapped.code, swapped.stdout]).toEqual([1, expect.stringContaining('error migration-not-waiting')]);
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    await both.source.execute('migrate-set-parameters', {
      'block-bitmap-mapping': [{ 'node-name': 'disk0', alias: 'disk0', bitmaps: [{ name: 'b0', alias: '' }] }],
    });
    expect((await check(both)).bitmaps).toMatchObject([{ verdict: 'blocked', code: 'name-empty' }]);
    await both.migrate();
    const asked = async (): Promise<boolean> => {
      const answer = both.destination.execute('query-status');
      return await answer.then(
        () => true,
        () => false,
      );
    };
    await expect.poll(asked, { timeout: 20_000 }).toBe(false);
    expect((await both.destination.quit()).stderr).toContain('Unable to read bitmap alias string');
  });

  it('follows one that is cancelled', async () => {
    const both = await start(HUGE);
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    await both.migrate();
    const followed = watch(both, '--interval', '0.05', '--json');
    await both.until(hangs);
    await both.source.execute('migrate_cancel');
    const { code, stdout } = await followed;
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { status: 'cancelled', ok: false, outlook: { ok: false } }]);
  });
});
