import { DirtyBitmapError } from '../errors.js';

/** Reads a big-endian u16 at `pos`. The caller has checked that the bytes are there. */
export function readU16(bytes: Uint8Array, pos: number): number {
  return ((bytes[pos] as number) << 8) | (bytes[pos + 1] as number);
}

/** Reads a big-endian u32 at `pos`. The caller has checked that the bytes are there. */
export function readU32(bytes: Uint8Array, pos: number): number {
  return (
    (((bytes[pos] as number) << 24) |
      ((bytes[pos + 1] as number) << 16) |
      ((bytes[pos + 2] as number) << 8) |
      (bytes[pos + 3] as number)) >>>
    0
  );
}

/** Upper halves above this make a u64 exceed 2^53-1. */
const MAX_SAFE_HIGH = 0x1f_ffff;

/** True where `high * 2^32 + low` is at most 2^53-1. */
export function isSafeU64(high: number): boolean {
  return high <= MAX_SAFE_HIGH;
}

/** `high * 2^32 + low`; exact only where {@link isSafeU64} holds. */
export function joinU64(high: number, low: number): number {
  return high * 0x1_0000_0000 + low;
}

/** The exact value in decimal, for messages about values that no number can hold. */
export function u64Text(high: number, low: number): string {
  return ((BigInt(high) << 32n) | BigInt(low)).toString();
}

/**
 * Reads a big-endian u64 at `pos` as a number.
 * @param offset where the field is in the input, in bytes, for the error.
 * @throws DirtyBitmapError `u64-too-large` above 2^53-1.
 */
export function readU64(bytes: Uint8Array, pos: number, offset: number, path: string): number {
  const high = readU32(bytes, pos);
  const low = readU32(bytes, pos + 4);
  if (!isSafeU64(high)) {
    throw new DirtyBitmapError(
      'u64-too-large',
      `${path}: expected at most 2^53-1, found ${u64Text(high, low)}; the input is damaged or not what it seems`,
      { offset, path },
    );
  }
  return joinU64(high, low);
}
