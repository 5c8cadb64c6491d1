import type { Comparison, Pace } from './measure.js';
import type { Spread } from './statistics.js';

/** What is to be reached: how many times as fast at least, or how many times the time (ns, MB) at most. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** What the value of a case is. */
export type Unit = 'x' | 'ns' | 'MB';

/** What a case runs with. */
export interface Context {
  /** How long to measure. */
  readonly pace: Pace;
  /** Collects garbage; also as `pace.collect` where a case wants it between turns. */
  readonly collect: () => void;
  /** A folder of the case's own, removed when it is over. */
  readonly folder: string;
  /** The folder of the built package. */
  readonly dist: string;
}

/** What a case found. */
export interface Measured {
  readonly value: Spread;
  /** Against what, where there is a choice. */
  readonly against?: string | undefined;
  /** Nanoseconds of ours for a chunk, where there are chunks. */
  readonly nsPerChunk?: number | undefined;
  /** 10^9 bytes of bitmap a second, where that means something. */
  readonly gbPerSecond?: number | undefined;
  readonly note?: string | undefined;
}

/** A case that cannot run here, and why. */
export interface Absent {
  readonly absent: string;
}

/** One row of the table. */
export interface Case {
  readonly name: string;
  readonly group: string;
  /** What is measured. */
  readonly title: string;
  /** Against what. */
  readonly against: string;
  /** Absent where the figure is only reported. */
  readonly goal?: Goal;
  /** Default `x`, a ratio. */
  readonly unit?: Unit;
  run(context: Context): Promise<Measured | Absent>;
}

/** Work by which figures are divided. */
export interface Amount {
  readonly chunks?: number;
  /** Bytes of bitmap. */
  readonly bytes?: number;
  /** How often a round does the work. */
  readonly times?: number;
}

/** A comparison as the result of a case whose goal is speed (`atLeast`). */
export function asSpeed(comparison: Comparison, amount: Amount = {}): Measured {
  return { ...figures(comparison, amount), value: comparison.speed, against: comparison.against };
}

/** A comparison as the result of a case whose goal is time (`atMost`). */
export function asTime(comparison: Comparison, amount: Amount = {}): Measured {
  return { ...figures(comparison, amount), value: comparison.time, against: comparison.against };
}

function figures({ ours }: Comparison, { chunks, bytes, times = 1 }: Amount): Omit<Measured, 'value'> {
  const ns = (ours * 1e6) / times;
  return { nsPerChunk: chunks && ns / chunks, gbPerSecond: bytes && bytes / ns };
}

/** Whether a value reaches a goal. */
export function reaches(value: number, goal: Goal): boolean {
  return 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost;
}

/** Stops a case whose contestants do not do the same. */
export function assertSame(what: string, ours: unknown, theirs: unknown): void {
  if (ours === theirs) return;
  throw new Error(`${what}: the contestants differ: ${String(ours)} and ${String(theirs)}`);
}
