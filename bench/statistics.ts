/** Statistics of small samples, of which some are far off: no means. */

/** What a sample is told as. */
export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  /** How many values there were. */
  readonly count: number;
}

/** The value below which a fraction of the values lies, interpolated between neighbours; NaN of no values. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** The value in the middle, or half way between the two there; NaN of no values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function spreadOf(values: readonly number[]): Spread {
  return {
    median: median(values),
    p10: quantile(values, 0.1),
    p90: quantile(values, 0.9),
    count: values.length,
  };
}

/** What each value is of the other sample's value of the same round. Only then does the machine's speed cancel out. */
export function pairedRatios(values: readonly number[], others: readonly number[]): number[] {
  if (values.length !== others.length) throw new Error('pairs are of the same round');
  return values.map((value, round) => value / (others[round] as number));
}
