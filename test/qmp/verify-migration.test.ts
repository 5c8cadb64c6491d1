import { describe, expect, it } from 'vitest';
import type { TrackedBitmap } from '../../src/migration/tracked-bitmap.js';
import { type MigrationSide, parseMigrationSide } from '../../src/qmp/migration-side.js';
import { type MigrationVerification, verifyMigration } from '../../src/qmp/verify-migration.js';
import { answers, GONE, type ToldBitmap, toldNode } from '../support/migration-answers.js';

const GIB = 2 ** 30;

interface World {
  readonly source?: readonly ToldBitmap[];
  readonly destination?: readonly ToldBitmap[];
  readonly status?: string;
  readonly runState?: string;
  readonly parameters?: object;
}

const verify = (world: World): MigrationVerification => {
  const { source = [{ count: 65_536 }], destination = source, status = 'completed', runState = 'paused' } = world;
  return verifyMigration(
    parseMigrationSide(answers([toldNode('disk0', GIB, source)], { ...GONE, migration: { status } })),
    parseMigrationSide(
      answers([toldNode('disk0', GIB, destination)], {
        status: { status: runState },
        parameters: world.parameters ?? {},
        migration: { status: 'completed' },
      }),
    ),
  );
};

describe('verifyMigration', () => {
  it('finds equal bitmaps equal', () => {
    expect(verify({ source: [{}, { name: 'off', recording: false, persistent: true }] })).toMatchObject({
      ok: true,
      bitmaps: [{ verdict: 'arrived' }, { verdict: 'arrived' }],
    });
  });

  it.each([
    [{ granularity: 4096 }, 'granularity 4096, was 65536'],
    [{ recording: false, count: 65_536 }, 'recording is false, was true'],
    [{ persistent: true, count: 65_536 }, 'persistent is true, expected false'],
    [{ busy: true, count: 0 }, 'it is busy: it was never completed, or a job uses it'],
    [{ inconsistent: true, count: 65_536 }, 'it is inconsistent'],
    [{ count: 0 }, '0 dirty bytes, were 65536'],
  ])('%j differs', (bitmap, difference) => {
    const { ok, bitmaps } = verify({ destination: [bitmap] });
    expect([ok, bitmaps[0]?.verdict, bitmaps[0]?.differences]).toEqual([false, 'differs', [difference]]);
  });

  it.each([
    ['inmigrate', false],
    ['paused', true],
    ['running', true],
  ])('more dirty bytes, %s: right is %s', (runState, right) => {
    const { ok, bitmaps } = verify({ destination: [{ count: 131_072 }], runState });
    expect([ok, bitmaps[0]?.notes.length === 1]).toEqual([right, right]);
  });

  it('a bitmap that is gone, an alias that is not mapped', () => {
    expect(verify({ destination: [] })).toMatchObject({
      ok: false,
      bitmaps: [{ verdict: 'lost', code: 'migration-bitmap-lost', destination: { node: 'disk0', name: 'b0' } }],
    });
    expect(verify({ parameters: { 'block-bitmap-mapping': [] } })).toMatchObject({
      ok: false,
      bitmaps: [{ verdict: 'lost', code: 'alias-unknown', destination: undefined }],
    });
  });

  it('follows the mapping of the destination, and what it makes persistent', () => {
    const bitmaps = [{ name: 'monday', alias: 'b0', transform: { persistent: true } }];
    const parameters = { 'block-bitmap-mapping': [{ 'node-name': 'disk0', alias: 'disk0', bitmaps }] };
    const destination = [{ name: 'monday', persistent: true, count: 65_536 }];
    expect(verify({ destination, parameters })).toMatchObject({
      ok: true,
      bitmaps: [{ destination: { node: 'disk0', name: 'monday' } }],
    });
  });

  it('a migration that is not completed', () => {
    expect(verify({ status: 'active' })).toMatchObject({ ok: false, findings: [{ code: 'migration-not-completed' }] });
  });

  it.each(['running', 'paused'])('an earlier migration, as the source is %s', (runState) => {
    const disk = [toldNode('disk0', GIB, [{}])];
    const migration = { status: 'completed' };
    const source = parseMigrationSide(answers(disk, { migration, status: { status: runState } }));
    const destination = parseMigrationSide(answers(disk, { migration }));
    expect(verifyMigration(source, destination)).toMatchObject({
      ok: false,
      findings: [{ code: 'migration-not-completed', message: expect.stringContaining('an earlier one') }],
    });
  });

  it('a destination that could not open its image again', () => {
    const source = parseMigrationSide(answers([toldNode('disk0', GIB, [{}])], GONE));
    const destination = parseMigrationSide(answers([], { ejected: 'Block device disk0 is ejected' }));
    expect(verifyMigration(source, destination)).toMatchObject({
      ok: false,
      bitmaps: [{ verdict: 'lost', code: 'migration-bitmap-lost' }],
      findings: [{ code: 'migration-not-waiting' }],
    });
  });

  describe('whether it was sent', () => {
    const side = (count: number, hash?: string, more: object = GONE): MigrationSide => {
      const told = parseMigrationSide(answers([toldNode('disk0', GIB, [{ count }])], more));
      const [bitmap] = [...told.told.keys()] as [TrackedBitmap];
      return { ...told, hashes: new Map(hash === undefined ? [] : [[bitmap, hash]]) };
    };
    const earlier = (bitmaps: object[]): MigrationSide =>
      parseMigrationSide(answers([toldNode('disk0', GIB, bitmaps)]));

    it.each([
      [65_536, 'aa', 'aa', undefined, true],
      [0, 'aa', 'aa', undefined, false],
      [65_536, undefined, 'aa', undefined, false],
      [0, undefined, undefined, earlier([]), true],
    ])('%i dirty bytes, hashes %s and %s: proven', (count, here, there, was, proven) => {
      const { ok, bitmaps, findings } = verifyMigration(side(count, here), side(count, there), was);
      expect([ok, bitmaps[0]?.proven, findings.map(({ code }) => code)]).toEqual([
        ...[true, proven, proven ? [] : ['migration-not-proven']],
      ]);
    });

    it('not, where it was there before: QEMU fails for a second one of a name', () => {
      const { ok, bitmaps } = verifyMigration(side(65_536, 'aa'), side(65_536, 'aa'), earlier([{}]));
      expect([ok, bitmaps]).toMatchObject([false, [{ verdict: 'lost', code: 'migration-bitmap-lost' }]]);
    });

    it('as many dirty bytes with another hash are other ones', () => {
      const { ok, bitmaps } = verifyMigration(side(65_536, 'aa'), side(65_536, 'bb'));
      expect([ok, bitmaps[0]?.differences]).toEqual([false, [expect.stringContaining('SHA-256 bb, was aa')]]);
    });
  });

  it.each([
    [{ ro: true }, 'differs', 1, 0],
    [{ drv: 'raw' }, 'arrived', 0, 1],
    [{}, 'arrived', 0, 0],
  ])('persistent on a node %j: %s, as the outlook has it', (more, verdict, differences, notes) => {
    const bitmaps = [{ persistent: true }];
    const source = parseMigrationSide(answers([toldNode('disk0', GIB, bitmaps)], GONE));
    const [found] = verifyMigration(
      source,
      parseMigrationSide(answers([toldNode('disk0', GIB, bitmaps, more)])),
    ).bitmaps;
    expect([found?.verdict, found?.differences.length, found?.notes.length]).toEqual([verdict, differences, notes]);
  });

  describe('handed over in the image', () => {
    const capabilities = [{ capability: 'dirty-bitmaps', state: false }];
    const stored = [{ name: 'b0', granularity: 65_536, flags: ['in-use', 'auto'] }];
    const more = { image: { 'virtual-size': GIB, 'format-specific': { data: { bitmaps: stored } } } };
    const source = (...left: object[]): MigrationSide =>
      parseMigrationSide(answers([toldNode('disk0', GIB, left, more)], { ...GONE, capabilities }));

    it.each([
      [[{ persistent: true }], 'arrived'],
      [[], 'lost'],
      [[{}], 'differs'],
      [[{ persistent: true, inconsistent: true }], 'differs'],
      [[{ persistent: true, recording: false }], 'differs'],
      [[{ persistent: true, granularity: 4096 }], 'differs'],
    ])('%j at the destination: %s', (bitmaps, verdict) => {
      const found = verifyMigration(source(), parseMigrationSide(answers([toldNode('disk0', GIB, bitmaps)])));
      expect([found.bitmaps.map((bitmap) => bitmap.verdict), found.findings, found.ok]).toEqual([
        ...[[verdict], [], verdict === 'arrived'],
      ]);
    });

    it('a transient one is not', () => {
      const destination = parseMigrationSide(answers([toldNode('disk0', GIB, [{ persistent: true }])]));
      const { bitmaps, findings } = verifyMigration(source({ name: 'scratch' }), destination);
      expect([bitmaps.map(({ name, verdict }) => `${name} ${verdict}`), findings.map(({ code }) => code)]).toEqual([
        ['scratch lost', 'b0 arrived'],
        ['migration-capability'],
      ]);
    });
  });

  it('nothing to compare', () => {
    expect(verify({ source: [] })).toMatchObject({ ok: true, findings: [{ code: 'migration-without-bitmaps' }] });
  });
});
