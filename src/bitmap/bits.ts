import { DirtyBitmapError } from '../errors.js';
import { MAX_DISK_BYTES } from './granularity.js';
import {
  BLOCK_PAGES,
  blockOf,
  byteOf,
  PAGE_BITS,
  PAGE_BYTES,
  PAGE_WORDS,
  type PageStore,
  wordOf,
} from './page-store.js';
import { countQuads, MIN_QUADS, quadsAreNative } from './quads.js';
import { countWords } from './words.js';

/**
 * Operations on ranges of bits. Positions are bit numbers, from 0 to 2^44; the end of a range is the first bit after
 * it. Single bits and the ends of ranges are handled as bytes, so that the order of bytes in the host does not matter.
 */

/** Whether a bit is set. */
export function getBit(store: PageStore, bit: number): boolean {
  const page = Math.floor(bit / PAGE_BITS);
  const slot = store.table.slot(page);
  if (slot === 0) return false;
  const inPage = bit - page * PAGE_BITS;
  return (
    (((store.bytes[blockOf(slot)] as Uint8Array)[byteOf(slot) + (inPage >>> 3)] as number) >>> (inPage & 7)) % 2 === 1
  );
}

/**
 * Sets the bits that a range touches. `scale` is what a position is multiplied with to give a bit: 1 for a range of
 * bits, 1 / granularity for one of bytes.
 *
 * This is one long function on purpose. V8 inlines short ones, and it does not inline a function into which too much
 * was inlined: `Bitmap.set`, which calls this now and then, must be inlined where it is called, or passing the number
 * costs more than setting the bit.
 * @throws DirtyBitmapError `argument` when the range is not one of whole numbers up to 2^53, or goes past the bits
 * that there may be; `limit` when the memory budget does not hold that many. Nothing has changed then.
 */
export function setRange(store: PageStore, offset: number, length: number, scale: number): void {
  const bit = offset * scale;
  if (length === 1 && bit >= 0 && bit < store.lowBits) {
    // A granule of a page that is there, the usual case.
    if (--store.patience === 0) store.openWindow();
    const n = bit | 0;
    const near = store.table.near;
    const slot = n >>> 13 < near.length ? (near[n >>> 13] as number) : 0;
    if (slot !== 0) {
      const bytes = store.bytes[blockOf(slot)] as Uint8Array;
      const at = byteOf(slot) + ((n >>> 3) & (PAGE_BYTES - 1));
      bytes[at] = (bytes[at] as number) | (1 << (n & 7));
      return;
    }
  }
  // Both are from 0 to 2^53; their sum would be rounded, the difference is exact.
  const inRange = offset >= 0 && length >= 0 && length <= MAX_DISK_BYTES - offset;
  if (!inRange || !Number.isInteger(offset) || !Number.isInteger(length)) {
    throw new DirtyBitmapError(
      'argument',
      `offset and length: expected whole numbers from 0 to 2^53 that end there at most, found ${offset} and ${length}`,
    );
  }
  if (length === 0) return;
  const first = Math.floor(bit);
  const end = Math.floor((offset + length - 1) * scale) + 1;
  if (end > store.maxBits) {
    throw new DirtyBitmapError(
      'argument',
      `the range from ${offset} to ${offset + length} ends past the last granule, at ${store.maxBits / scale}; ` +
        'resize the bitmap first, or leave out what lies beyond',
    );
  }
  const firstPage = Math.floor(first / PAGE_BITS);
  const endPage = Math.ceil(end / PAGE_BITS);
  store.memory.require((endPage - firstPage - store.capacity) * PAGE_BYTES);
  for (let page = firstPage; page < endPage; page++) {
    const slot = store.claim(page);
    const bytes = store.bytes[blockOf(slot)] as Uint8Array;
    const base = byteOf(slot);
    const from = Math.max(0, first - page * PAGE_BITS);
    const last = Math.min(PAGE_BITS, end - page * PAGE_BITS) - 1;
    const head = 0xff << (from & 7);
    const tail = 0xff >>> (7 - (last & 7));
    const at = base + (from >>> 3);
    const lastAt = base + (last >>> 3);
    if (at === lastAt) {
      bytes[at] = (bytes[at] as number) | (head & tail);
    } else {
      bytes[at] = (bytes[at] as number) | head;
      bytes.fill(0xff, at + 1, lastAt);
      bytes[lastAt] = (bytes[lastAt] as number) | tail;
    }
  }
}

/**
 * Sets the bit of each of many positions; `scale` is as for {@link setRange}.
 * @throws DirtyBitmapError as {@link setRange} does; the positions before stay set.
 */
export function setEach(store: PageStore, offsets: ArrayLike<number>, scale: number): void {
  for (let i = 0; i < offsets.length; i++) {
    // A loop of its own, because a call in it, even one that is hardly ever made, makes V8 keep its variables in memory.
    const bytes = store.fast;
    const end = store.fastBits;
    for (; i < offsets.length; i++) {
      const bit = (offsets[i] as number) * scale;
      if (!(bit >= 0 && bit < end)) break;
      const n = bit | 0;
      bytes[n >>> 3] = (bytes[n >>> 3] as number) | (1 << (n & 7));
    }
    if (i < offsets.length) setRange(store, offsets[i] as number, 1, scale);
  }
}

/** Clears the bits from `first` to `end`; pages wholly inside are given up. */
export function clearBits(store: PageStore, first: number, end: number): void {
  if (end <= first || store.table.used === 0) return;
  const endPage = Math.ceil(end / PAGE_BITS);
  for (
    let page = store.table.next(Math.floor(first / PAGE_BITS), endPage);
    page >= 0;
    page = store.table.next(page + 1, endPage)
  ) {
    const start = page * PAGE_BITS;
    if (first <= start && end >= start + PAGE_BITS) {
      store.release(page);
      continue;
    }
    const slot = store.table.slot(page);
    const bytes = store.bytes[blockOf(slot)] as Uint8Array;
    clearInBytes(bytes, byteOf(slot), Math.max(0, first - start), Math.min(PAGE_BITS, end - start));
  }
}

/** The first bit that is set, from `bit` on, or -1. Pages from the one of `end` on are not looked at. */
export function nextSet(store: PageStore, bit: number, end: number = Number.POSITIVE_INFINITY): number {
  const endPage = Math.ceil(end / PAGE_BITS);
  let page = Math.floor(bit / PAGE_BITS);
  let from = bit - page * PAGE_BITS;
  for (;;) {
    const next = store.table.next(page, endPage);
    if (next < 0) return -1;
    if (next !== page) from = 0;
    const found = findInPage(store, store.table.slot(next), from, 0);
    if (found < PAGE_BITS) return next * PAGE_BITS + found;
    page = next + 1;
    from = 0;
  }
}

/** The first bit that is clear, from `bit` on. */
export function nextClear(store: PageStore, bit: number): number {
  let page = Math.floor(bit / PAGE_BITS);
  let from = bit - page * PAGE_BITS;
  for (;;) {
    const slot = store.table.slot(page);
    if (slot === 0) return page * PAGE_BITS + from;
    const found = findInPage(store, slot, from, 0xff);
    if (found < PAGE_BITS) return page * PAGE_BITS + found;
    page++;
    from = 0;
  }
}

/** How many bits are set. */
export function countBits(store: PageStore): number {
  const table = store.table;
  const wide = quadsAreNative();
  let count = 0;
  for (let page = table.next(0); page >= 0; ) {
    const slot = table.slot(page);
    const block = blockOf(slot);
    const pages = store.run(page, slot, BLOCK_PAGES);
    const from = wordOf(slot);
    const to = from + pages * PAGE_WORDS;
    if (wide && to - from >= 2 * MIN_QUADS) count += countQuads(store.quads(block), from >>> 1, to >>> 1);
    else count += countWords(store.words[block] as Int32Array, from, to);
    page = table.next(page + pages);
  }
  return count;
}

/** The first bit, from `from` on, that the page has and a page of bytes `same` (0 or 255) has not, or PAGE_BITS. */
function findInPage(store: PageStore, slot: number, from: number, same: number): number {
  const bytes = store.bytes[blockOf(slot)] as Uint8Array;
  const base = byteOf(slot);
  let at = from >>> 3;
  // What is left of the first byte, then of the first word, then the rest of the page.
  let different = ((bytes[base + at] as number) ^ same) & (0xff << (from & 7));
  while (different === 0) {
    at++;
    if ((at & 3) === 0) {
      at = store.skip(slot, at >>> 2, same) << 2;
      if (at === PAGE_BYTES) return PAGE_BITS;
    }
    different = (bytes[base + at] as number) ^ same;
  }
  return (at << 3) + lowestBit(different);
}

/** The number of the lowest bit that is set. */
function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Clears the bits from `from` to `to` of the page at `base`. */
function clearInBytes(bytes: Uint8Array, base: number, from: number, to: number): void {
  const first = base + (from >>> 3);
  const last = base + ((to - 1) >>> 3);
  const head = 0xff << (from & 7);
  const tail = 0xff >>> (7 - ((to - 1) & 7));
  if (first === last) {
    bytes[first] = (bytes[first] as number) & ~(head & tail);
    return;
  }
  bytes[first] = (bytes[first] as number) & ~head;
  bytes.fill(0, first + 1, last);
  bytes[last] = (bytes[last] as number) & ~tail;
}
