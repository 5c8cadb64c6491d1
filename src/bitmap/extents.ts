import { nextClear, nextSet } from './bits.js';
import type { PageStore } from './page-store.js';

/** A range of dirty bytes of the disk: where it begins and how long it is, both in bytes. */
export type Extent = readonly [offset: number, length: number];

/** How extents are listed. */
export interface ExtentOptions {
  /**
   * Whether the last extent ends with the disk where it would reach past it; true by default. With `false` extents are
   * whole granules, as QMP's `count` counts them. Where the disk's size is not known this makes no difference.
   */
  readonly clip?: boolean | undefined;
}

/** The dirty ranges, in bytes, up to byte `last` and to the last granule that there may be. */
export function* extentsOf(store: PageStore, granularity: number, last: number): Generator<Extent, void, undefined> {
  const maxBits = store.maxBits;
  for (let first = nextSet(store, 0); first >= 0 && first < maxBits; ) {
    const end = Math.min(maxBits, nextClear(store, first));
    const offset = first * granularity;
    yield [offset, Math.min(last, end * granularity) - offset];
    first = nextSet(store, end);
  }
}

/** Calls back with what {@link extentsOf} yields. */
export function forEachExtentOf(
  store: PageStore,
  granularity: number,
  last: number,
  callback: (offset: number, length: number) => void,
): void {
  const maxBits = store.maxBits;
  for (let first = nextSet(store, 0); first >= 0 && first < maxBits; ) {
    const end = Math.min(maxBits, nextClear(store, first));
    const offset = first * granularity;
    callback(offset, Math.min(last, end * granularity) - offset);
    first = nextSet(store, end);
  }
}
