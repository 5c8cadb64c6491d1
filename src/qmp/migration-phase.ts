import { inProgress, type MigrationProgress } from './migration-state.js';

/** Where a QEMU stands: a migration may come, one is under way, or its guest has gone with one. */
export type MigrationPhase = 'before' | 'running' | 'over';

/** What the phase follows from. */
interface Standing {
  readonly migration: MigrationProgress;
  readonly runState: string;
}

/** Run states of a source whose guest has gone; the first one is passed through. Source: QEMU's RunState. */
const GONE: readonly string[] = ['finish-migrate', 'postmigrate'];

/**
 * The phase of a source. `query-migrate` says `completed` for ever: where the guest runs on (`cont`), or was stopped since,
 * that was an earlier migration, and another one may come.
 */
export function phaseOf({ migration: { status }, runState }: Standing): MigrationPhase {
  if (inProgress(status)) return 'running';
  return status === 'completed' && GONE.includes(runState) ? 'over' : 'before';
}

/** How an earlier try of a source to migrate came out; undefined where there was none, or where it is the one that counts. */
export function earlierTry(source: Standing): string | undefined {
  const { status } = source.migration;
  return phaseOf(source) === 'before' && status !== 'none' ? status : undefined;
}

/** Whether a QEMU waits for a migration, or takes one. */
export function isWaiting({ runState }: Standing): boolean {
  return runState === 'inmigrate';
}
