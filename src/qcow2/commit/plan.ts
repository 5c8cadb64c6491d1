import type { Name } from '../../bytes/text.js';

/**
 * Where a commit stands. Up to `hook` nothing refers to what was written: a crash leaves the old bitmaps and leaks.
 * `switch` makes the new bitmaps visible. Source: qcow2-bitmaps.md section 9, P1 to P5.
 */
export type Phase = 'prepare' | 'allocate' | 'hook' | 'switch' | 'free';

/** Bytes that are written. Writes between two syncs may reach the disk in any order, or not. */
export interface PlannedWrite {
  readonly kind: 'write';
  readonly phase: Phase;
  /** Bytes of the file. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  /** For whom reads the plan. */
  readonly what: string;
  /** Makes the bytes; the same each time. */
  readonly bytes: () => Uint8Array;
}

/** All that was written before must be on the disk before anything else is. */
export interface PlannedSync {
  readonly kind: 'sync';
  readonly phase: Phase;
}

/** One step of a plan; they are done in order. */
export type PlanStep = PlannedWrite | PlannedSync;

/** A bitmap as it will be. */
export interface PlannedBitmap {
  readonly name: Name;
  /** In bytes. */
  readonly granularity: number;
  /** Records writes as soon as the image is opened for writing. */
  readonly auto: boolean;
  /** Marked as not saved. */
  readonly inUse: boolean;
}

/** What becomes of an image. */
export interface CommitPlan {
  /** Nothing is to be done where there are none. */
  readonly steps: readonly PlanStep[];
  /** In the order of the directory. */
  readonly bitmaps: readonly PlannedBitmap[];
  /** Clusters that are taken, given back, and left over because it is not proven that nobody else uses them. */
  readonly clusters: { readonly taken: number; readonly freed: number; readonly leaked: number };
}

/** Bytes that are known already. */
export function write(phase: Phase, offset: number, what: string, bytes: Uint8Array): PlannedWrite {
  return { kind: 'write', phase, offset, length: bytes.length, what, bytes: () => bytes };
}

export function sync(phase: Phase): PlannedSync {
  return { kind: 'sync', phase };
}
