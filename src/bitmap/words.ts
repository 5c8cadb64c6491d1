/**
 * Loops over the words of pages. `from` and `to` are indexes into the array, `to - from` a multiple of a page's words;
 * what a loop does not need to be exact about is said with it. Float64Array must not be used for any of this: it
 * cannot tell a word with only bit 63 set (-0) from zero, and may change the bits of a NaN.
 */

/** Bits set in a 32-bit word. */
export function popcount(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  x = (x + (x >>> 4)) & 0x0f0f0f0f;
  return Math.imul(x, 0x01010101) >>> 24;
}

/** The index of the first word that is not `same` (0, or -1 for all ones), or `to`. `to - from` may be any number. */
export function skipWords(words: Int32Array, from: number, to: number, same: number): number {
  let i = from;
  while (i < to && words[i] === same) i++;
  return i;
}

/** Whether words are all zero. `to - from` may be any number. */
export function allClear(w: Int32Array, from: number, to: number): boolean {
  let i = from;
  for (const eights = to - 7; i < eights; i += 8) {
    const any =
      (w[i] as number) |
      (w[i + 1] as number) |
      (w[i + 2] as number) |
      (w[i + 3] as number) |
      (w[i + 4] as number) |
      (w[i + 5] as number) |
      (w[i + 6] as number) |
      (w[i + 7] as number);
    if (any !== 0) return false;
  }
  return skipWords(w, i, to, 0) === to;
}

/**
 * Bits set in words: a carry-save adder counts sixteen words into one popcount (Harley and Seal; see Warren, Hacker's
 * Delight, 5-1).
 */
export function countWords(w: Int32Array, from: number, to: number): number {
  let ones = 0;
  let twos = 0;
  let fours = 0;
  let eights = 0;
  let sixteens = 0;
  for (let i = from; i < to; i += 16) {
    let twosA = carry(ones, w[i] as number, w[i + 1] as number);
    ones ^= (w[i] as number) ^ (w[i + 1] as number);
    let twosB = carry(ones, w[i + 2] as number, w[i + 3] as number);
    ones ^= (w[i + 2] as number) ^ (w[i + 3] as number);
    let foursA = carry(twos, twosA, twosB);
    twos ^= twosA ^ twosB;
    twosA = carry(ones, w[i + 4] as number, w[i + 5] as number);
    ones ^= (w[i + 4] as number) ^ (w[i + 5] as number);
    twosB = carry(ones, w[i + 6] as number, w[i + 7] as number);
    ones ^= (w[i + 6] as number) ^ (w[i + 7] as number);
    let foursB = carry(twos, twosA, twosB);
    twos ^= twosA ^ twosB;
    const eightsA = carry(fours, foursA, foursB);
    fours ^= foursA ^ foursB;
    twosA = carry(ones, w[i + 8] as number, w[i + 9] as number);
    ones ^= (w[i + 8] as number) ^ (w[i + 9] as number);
    twosB = carry(ones, w[i + 10] as number, w[i + 11] as number);
    ones ^= (w[i + 10] as number) ^ (w[i + 11] as number);
    foursA = carry(twos, twosA, twosB);
    twos ^= twosA ^ twosB;
    twosA = carry(ones, w[i + 12] as number, w[i + 13] as number);
    ones ^= (w[i + 12] as number) ^ (w[i + 13] as number);
    twosB = carry(ones, w[i + 14] as number, w[i + 15] as number);
    ones ^= (w[i + 14] as number) ^ (w[i + 15] as number);
    foursB = carry(twos, twosA, twosB);
    twos ^= twosA ^ twosB;
    const eightsB = carry(fours, foursA, foursB);
    fours ^= foursA ^ foursB;
    sixteens += popcount(carry(eights, eightsA, eightsB));
    eights ^= eightsA ^ eightsB;
  }
  return 16 * sixteens + 8 * popcount(eights) + 4 * popcount(fours) + 2 * popcount(twos) + popcount(ones);
}

/** ORs words of `source` into `target`. */
export function orWords(target: Int32Array, at: number, source: Int32Array, from: number, to: number): void {
  const shift = at - from;
  for (let i = from; i < to; i += 4) {
    const j = i + shift;
    target[j] = (target[j] as number) | (source[i] as number);
    target[j + 1] = (target[j + 1] as number) | (source[i + 1] as number);
    target[j + 2] = (target[j + 2] as number) | (source[i + 2] as number);
    target[j + 3] = (target[j + 3] as number) | (source[i + 3] as number);
  }
}

/** Whether words are the same. */
export function equalWords(a: Int32Array, at: number, b: Int32Array, from: number, to: number): boolean {
  const shift = at - from;
  for (let i = from; i < to; i += 4) {
    const j = i + shift;
    const differ =
      ((a[j] as number) ^ (b[i] as number)) |
      ((a[j + 1] as number) ^ (b[i + 1] as number)) |
      ((a[j + 2] as number) ^ (b[i + 2] as number)) |
      ((a[j + 3] as number) ^ (b[i + 3] as number));
    if (differ !== 0) return false;
  }
  return true;
}

/** The carry of a full adder: each bit that at least two of three words have. */
function carry(a: number, b: number, c: number): number {
  return (b & c) | (a & (b ^ c));
}
