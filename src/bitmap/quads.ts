import { countWords, popcount } from './words.js';

/**
 * The loops that pay as 64-bit words. V8 compiles BigUint64Array arithmetic to machine words without allocating, and
 * then it is twice as fast as on 32-bit words; other engines allocate for each operation, so they get the 32-bit loops.
 */

/** Runs below this, in 64-bit words, are left to the 32-bit loops: it takes a while until V8 has compiled these. */
export const MIN_QUADS = 1024;

/** Rounds of sixteen words whose carries are kept before they are counted. */
const BATCH = 256;

const u64 = BigInt.asUintN;
/** The carries of each round, and the sums that a round hands to the next: kept here, as a variable would be boxed. */
const carries = new BigUint64Array(BATCH);
const carryWords = new Int32Array(carries.buffer);
const sums = new BigUint64Array(4);
const sumWords = new Int32Array(sums.buffer);
/** A 64-bit word to look at as two of 32 bits: comparing it with another would box both. */
const probe = new BigUint64Array(1);
const probeWords = new Int32Array(probe.buffer);

let native: boolean | undefined;

/** Whether this engine is V8, told by the shape of its stack traces. A wrong answer costs time, nothing else. */
export function quadsAreNative(): boolean {
  native ??= /^ +at /m.test(new Error().stack ?? '');
  return native;
}

/** ORs 64-bit words of `source` into `target`; `to - from` is a multiple of 8. */
export function orQuads(target: BigUint64Array, at: number, source: BigUint64Array, from: number, to: number): void {
  const shift = at - from;
  for (let i = from; i < to; i += 8) {
    const j = i + shift;
    target[j] = (target[j] as bigint) | (source[i] as bigint);
    target[j + 1] = (target[j + 1] as bigint) | (source[i + 1] as bigint);
    target[j + 2] = (target[j + 2] as bigint) | (source[i + 2] as bigint);
    target[j + 3] = (target[j + 3] as bigint) | (source[i + 3] as bigint);
    target[j + 4] = (target[j + 4] as bigint) | (source[i + 4] as bigint);
    target[j + 5] = (target[j + 5] as bigint) | (source[i + 5] as bigint);
    target[j + 6] = (target[j + 6] as bigint) | (source[i + 6] as bigint);
    target[j + 7] = (target[j + 7] as bigint) | (source[i + 7] as bigint);
  }
}

/** Bits set in 64-bit words, by the adder of `countWords`; `to - from` is a multiple of 128, a page. */
export function countQuads(words: BigUint64Array, from: number, to: number): number {
  sums.fill(0n);
  let count = 0;
  for (let at = from; at < to; at += BATCH * 16) {
    const rounds = Math.min(BATCH, (to - at) >>> 4);
    addUp(words, at, rounds);
    count += 16 * countWords(carryWords, 0, rounds * 2);
  }
  for (let i = 0; i < 4; i++) {
    count += (popcount(sumWords[2 * i] as number) + popcount(sumWords[2 * i + 1] as number)) * 2 ** i;
  }
  return count;
}

/**
 * Fifteen full adders a round, each h = a ^ b, carry c = (a & b) | (h & in), sum s = h ^ in. Written out, because V8
 * keeps no 64-bit word in a register across a call, a function's result or the turn of a loop.
 */
function addUp(words: BigUint64Array, from: number, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    const i = from + round * 16;
    const ones0 = sums[0] as bigint;
    const twos0 = sums[1] as bigint;
    const fours0 = sums[2] as bigint;
    const eights0 = sums[3] as bigint;
    const w0 = words[i] as bigint;
    const w1 = words[i + 1] as bigint;
    const h0 = u64(64, w0 ^ w1);
    const c0 = u64(64, (w0 & w1) | (h0 & ones0));
    const s0 = u64(64, h0 ^ ones0);
    const w2 = words[i + 2] as bigint;
    const w3 = words[i + 3] as bigint;
    const h1 = u64(64, w2 ^ w3);
    const c1 = u64(64, (w2 & w3) | (h1 & s0));
    const s1 = u64(64, h1 ^ s0);
    const h2 = u64(64, c0 ^ c1);
    const c2 = u64(64, (c0 & c1) | (h2 & twos0));
    const s2 = u64(64, h2 ^ twos0);
    const w4 = words[i + 4] as bigint;
    const w5 = words[i + 5] as bigint;
    const h3 = u64(64, w4 ^ w5);
    const c3 = u64(64, (w4 & w5) | (h3 & s1));
    const s3 = u64(64, h3 ^ s1);
    const w6 = words[i + 6] as bigint;
    const w7 = words[i + 7] as bigint;
    const h4 = u64(64, w6 ^ w7);
    const c4 = u64(64, (w6 & w7) | (h4 & s3));
    const s4 = u64(64, h4 ^ s3);
    const h5 = u64(64, c3 ^ c4);
    const c5 = u64(64, (c3 & c4) | (h5 & s2));
    const s5 = u64(64, h5 ^ s2);
    const h6 = u64(64, c2 ^ c5);
    const c6 = u64(64, (c2 & c5) | (h6 & fours0));
    const s6 = u64(64, h6 ^ fours0);
    const w8 = words[i + 8] as bigint;
    const w9 = words[i + 9] as bigint;
    const h7 = u64(64, w8 ^ w9);
    const c7 = u64(64, (w8 & w9) | (h7 & s4));
    const s7 = u64(64, h7 ^ s4);
    const w10 = words[i + 10] as bigint;
    const w11 = words[i + 11] as bigint;
    const h8 = u64(64, w10 ^ w11);
    const c8 = u64(64, (w10 & w11) | (h8 & s7));
    const s8 = u64(64, h8 ^ s7);
    const h9 = u64(64, c7 ^ c8);
    const c9 = u64(64, (c7 & c8) | (h9 & s5));
    const s9 = u64(64, h9 ^ s5);
    const w12 = words[i + 12] as bigint;
    const w13 = words[i + 13] as bigint;
    const h10 = u64(64, w12 ^ w13);
    const c10 = u64(64, (w12 & w13) | (h10 & s8));
    const s10 = u64(64, h10 ^ s8);
    const w14 = words[i + 14] as bigint;
    const w15 = words[i + 15] as bigint;
    const h11 = u64(64, w14 ^ w15);
    const c11 = u64(64, (w14 & w15) | (h11 & s10));
    const s11 = u64(64, h11 ^ s10);
    const h12 = u64(64, c10 ^ c11);
    const c12 = u64(64, (c10 & c11) | (h12 & s9));
    const s12 = u64(64, h12 ^ s9);
    const h13 = u64(64, c9 ^ c12);
    const c13 = u64(64, (c9 & c12) | (h13 & s6));
    const s13 = u64(64, h13 ^ s6);
    const h14 = u64(64, c6 ^ c13);
    const c14 = u64(64, (c6 & c13) | (h14 & eights0));
    const s14 = u64(64, h14 ^ eights0);
    carries[round] = c14;
    sums[0] = s11;
    sums[1] = s12;
    sums[2] = s13;
    sums[3] = s14;
  }
}

/** The start of the first eight 64-bit words that are not all zero, or `to`. `from` and `to` are multiples of 8. */
export function skipZeroes(w: BigUint64Array, from: number, to: number): number {
  let i = from;
  for (; i < to; i += 8) {
    probe[0] =
      (w[i] as bigint) |
      (w[i + 1] as bigint) |
      (w[i + 2] as bigint) |
      (w[i + 3] as bigint) |
      (w[i + 4] as bigint) |
      (w[i + 5] as bigint) |
      (w[i + 6] as bigint) |
      (w[i + 7] as bigint);
    if (((probeWords[0] as number) | (probeWords[1] as number)) !== 0) break;
  }
  return i;
}

/** The start of the first eight 64-bit words that are not all ones, or `to`. `from` and `to` are multiples of 8. */
export function skipOnes(w: BigUint64Array, from: number, to: number): number {
  let i = from;
  for (; i < to; i += 8) {
    probe[0] =
      (w[i] as bigint) &
      (w[i + 1] as bigint) &
      (w[i + 2] as bigint) &
      (w[i + 3] as bigint) &
      (w[i + 4] as bigint) &
      (w[i + 5] as bigint) &
      (w[i + 6] as bigint) &
      (w[i + 7] as bigint);
    if (((probeWords[0] as number) & (probeWords[1] as number)) !== -1) break;
  }
  return i;
}
