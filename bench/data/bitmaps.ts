import type { Bitmap } from '../../src/index.js';
import { loadCore } from '../library.js';
import { randomBits, randomBytes } from './random.js';

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** The disk of most cases: 1 TiB at 4 KiB has 2^28 bits, 32 MiB, 32768 chunks of QEMU. */
export const DISK: number = 1024 * GiB;
export const GRANULARITY: number = 4 * KiB;
export const BITS: number = DISK / GRANULARITY;
export const BYTES: number = BITS / 8;
export const CHUNKS: number = BYTES / KiB;

/** What is dirty: random bytes everywhere, 0.01 % of the bits, 268 of them (0.0001 %), nothing. */
export type Kind = 'dense' | '0.01 %' | '268 bits' | 'empty';

/** The bytes of a bitmap of a kind. */
export function bytesOf(kind: Kind): Uint8Array {
  if (kind === 'dense') return randomBytes(1, BYTES);
  const bytes = new Uint8Array(BYTES);
  for (const bit of randomBits(1, countOf(kind), BITS))
    bytes[bit >>> 3] = (bytes[bit >>> 3] as number) | (1 << (bit & 7));
  return bytes;
}

/** A bitmap with these bytes, as a decoder would have filled it. */
export async function bitmapOf(dist: string, bytes: Uint8Array): Promise<Bitmap> {
  const { Bitmap } = await loadCore(dist);
  const bits = new Bitmap(GRANULARITY, { size: DISK });
  for (let at = 0; at < bytes.length; at += KiB) bits.writeBytes(at, bytes, at, at + KiB);
  return bits;
}

function countOf(kind: Exclude<Kind, 'dense'>): number {
  return { '0.01 %': Math.round(BITS / 10_000), '268 bits': 268, empty: 0 }[kind];
}
