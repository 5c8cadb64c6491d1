import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { coarserCommands } from '../../src/qmp/coarser-bitmap.js';
import { MigrationPair, type PairOptions } from '../support/migration-pair.js';
import { bitmapsOf, Qemu } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { describeWithQemu } from '../support/with-qemu.js';

let folder: string;
let pair: MigrationPair | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-watch-'));
});
afterEach(async () => {
  await pair?.quit();
  pair = undefined;
  rmSync(folder, { recursive: true });
});

const NONE = ['-machine', 'none'];
/** The options of a node `disk0` over an image that is made with such bitmaps. */
const image = (name: string, bitmaps: readonly string[], size = '64M'): object => {
  const filename = join(folder, `${name}.qcow2`);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', filename, size]);
  for (const bitmap of bitmaps) execFileSync('qemu-img', ['bitmap', '--add', filename, bitmap]);
  return { driver: 'qcow2', 'node-name': 'disk0', file: { driver: 'file', filename } };
};
const start = async (options: PairOptions): Promise<MigrationPair> => {
  pair = await MigrationPair.start({ machine: NONE, ...options });
  return pair;
};
const watch = async (...more: string[]): Promise<CliResult> =>
  await runCli('watch', ...(pair as MigrationPair).arguments, ...more);
const migrated = async (both: MigrationPair): Promise<void> => {
  await both.migrate();
  await both.until(({ status }) => status === 'completed');
  await both.arrived();
};

describeWithQemu('images of both ends', () => {
  it('a bitmap that the image of the destination has stored: predicted, and its end is told', async () => {
    const both = await start({ source: [image('src', [])], destination: [image('dst', ['b0'])] });
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    const before = await watch('--check');
    expect([before.code, before.stdout]).toEqual([1, expect.stringMatching(/^BLOCKED .*\n *bitmap-stored: /)]);
    await migrated(both);
    const after = await watch('--verify');
    expect([after.code, after.stderr, after.stdout]).toEqual([
      1,
      '',
      expect.stringMatching(/^LOST .*disk0 is ejected/s),
    ]);
    const followed = await watch();
    expect([followed.code, followed.stdout]).toEqual([1, expect.stringContaining('cont at the source')]);
    await both.source.execute('cont');
    expect(await bitmapsOf(both.source)).toMatchObject([{ name: 'b0' }]);
  });

  it('one image, without dirty-bitmaps: handed over in it, and compared', async () => {
    const shared = image('shared', ['kept']);
    const both = await start({ source: [shared], destination: [shared] });
    const capabilities = [{ capability: 'dirty-bitmaps', state: false }];
    await both.source.execute('migrate-set-capabilities', { capabilities });
    await both.source.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'new', persistent: true });
    const before = await watch('--check');
    expect([before.code, before.stdout.match(/handed-over-in-image/g)?.length]).toEqual([0, 2]);
    await migrated(both);
    const after = await watch('--verify');
    expect([after.code, after.stdout.split('\n')]).toEqual([
      0,
      [
        'arrived   disk0/kept: 0 B dirty',
        '          handed over in the image',
        'arrived   disk0/new: 0 B dirty',
        '          handed over in the image',
        'verified: 2 bitmaps arrived',
        '',
      ],
    ]);
    await both.destination.execute('block-dirty-bitmap-remove', { node: 'disk0', name: 'kept' });
    expect(await watch('--verify')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('not as it was: 1 of 2'),
    });
  });

  it('one image, with dirty-bitmaps: what it has stored is in use by the source, and in nobody’s way', async () => {
    const shared = image('shared', ['b0']);
    const both = await start({ source: [shared], destination: [shared] });
    expect((await watch('--check')).code).toBe(0);
    await migrated(both);
    expect((await watch('--verify')).code).toBe(0);
  });

  it('a cancelled try: persistent bitmaps come as transient, which is predicted', async () => {
    const [source, destination] = [image('src', ['b0'], '256G'), image('dst', [], '256G')];
    const both = await start({ machine: ['-m', '64'], source: [source], destination: [destination] });
    // Above the best case: it cannot end before it is cancelled.
    await both.source.execute('migrate-set-parameters', { 'downtime-limit': 1 });
    await both.source.execute('migrate', { uri: 'exec:cat >/dev/null' });
    await both.until(({ ram }) => (ram?.['dirty-sync-count'] ?? 0) > 1000);
    await both.source.execute('migrate_cancel');
    await both.until(({ status }) => status === 'cancelled');
    await both.source.execute('migrate-set-parameters', { 'downtime-limit': 200_000 });
    const before = await watch('--check');
    expect([before.code, before.stdout]).toEqual([1, expect.stringContaining('error migration-retry')]);
    await migrated(both);
    const after = await watch('--verify');
    expect([after.code, after.stdout]).toEqual([1, expect.stringContaining('persistent is false, expected true')]);
  });

  it('a coarser bitmap: a QEMU that quits between the two commands has stored what it had', async () => {
    const node = JSON.stringify(image('src', ['b0']));
    const file = join(folder, 'src.qcow2');
    const run = async (work: (qemu: Qemu) => Promise<void>): Promise<void> => {
      const qemu = await Qemu.start('qemu-system-x86_64', [...NONE, '-blockdev', node], folder);
      try {
        await work(qemu);
      } finally {
        await qemu.quit();
      }
    };
    const old = { node: 'disk0', name: 'b0', recording: true, persistent: true };
    const [first, second] = coarserCommands({ ...old, granularity: 2 ** 20, taken: ['b0'] });
    const stored = (): unknown => JSON.parse(execFileSync('qemu-img', ['info', '--output=json', file]).toString());
    const bitmaps = (name: string): object => ({
      'format-specific': { data: { bitmaps: [{ name, flags: ['auto'], granularity: 2 ** 20 }] } },
    });
    await run(async (qemu) => {
      await qemu.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 5M 4096"' });
      await qemu.execute('transaction', first?.arguments);
    });
    expect(stored()).toMatchObject(bitmaps('dirtybitmap-coarser'));
    await run(async (qemu) => {
      await qemu.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 9M 4096"' });
      await qemu.execute('transaction', second?.arguments);
      expect(await bitmapsOf(qemu)).toMatchObject([{ name: 'b0', count: 2 ** 21, persistent: true, recording: true }]);
    });
    expect(stored()).toMatchObject(bitmaps('b0'));
  });
});
