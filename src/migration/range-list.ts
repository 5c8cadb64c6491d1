/** What a new range did to the ranges before it. */
export type RangeEffect = 'next' | 'apart' | 'earlier' | 'overlap';

/**
 * The ranges of a bitmap that were sent, merged where they touch. One run from 0 upwards, which is what QEMU sends,
 * costs nothing to keep. Any unit; the caller's.
 */
export class RangeList {
  /** Starts and ends, ascending: `[start, end, start, end, ...]`. */
  #edges: number[] = [];
  readonly #max: number;
  /** Whether ranges were given up because there were too many: then holes are not known. */
  overflowed = false;

  /** @param max how many separate ranges are remembered; one at least. */
  constructor(max: number) {
    this.#max = Math.max(1, max);
  }

  /** The ranges: start, end, start, end, ... ascending and apart. A copy. */
  get edges(): number[] {
    return [...this.#edges];
  }

  /** The end of the highest range, or 0. */
  get end(): number {
    const edges = this.#edges;
    return edges.length === 0 ? 0 : (edges[edges.length - 1] as number);
  }

  /** Adds `start` to `end` (exclusive). */
  add(start: number, end: number): RangeEffect {
    const edges = this.#edges;
    const last = edges.length - 1;
    const highest = this.end;
    if (start === highest && last > 0) {
      edges[last] = end;
      return 'next';
    }
    if (start >= highest) {
      if (edges.length > 0 && edges.length >= 2 * this.#max) {
        this.overflowed = true;
        edges[last] = end;
      } else {
        edges.push(start, end);
      }
      return start === 0 ? 'next' : 'apart';
    }
    return this.#insert(start, end);
  }

  /** The first hole below the highest end, as `[start, end]`, or undefined. */
  hole(): readonly [start: number, end: number] | undefined {
    const [first, firstEnd, second] = this.#edges;
    if (first === undefined || firstEnd === undefined) return undefined;
    if (first > 0) return [0, first];
    return second === undefined ? undefined : [firstEnd, second];
  }

  /** How many holes there are below the highest end. */
  holes(): number {
    const first = this.#edges[0];
    return first === undefined ? 0 : this.#edges.length / 2 - (first > 0 ? 0 : 1);
  }

  #insert(start: number, end: number): RangeEffect {
    const edges = this.#edges;
    // The first range that ends at or after the start, and the first that begins after the end.
    let low = 0;
    let high = edges.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((edges[2 * middle + 1] as number) < start) low = middle + 1;
      else high = middle;
    }
    let after = low;
    let overlaps = false;
    let from = start;
    let to = end;
    while (after < edges.length / 2 && (edges[2 * after] as number) <= end) {
      const rangeStart = edges[2 * after] as number;
      const rangeEnd = edges[2 * after + 1] as number;
      if (rangeStart < end && rangeEnd > start) overlaps = true;
      from = Math.min(from, rangeStart);
      to = Math.max(to, rangeEnd);
      after++;
    }
    edges.splice(2 * low, 2 * (after - low), from, to);
    if (edges.length > 2 * this.#max) {
      this.overflowed = true;
      edges.splice(0, 4, edges[0] as number, edges[3] as number);
    }
    return overlaps ? 'overlap' : 'earlier';
  }
}
