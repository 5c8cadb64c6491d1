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
 * Granules that a bitmap can address: those of the largest disk at the finest granularity. What QEMU can hold fits:
 * see {@link MAX_QEMU_GRANULES}.
 */
export const MAX_GRANULES: number = 2 ** 44;

/** Granules of a bitmap that a QEMU on a 64-bit host can hold; it asserts that there are no more. */
export const MAX_QEMU_GRANULES: number = 2 ** 41;

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
 * Refuses a bitmap that no QEMU can hold: `size` of the disk and `granularity` in bytes.
 * @throws DirtyBitmapError `bitmap-too-large` above {@link MAX_QEMU_GRANULES}.
 */
export function assertQemuGranules(size: number, granularity: number): void {
  const problem = tooManyGranules(size, granularity);
  if (problem !== undefined) throw new DirtyBitmapError('bitmap-too-large', problem);
}

/** What is wrong with a bitmap that no QEMU can hold, or undefined; both in bytes. */
export function tooManyGranules(size: number, granularity: number): string | undefined {
  const granules = granulesIn(size, granularity);
  if (granules <= MAX_QEMU_GRANULES) return undefined;
  return (
    `a disk of ${size} bytes has ${granules} granules of ${granularity} bytes, and QEMU aborts above 2^41; use a ` +
    'coarser granularity'
  );
}

/**
 * Granules, and so bits, that `bytes` bytes of disk need: rounded up, as QEMU does. Exact to 2^53 bytes, because
 * dividing by a power of two only changes the exponent.
 */
export function granulesIn(bytes: number, granularity: number): number {
  return Math.ceil(bytes / granularity);
}
