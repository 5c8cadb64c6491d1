import { median, pairedRatios, type Spread, spreadOf } from './statistics.js';

/** Does the work of one round and says how many milliseconds it took. */
export type Round = () => number | Promise<number>;

/** A way to do the work. */
export interface Contestant {
  readonly name: string;
  readonly round: Round;
}

/** How long is measured. */
export interface Pace {
  /** Rounds go on for so long, and until there are enough. */
  readonly seconds: number;
  /** Rounds at least. */
  readonly rounds: number;
  /** Rounds before, which do not count. */
  readonly warmUp: number;
  /** Called before each contestant's turn, for cases whose garbage one would leave to the other. */
  readonly collect?: (() => void) | undefined;
}

/** Rounds at most: more make no difference. */
const ENOUGH = 501;

/** A round that does synchronous work, one time or several times in a row; the time is that of all of them. */
export function timed(work: () => void, times = 1): () => number {
  return () => {
    const began = performance.now();
    for (let time = 0; time < times; time++) work();
    return performance.now() - began;
  };
}

/** A round of short work, done several times in a row: milliseconds of one time. */
export function averaged(work: () => void, times: number): Round {
  const all = timed(work, times);
  return () => all() / times;
}

/**
 * Lets contestants work by turns, so that whatever slows the machine down slows all of them; each round begins with
 * another one.
 * @returns milliseconds of each, round by round.
 */
export async function race(contestants: readonly Contestant[], pace: Pace): Promise<number[][]> {
  const times: number[][] = contestants.map(() => []);
  let end = Number.POSITIVE_INFINITY;
  for (let round = -pace.warmUp; round < pace.rounds || (performance.now() < end && round < ENOUGH); round++) {
    if (round === 0) end = performance.now() + pace.seconds * 1000;
    for (let turn = 0; turn < contestants.length; turn++) {
      const who = (turn + round + pace.warmUp) % contestants.length;
      pace.collect?.();
      const took = await (contestants[who] as Contestant).round();
      if (round >= 0) times[who]?.push(took);
    }
  }
  return times;
}

/** What came out of a race. */
export interface Comparison {
  /** The fastest of the others, by the median of its ratios. */
  readonly against: string;
  /** How many times as fast as that: its time by ours, in each round. */
  readonly speed: Spread;
  /** Our time by its time, in each round. */
  readonly time: Spread;
  /** Milliseconds of ours, in the median. */
  readonly ours: number;
}

/** Holds the first contestant against the fastest of the others. */
export async function compare(ours: Contestant, others: readonly Contestant[], pace: Pace): Promise<Comparison> {
  const [own = [], ...rest] = await race([ours, ...others], pace);
  const comparisons = rest.map((times, at) => ({
    against: others[at]?.name ?? '',
    speed: spreadOf(pairedRatios(times, own)),
    time: spreadOf(pairedRatios(own, times)),
    ours: median(own),
  }));
  return comparisons.reduce((best, one) => (one.speed.median < best.speed.median ? one : best));
}
