import { DirtyBitmapError } from '../errors.js';

/** Smallest granularity, in bytes: one sector. Source: QEMU's bdrv_create_dirty_bitmap asserts it. */
export const MIN_GRANULARITY = 512;

/** Largest granularity, in bytes (2 GiB). Source: the u32 of START; QMP refuses more (captures/granularity-refused). */
export const MAX_GRANULARITY: number = 2 ** 31;

/**
 * Largest disk, in bytes: 8 PiB, which QEMU really has (captures/granularity-128m-8pib). A Number holds it and all
 * smaller ones exactly, although it is one more than Number.MAX_SAFE_INTEGER.
 */
export const MAX_DISK_BYTES: number = 2 ** 53;

/**
 * Granules that a bitmap can address: those of the largest disk at the finest granularity. QEMU itself stops at
 * 2^41 (HBitmap's levels on a 64-bit host), so whatever it can hold fits.
 */
export const MAX_GRANULES: number = 2 ** 44;

/** Whether `n`, in bytes, is a granularity that QEMU can have: a power of two from 512 bytes to 2 GiB. */
export function isGranularity(n: number): boolean {
  // MAX_GRANULARITY is a power of two, so all the others divide it and nothing else does.
  return Number.isInteger(n) && n >= MIN_GRANULARITY && n <= MAX_GRANULARITY && MAX_GRANULARITY % n === 0;
}

/**
 * Refuses what is no granularity; `n` is in bytes.
 * @throws DirtyBitmapError `argument` unless {@link isGranularity}.
 */
export function assertGranularity(n: number): void {
  if (isGranularity(n)) return;
  throw new DirtyBitmapError(
    'argument',
    `granularity: expected a power of two from ${MIN_GRANULARITY} to ${MAX_GRANULARITY} bytes, found ${n}`,
  );
}

/**
 * Granules, and so bits, that `bytes` bytes of disk need: rounded up, as QEMU does. Exact to 2^53 bytes, because
 * dividing by a power of two only changes the exponent.
 */
export function granulesIn(bytes: number, granularity: number): number {
  return Math.ceil(bytes / granularity);
}
