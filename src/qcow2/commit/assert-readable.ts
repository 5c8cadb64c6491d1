import { DirtyBitmapError } from '../../errors.js';
import type { Limits } from '../../limits.js';
import { WORD } from '../table.js';

/** How much a bitmap takes, in words of its table, and in clusters of bits of each kind that are read. */
export interface StoredSize {
  readonly words: number;
  readonly ones: number;
  readonly data: number;
}

/**
 * Refuses bitmaps that could not be read again within the limits: they would be written, and not be proven right.
 * @throws DirtyBitmapError `limit`.
 */
export function assertReadable(sizes: readonly StoredSize[], clusterSize: number, limits: Limits): void {
  const sum = (one: (size: StoredSize) => number): number => sizes.reduce((total, size) => total + one(size), 0);
  const needs = [
    ['maxBitmaps', sizes.length, 'bitmaps'],
    ['maxBitmapTableBytes', sum(({ words }) => words * WORD), 'bytes of tables'],
    ['maxStoredBitsBytes', sum(({ data }) => data * clusterSize), 'bytes of stored bits'],
    ['maxBitmapMemory', sum(({ data, ones }) => (data + ones) * clusterSize), 'bytes of bits in memory'],
  ] as const;
  for (const [limit, need, what] of needs) {
    if (need <= limits[limit]) continue;
    const message = `the image would have ${need} ${what}, over the limit of ${limits[limit]}; raise ${limit}, or use a coarser granularity`;
    throw new DirtyBitmapError('limit', message);
  }
}
