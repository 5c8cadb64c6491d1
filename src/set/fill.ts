import type { Bitmap } from '../bitmap/bitmap.js';
import { granulesIn, MAX_DISK_BYTES } from '../bitmap/granularity.js';
import type { ExtentList } from './extent-list.js';

/** Refuses a place in a bitmap's fields. */
export type Refuse = (below: string, expected: string, found: string, advice: string) => never;

/** Granules up to an end in bytes, or of the largest disk. */
export function granulesUpTo(end: number | undefined, granularity: number): number {
  return granulesIn(end ?? MAX_DISK_BYTES, granularity);
}

/**
 * Makes the extents of a document dirty, if they are as they should be: ascending, apart, on granules, or cut at `end`
 * (bytes of the disk), behind which nothing is.
 * @throws DirtyBitmapError `limit` where the bits need too much memory, and what `refuse` throws.
 */
export function fillExtents(bits: Bitmap, extents: ExtentList, end: number | undefined, refuse: Refuse): void {
  const { granularity } = bits;
  let before = -1;
  for (let i = 0; i < extents.length; i++) {
    const offset = extents.offset(i);
    const length = extents.size(i);
    const stop = offset + length;
    const bad = (expected: string, found: string | number, advice: string): never =>
      refuse(`dirty[${i}]`, expected, String(found), advice);
    if (offset <= before) {
      bad(
        `an offset above ${before}, where the extent before ends`,
        offset,
        'sort the extents and join those that touch',
      );
    }
    if (length === 0) bad('a length above 0', 0, 'leave the extent out');
    // Not the sum, which is rounded where it is over 2^53.
    if (length > (end ?? MAX_DISK_BYTES) - offset) {
      bad(
        `an end of at most ${end === undefined ? '2^53' : `${end}, where the disk ends`}`,
        stop,
        'cut the extent there',
      );
    }
    if (offset % granularity !== 0) {
      bad(`an offset that is a multiple of the granularity, ${granularity}`, offset, 'extents are whole granules');
    }
    if (stop % granularity !== 0 && stop !== end) {
      const places = end === undefined ? '' : `, or ${end}, the end of the disk`;
      bad(`an end that is a multiple of the granularity, ${granularity}${places}`, stop, 'extents are whole granules');
    }
    bits.set(offset, length);
    before = stop;
  }
}

/**
 * Takes over the bytes of a bitmap, if nothing in them is set behind `end` (bytes of the disk).
 * @throws DirtyBitmapError `limit` where the bits need too much memory, and what `refuse` throws.
 */
export function fillBits(bits: Bitmap, bytes: Uint8Array, end: number | undefined, refuse: Refuse): void {
  bits.writeBytes(0, bytes);
  const granules = granulesUpTo(end, bits.granularity);
  if (bits.anyBits(granules, Math.max(granules, bytes.length * 8))) {
    refuse('bits', `no bit set behind the disk's ${granules} granules`, 'some', 'clear them, or correct the size');
  }
}
