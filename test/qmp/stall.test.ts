import { describe, expect, it } from 'vitest';
import { type MigrationOutlook, migrationOutlook } from '../../src/qmp/migration-outlook.js';
import { type MigrationAnswers, parseMigrationSide } from '../../src/qmp/migration-side.js';
import type { StallOutlook } from '../../src/qmp/stall.js';
import { answers, release, type ToldBitmap, toldNode } from '../support/migration-answers.js';

const GIB = 2 ** 30;

const stall = (size: number, more: Partial<MigrationAnswers> = {}, bitmaps: ToldBitmap[] = [{}]): StallOutlook => {
  const outlook: MigrationOutlook = migrationOutlook(
    parseMigrationSide(answers([toldNode('disk0', size, bitmaps)], more)),
    undefined,
  );
  return outlook.stall;
};
const parameters = (bandwidth: number, downtime: number): Partial<MigrationAnswers> => ({
  parameters: { 'max-bandwidth': bandwidth, 'downtime-limit': downtime },
});
const running = (status: string, ram: object): Partial<MigrationAnswers> => ({
  migration: { status, ram },
  status: { status: status === 'completed' ? 'postmigrate' : 'running' },
});
const kinds = ({ cures }: StallOutlook): string[] => cures.map(({ kind }) => kind);

describe('what was measured (needs.md item 5, versions.md)', () => {
  it.each([
    ['128 GiB ends on 7.2', 128 * GIB, {}, 'no'],
    ['256 GiB never ends', 256 * GIB, {}, 'likely'],
    ['64 GiB stalls on 11.1', 64 * GIB, { version: release(11, 1) }, 'likely'],
    ['32 GiB ends there', 32 * GIB, { version: release(11, 1) }, 'no'],
    ['30 bitmaps of 100 GiB are above the best case', 3000 * GIB, {}, 'certain'],
    ['the same without a limit of bandwidth', 3000 * GIB, parameters(0, 300), 'likely'],
    ['a narrow line', 32 * GIB, parameters(2 ** 20, 300), 'certain'],
    ['no bitmap', 0, {}, 'no'],
  ] as const)('%s', (_, size, more, verdict) => {
    const bitmaps = size === 0 ? [] : [{}];
    expect(stall(size, more, bitmaps).verdict).toBe(verdict);
  });

  it.each([
    [13_981_000, 'certain', 'no'],
    [13_982_000, 'no', 'no'],
    [0, 'likely', 'no'],
  ])('avail-switchover-bandwidth %i is what counts, exactly', (bandwidth, huge, small) => {
    const told = {
      parameters: { 'downtime-limit': 300, 'max-bandwidth': 2 ** 20, 'avail-switchover-bandwidth': bandwidth },
    };
    const free = { parameters: { ...told.parameters, 'max-bandwidth': 0 } };
    expect(stall(256 * GIB, bandwidth === 0 ? free : told).verdict).toBe(huge);
    expect(stall(16 * GIB, bandwidth === 0 ? free : told).verdict).toBe(small);
  });

  it('and not what is measured', () => {
    const ram = { total: GIB, remaining: 0, transferred: GIB, mbps: 5, 'dirty-sync-count': 3 };
    const parameters = { 'downtime-limit': 300, 'avail-switchover-bandwidth': 10 ** 9 };
    const { verdict, now } = stall(256 * GIB, { ...running('active', ram), parameters });
    expect([verdict, now]).toEqual(['no', 3e8]);
  });

  it('a migration that completed while the guest runs here is an earlier one', () => {
    const migration = { status: 'completed' };
    expect(stall(256 * GIB, { migration }).verdict).toBe('likely');
  });

  it('ten bitmaps of 32 GiB never end: all count', () => {
    const bitmaps = Array.from({ length: 10 }, (_, at) => ({ name: `b${at}` }));
    expect(stall(32 * GIB, {}, bitmaps)).toMatchObject({ granules: 5_242_880, verdict: 'likely' });
  });
});

describe('while it runs', () => {
  const ram = { total: GIB, remaining: 0, transferred: GIB, mbps: 6, 'dirty-sync-count': 50_000 };

  it.each([
    ['in circles', 'active', ram, 'certain'],
    ['few passes yet', 'active', { ...ram, 'dirty-sync-count': 3 }, 'likely'],
    ['RAM is not done either', 'active', { ...ram, remaining: GIB }, 'likely'],
    ['measured to be fast', 'active', { ...ram, mbps: 1000 }, 'no'],
    ['not measured yet', 'active', { ...ram, mbps: 0 }, 'likely'],
    ['postcopy', 'postcopy-active', ram, 'no'],
    ['completed', 'completed', ram, 'no'],
  ] as const)('%s', (_, status, told, verdict) => {
    expect(stall(256 * GIB, running(status, told)).verdict).toBe(verdict);
  });

  it('cures are for now, but for a coarser bitmap: it needs another start', () => {
    const [postcopy, coarser, downtime] = stall(256 * GIB, running('active', ram)).cures;
    expect(postcopy?.commands).toEqual([{ execute: 'migrate-start-postcopy' }]);
    // 6 Mbit/s are measured, which may halve.
    expect([downtime?.when, downtime?.commands]).toEqual([
      'running',
      [{ execute: 'migrate-set-parameters', arguments: { 'downtime-limit': 12_000 } }],
    ]);
    expect([coarser?.when, coarser?.what]).toEqual(['before', expect.stringContaining('migrate_cancel')]);
  });
});

describe('cures', () => {
  it('are three, with their commands', () => {
    const { cures } = stall(256 * GIB, {}, [{ persistent: true, recording: false }, { name: 'dirtybitmap-coarser' }]);
    expect(cures.map(({ kind, when }) => [kind, when])).toEqual([
      ['postcopy', 'running'],
      ['granularity', 'before'],
      ['downtime-limit', 'before'],
    ]);
    expect(cures[2]?.commands).toEqual([
      { execute: 'migrate-set-parameters', arguments: { 'downtime-limit': 14_000 } },
    ]);
    const b0 = { node: 'disk0', name: 'b0' };
    const temporary = { node: 'disk0', name: 'dirtybitmap-coarser-2' };
    const granularity = 2 ** 20;
    expect(cures[1]?.commands.slice(0, 2)).toEqual([
      {
        execute: 'transaction',
        arguments: {
          actions: [
            {
              type: 'block-dirty-bitmap-add',
              data: { ...temporary, granularity, persistent: true, disabled: true },
            },
            { type: 'block-dirty-bitmap-merge', data: { node: 'disk0', target: temporary.name, bitmaps: [b0] } },
            { type: 'block-dirty-bitmap-remove', data: b0 },
          ],
        },
      },
      {
        execute: 'transaction',
        arguments: {
          actions: [
            { type: 'block-dirty-bitmap-add', data: { ...b0, granularity, persistent: true, disabled: true } },
            { type: 'block-dirty-bitmap-merge', data: { node: 'disk0', target: 'b0', bitmaps: [temporary] } },
            { type: 'block-dirty-bitmap-remove', data: temporary },
          ],
        },
      },
    ]);
  });

  it('begin with the bandwidth that QEMU is to count with, where it has that parameter', () => {
    const more = { parameters: { 'downtime-limit': 300, 'avail-switchover-bandwidth': 0 }, version: release(10, 0) };
    const [best, ...others] = stall(256 * GIB, more).cures;
    const args = { 'avail-switchover-bandwidth': 28_000_000 };
    expect(best).toMatchObject({
      ...{ kind: 'switchover-bandwidth', when: 'before' },
      commands: [{ execute: 'migrate-set-parameters', arguments: args }],
    });
    expect(others.map(({ kind }) => kind)).toEqual(['postcopy', 'downtime-limit', 'granularity']);
    expect(stall(256 * GIB, { ...more, parameters: { ...more.parameters, ...args } }).verdict).toBe('no');
    // Too little of it: a downtime-limit that is guessed at is no help.
    const little = { parameters: { 'downtime-limit': 300, 'avail-switchover-bandwidth': 1_000_000 } };
    expect(kinds(stall(256 * GIB, little))).toEqual(['switchover-bandwidth', 'postcopy', 'granularity']);
  });

  it('warn of a guest that stands still for long', () => {
    const what = (size: number): (string | undefined)[] =>
      stall(size, parameters(0, 300))
        .cures.filter(({ kind }) => kind === 'downtime-limit')
        .map((cure) => /WARNING.*/.exec(cure.what)?.[0]);
    expect(what(256 * GIB)).toEqual([undefined]);
    expect(what(20_000 * GIB)).toEqual(['WARNING: the guest may stand still for all of these 525 s']);
  });

  it('are left out where QEMU does not take them, or they would not help', () => {
    // More than 2000 s of downtime; coarser than 128 MiB loops for ever.
    expect(kinds(stall(2 ** 50, parameters(2 ** 20, 300), [{ granularity: 65_536 }]))).toEqual(['postcopy']);
    const many = Array.from({ length: 2000 }, (_, at) => ({ name: `b${at}`, granularity: 2 ** 27 }));
    expect(kinds(stall(2 ** 47, {}, many))).not.toContain('granularity');
  });

  it('say that postcopy of two nodes kills some destinations', () => {
    const nodes = ['a', 'b'].map((node) => toldNode(node, 256 * GIB, [{}]));
    const { cures } = migrationOutlook(parseMigrationSide(answers(nodes)), undefined).stall;
    expect(cures[0]?.what).toContain('QEMU 7.0 to 10.x aborts');
  });
});
