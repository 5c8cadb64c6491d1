import { setTimeout as sleep } from 'node:timers/promises';
import { DirtyBitmapError } from '../errors.js';
import { type QmpExecutor, qmpCommand, runCommand } from '../qmp/commands.js';
import { type AskedAgain, type MigrationEvent, MigrationObserver } from '../qmp/migration-observer.js';
import { type MigrationOutlook, migrationOutlook } from '../qmp/migration-outlook.js';
import { phaseOf } from '../qmp/migration-phase.js';
import type { MigrationSide } from '../qmp/migration-side.js';
import {
  inProgress,
  type MigrationProgress,
  parseMigrationParameters,
  parseMigrationProgress,
  parseRunState,
} from '../qmp/migration-state.js';
import { queryMigrationBits, queryMigrationSide } from '../qmp/query-migration-side.js';
import { type MigrationVerification, verifyMigration } from '../qmp/verify-migration.js';

/** How a migration is followed. */
export interface WatchOptions {
  /** The other end. Without it, losses there are not seen. */
  readonly destination?: QmpExecutor | undefined;
  /** Milliseconds from one question to the next. Default 1000. */
  readonly interval?: number | undefined;
  /** Milliseconds that the destination has to complete, when the source has. Default 30000. */
  readonly patience?: number | undefined;
  /** Ends it; what was seen by then is the result. Before anything was seen, its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** How a migration that was followed came out. */
export interface WatchResult {
  /** `completed`, `failed`, `cancelled`; another one where it was not followed to its end. */
  readonly status: string;
  /** Why it failed, where QEMU says so. */
  readonly error: string | undefined;
  readonly outlook: MigrationOutlook;
  /** Where the destination was given, and the migration completed. */
  readonly verification: MigrationVerification | undefined;
  /** Whether it completed, and no bitmap is known to be lost. */
  readonly ok: boolean;
}

/**
 * Follows the migration of a QEMU, or the next one, to its end: asks, and yields what changes. With a destination, both ends
 * are compared then.
 * A QEMU that does not answer ends it: give executors with a time limit, as `QmpClient.execute` has.
 * @throws DirtyBitmapError as {@link queryMigrationSide}; `qmp-timeout` where the destination does not complete.
 * @example
 * const watch = watchMigration(qmp, { signal: AbortSignal.timeout(600_000) });
 * for await (const event of watch) if (event.kind === 'phase') console.log(event.status);
 */
export async function* watchMigration(
  source: QmpExecutor,
  options: WatchOptions = {},
): AsyncGenerator<MigrationEvent, WatchResult, void> {
  const { signal, interval = 1000 } = options;
  const first = await queryMigrationSide(source);
  const there = options.destination && (await queryMigrationSide(options.destination));
  const observer = new MigrationObserver(first, there);
  yield* observer.first();
  let { migration } = first;
  // Later it says nothing of what was there at the start; it may have begun while the destination was asked.
  const early = there !== undefined && phaseOf(first) === 'before' && phaseOf(await ask(source)) === 'before';
  const before = early ? there : undefined;
  try {
    while (!observer.over) {
      await sleep(interval, undefined, { signal });
      const told = await ask(source);
      migration = told.migration;
      if (observer.begins(migration)) yield* observer.renew(await queryMigrationSide(source));
      yield* observer.observe(told);
    }
    if (migration.status !== 'completed') return result(observer, migration, undefined);
    const left = await queryMigrationBits(source);
    if (options.destination === undefined) {
      // What was switched off after the first look migrated nothing.
      return result(observer, migration, undefined, migrationOutlook(left, undefined));
    }
    const verification = verifyMigration(left, await settled(options.destination, options), before);
    yield { kind: 'verified', verification };
    return result(observer, migration, verification);
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    return result(observer, migration, undefined);
  }
}

function result(
  { outlook: before, status }: MigrationObserver,
  { error }: MigrationProgress,
  verification: MigrationVerification | undefined,
  outlook: MigrationOutlook = before,
): WatchResult {
  const clean = verification?.ok ?? outlook.ok;
  return { status, error, outlook, verification, ok: status === 'completed' && clean };
}

async function ask(qmp: QmpExecutor): Promise<AskedAgain> {
  const migration = parseMigrationProgress(await runCommand(qmp, qmpCommand('query-migrate')));
  const parameters = parseMigrationParameters(await runCommand(qmp, qmpCommand('query-migrate-parameters')));
  const runState = parseRunState(await runCommand(qmp, qmpCommand('query-status')));
  return { migration, parameters, runState };
}

/** The destination, when it has loaded what the source has sent. */
async function settled(qmp: QmpExecutor, { patience = 30_000, signal }: WatchOptions): Promise<MigrationSide> {
  const pause = 100;
  for (let left = Math.ceil(patience / pause); left > 0; left--) {
    const { status } = parseMigrationProgress(await runCommand(qmp, qmpCommand('query-migrate')));
    if (!inProgress(status)) return await queryMigrationBits(qmp);
    await sleep(pause, undefined, { signal });
  }
  const message = `the source has completed, and the destination has not after ${patience} ms; compare later with --verify`;
  throw new DirtyBitmapError('qmp-timeout', message);
}
