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
  const hangs = ({ status, ram }: Migration): boolean => status === 'active' && (ram?.['dirty-sync-count'] ?? 0) > 2000;

  describe('an empty bitmap on 256 GiB, default settings', () => {
    it('is predicted to stall, and does', async () => {
      const both = await start(HUGE);
      await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
      const { code, stdout } = await watch(both, '--check');
      expect(code).toBe(1);
      expect(stdout).toContain('STALL (likely): 4194304 granules');
      await both.migrate();
      await both.until(hangs);
      const { stall } = await check(both).catch(() => ({ stall: undefined }));
      // The destination is busy reading, and may not answer.
      if (stall !== undefined) expect(stall).toMatchObject({ verdict: 'certain' });
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
      { node: 'disk0', verdict: 'fine' },
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
        'LOST       disk0/b0',
        expect.stringContaining('alias-unknown: silently lost: at the destination the mapping has no bitmap alias "b0"'),
        'LOST       disk1/b0',
        expect.stringContaining('alias-unknown: silently lost'),
        'not as it was: 2 of 2 bitmaps',
        '',
      ],
    ]);
    expect(await bitmapsOf(both.destination)).toEqual([]);
  });

  it('blocked: a bitmap of that name is there already, and QEMU fails', async () => {
    const both = await start({ machine: NONE, source: [nullDisk('disk0', GIB)] });
    for (const qemu of [both.source, both.destination]) {
      await qemu.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    }
    expect((await check(both)).bitmaps).toMatchObject([{ verdict: 'blocked', code: 'bitmap-exists' }]);
  });

  it('blocked: a node that QEMU has named, and the migration fails', async () => {
    const both = await start({
      machine: [...NONE, '-drive', `if=none,driver=null-co,size=${GIB}`],
      source: [],
    });
    const [node] = await both.source.execute<{ 'node-name': string }[]>('query-named-block-nodes', { flat: true });
    const name = node?.['node-name'] ?? '';
    await both.source.execute('block-dirty-bitmap-add', { node: name, name: 'b0' });
    const { bitmaps, ok } = await check(both);
    // A drive without a name of its own is called none0, and its node goes by that.
    expect([name[0], ok, bitmaps]).toMatchObject(['#', true, [{ nodeAlias: 'none0', verdict: 'fine' }]]);
    await both.source.execute('migrate-set-parameters', { 'block-bitmap-mapping': [] });
    expect((await check(both)).bitmaps).toMatchObject([{ verdict: 'left-out', code: 'node-not-mapped' }]);
  });

  it('follows a migration to its end, and verifies', async () => {
    const both = await start({ machine: NONE, source: [nullDisk('disk0', GIB)] });
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    const followed = watch(both, '--interval', '0.05');
    await both.migrate();
    const { code, stdout } = await followed;
    expect([code, stdout]).toEqual([0, expect.stringContaining('verified: 1 bitmap arrived')]);
    expect(stdout).toContain('migration completed\n');
    void failed;
  });
});
