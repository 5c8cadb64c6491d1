import { nextClear, nextSet, setRange } from './bits.js';
import type { PageStore } from './page-store.js';

/**
 * ORs the bits of `source` into `target`, whose granules are `ratio` times as large (a power of two, below 1 where
 * they are smaller): a granule of `target` becomes dirty when any part of it is dirty. Bits from `endBit` of `target`
 * on stay as they are.
 * @throws DirtyBitmapError `limit` when the memory budget is used up; what was merged until then stays.
 */
export function orResampled(target: PageStore, source: PageStore, ratio: number, endBit: number): void {
  for (let bit = nextSet(source, 0); bit >= 0; ) {
    const first = Math.floor(bit / ratio);
    if (first >= endBit) return;
    const clear = nextClear(source, bit);
    const end = Math.min(endBit, Math.ceil(clear / ratio));
    setRange(target, first, end - first, 1);
    // What else there is in the last granule of the target is dirty already.
    bit = nextSet(source, Math.max(clear, end * ratio));
  }
}
