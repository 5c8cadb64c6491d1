import type { Bitmap } from '../bitmap/bitmap.js';
import { granulesIn } from '../bitmap/granularity.js';
import { forEachWordPair } from './scan-words.js';

/** Extents of about one size. Plain data. */
export interface HistogramBucket {
  /** Extents of this many bytes, up to less than twice as many. A power of two. */
  readonly from: number;
  readonly extents: number;
  /** Of them all. */
  readonly bytes: number;
}

/** How long the dirty extents of a bitmap are. Plain data; sizes in bytes. */
export interface ExtentHistogram {
  readonly extents: number;
  readonly longest: number;
  /** From the smallest size to the largest, those between without extents among them. */
  readonly buckets: readonly HistogramBucket[];
}

/** Counts the dirty extents up to `size` (bytes) by powers of two of their length. Takes time for what is dirty. */
export function extentHistogram(bits: Bitmap, size: number): ExtentHistogram {
  const { granularity } = bits;
  const counter = new RunCounter(granularity, size);
  forEachWordPair(bits, undefined, granulesIn(size, granularity), (word, _other, firstBit) =>
    counter.add(word, firstBit),
  );
  return counter.finish();
}

/** Finds runs of bits in words. */
class RunCounter {
  readonly #granularity: number;
  readonly #size: number;
  readonly #extents: number[] = [];
  readonly #bytes: number[] = [];
  /** The run that is open: its first bit, and the bit after its last. */
  #start = 0;
  #end = 0;
  #longest = 0;

  constructor(granularity: number, size: number) {
    this.#granularity = granularity;
    this.#size = size;
  }

  /** The next word that is not 0. */
  add(word: number, firstBit: number): void {
    if (word === -1) {
      this.#run(firstBit, 32);
      return;
    }
    let rest = word;
    while (rest !== 0) {
      const low = trailingZeroes(rest);
      // Ones from there on become zeroes of the complement.
      const ones = trailingZeroes(~(rest >>> low));
      this.#run(firstBit + low, ones);
      const end = low + ones;
      if (end >= 32) return;
      rest &= -1 << end;
    }
  }

  finish(): ExtentHistogram {
    this.#close();
    const first = this.#extents.findIndex((count) => count > 0);
    const buckets = this.#extents.flatMap((extents = 0, power) =>
      power < first ? [] : [{ from: 2 ** power, extents, bytes: this.#bytes[power] ?? 0 }],
    );
    const extents = buckets.reduce((sum, bucket) => sum + bucket.extents, 0);
    return { extents, longest: this.#longest, buckets: first < 0 ? [] : buckets };
  }

  #run(first: number, length: number): void {
    if (first !== this.#end) {
      this.#close();
      this.#start = first;
    }
    this.#end = first + length;
  }

  #close(): void {
    if (this.#end === this.#start) return;
    const from = this.#start * this.#granularity;
    const bytes = Math.min(this.#end * this.#granularity, this.#size) - from;
    const power = powerOf(bytes);
    while (this.#extents.length <= power) {
      this.#extents.push(0);
      this.#bytes.push(0);
    }
    this.#extents[power] = (this.#extents[power] as number) + 1;
    this.#bytes[power] = (this.#bytes[power] as number) + bytes;
    if (bytes > this.#longest) this.#longest = bytes;
    this.#start = this.#end;
  }
}

function trailingZeroes(word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word);
}

/** The largest power of two that `n`, at least 1, holds. Exact, as Math.log2() need not be. */
function powerOf(n: number): number {
  return n < 2 ** 31 ? 31 - Math.clz32(n) : 31 + powerOf(Math.floor(n / 2 ** 31));
}
