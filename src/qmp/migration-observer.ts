import { type MigrationOutlook, migrationOutlook } from './migration-outlook.js';
import { type MigrationPhase, phaseOf } from './migration-phase.js';
import type { MigrationSide } from './migration-side.js';
import { inProgress, type MigrationProgress } from './migration-state.js';
import type { StallOutlook } from './stall.js';
import type { MigrationVerification } from './verify-migration.js';

/** Something that whoever follows a migration should know. */
export type MigrationEvent =
  /** What becomes of the bitmaps, as it looks now. */
  | { readonly kind: 'outlook'; readonly outlook: MigrationOutlook }
  /** No migration is under way; the status is that of an earlier one, or `none`. */
  | { readonly kind: 'waiting'; readonly status: string }
  /** Another status than before. */
  | { readonly kind: 'phase'; readonly status: string; readonly error: string | undefined }
  /** Whether it stalls has changed. */
  | { readonly kind: 'stall'; readonly stall: StallOutlook }
  /** Asked once more. */
  | { readonly kind: 'progress'; readonly progress: MigrationProgress }
  /** Both ends were compared. */
  | { readonly kind: 'verified'; readonly verification: MigrationVerification };

/** What changes while a migration goes on. */
export type AskedAgain = Pick<MigrationSide, 'migration' | 'parameters' | 'runState'>;

/**
 * Tells what changes while a migration is followed, without asking anybody: whoever does gives it what QEMU says.
 */
export class MigrationObserver {
  #source: MigrationSide;
  readonly #destination: MigrationSide | undefined;
  #outlook: MigrationOutlook;
  #status: string;
  #phase: MigrationPhase;
  #stall: StallOutlook;
  /** Whether one was seen to be under way, or to end. */
  #followed: boolean;

  /**
   * Begins with what both ends say before the first step.
   * @param source how the source is now.
   * @param destination the same of the other end, where that can be asked.
   */
  constructor(source: MigrationSide, destination: MigrationSide | undefined) {
    this.#source = source;
    this.#destination = destination;
    this.#outlook = migrationOutlook(source, destination);
    this.#status = source.migration.status;
    this.#phase = phaseOf(source);
    this.#stall = this.#outlook.stall;
    this.#followed = inProgress(this.#status);
  }

  /** As it looked last. */
  get outlook(): MigrationOutlook {
    return this.#outlook;
  }

  /** Of the migration, as it was told last. */
  get status(): string {
    return this.#status;
  }

  /** What there is to know at first. */
  first(): MigrationEvent[] {
    const events: MigrationEvent[] = [{ kind: 'outlook', outlook: this.#outlook }];
    // Too late for what could be: both ends are compared instead.
    if (this.#phase === 'over') return this.#change();
    if (this.#phase === 'running') return [...this.#change(), ...events];
    return [...events, { kind: 'waiting', status: this.#status }];
  }

  /** Whether all is to be asked again: bitmaps and parameters may have changed until it began. */
  begins({ status }: MigrationProgress): boolean {
    return inProgress(status) && !inProgress(this.#status);
  }

  /** All was asked again. */
  renew(source: MigrationSide): MigrationEvent[] {
    this.#source = source;
    const before = this.#outlook;
    this.#outlook = migrationOutlook(source, this.#destination);
    const same = JSON.stringify(before.bitmaps) === JSON.stringify(this.#outlook.bitmaps);
    return same ? [] : [{ kind: 'outlook', outlook: this.#outlook }];
  }

  /** QEMU was asked once more. */
  observe(asked: AskedAgain): MigrationEvent[] {
    const { migration: progress } = asked;
    const events: MigrationEvent[] = [];
    const phase = phaseOf(asked);
    // One that completed before may have been followed by another one that has completed meanwhile.
    if (progress.status !== this.#status || (phase === 'over' && this.#phase === 'before')) {
      this.#status = progress.status;
      this.#followed = progress.status !== 'none';
      events.push(...this.#change(progress.error));
    }
    this.#phase = phase;
    if (phase !== 'running') return events;
    const { stall } = migrationOutlook({ ...this.#source, ...asked }, undefined);
    const measured = stall.verdict !== 'no' && stall.now !== undefined && this.#stall.now === undefined;
    if (stall.verdict !== this.#stall.verdict || measured) events.push({ kind: 'stall', stall });
    this.#stall = stall;
    events.push({ kind: 'progress', progress });
    return events;
  }

  /**
   * Whether there is nothing to follow any more: it completed, or it ended while it was followed. One that had failed
   * before, or completed with a guest that runs again, leaves another one to wait for.
   */
  get over(): boolean {
    return this.#phase === 'over' || (this.#followed && !inProgress(this.#status));
  }

  #change(error = this.#source.migration.error): MigrationEvent[] {
    return [{ kind: 'phase', status: this.#status, error }];
  }
}
