import { describe, expect, it } from 'vitest';
import { parseMigrationSide } from '../../src/qmp/migration-side.js';
import { type MigrationVerification, verifyMigration } from '../../src/qmp/verify-migration.js';
import { answers, type ToldBitmap, toldNode } from '../support/migration-answers.js';

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
    parseMigrationSide(answers([toldNode('disk0', GIB, source)], { migration: { status } })),
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

  it('nothing to compare', () => {
    expect(verify({ source: [] })).toMatchObject({ ok: true, findings: [{ code: 'migration-without-bitmaps' }] });
  });
});
