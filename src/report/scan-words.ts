import type { Bitmap } from '../bitmap/bitmap.js';

/** Bytes of a page, the unit in which bitmaps keep what is dirty. */
const PAGE_BYTES = 1024;
const PAGE_BITS: number = PAGE_BYTES * 8;

/**
 * Takes 32 bits each of two bitmaps, least significant first (`b` is 0 where there is one bitmap only), and the number of
 * the first of them. Never called with both 0.
 */
export type WordPairVisitor = (a: number, b: number, firstBit: number) => void;

/**
 * Looks at two bitmaps of one granularity 32 bits at a time, ascending, as far as either has anything dirty. What is clean
 * costs nothing, and an extent no more than its bits: counting extents of a bitmap of alternating bits takes ten times as
 * long.
 * @param granules bits at and after this number are not shown.
 */
export function forEachWordPair(a: Bitmap, b: Bitmap | undefined, granules: number, visit: WordPairVisitor): void {
  const bytesOfA = new Uint8Array(PAGE_BYTES);
  const bytesOfB = new Uint8Array(PAGE_BYTES);
  const [viewA, viewB] = [new DataView(bytesOfA.buffer), new DataView(bytesOfB.buffer)];
  let nextA = a.nextUsedPage(0);
  let nextB = b?.nextUsedPage(0) ?? -1;
  while (nextA >= 0 || nextB >= 0) {
    const page = nextA < 0 || (nextB >= 0 && nextB < nextA) ? nextB : nextA;
    const at = page * PAGE_BYTES;
    const firstOfPage = page * PAGE_BITS;
    if (firstOfPage >= granules) return;
    a.readBytes(at, bytesOfA);
    b?.readBytes(at, bytesOfB);
    const left = granules - firstOfPage;
    for (let bit = 0; bit < PAGE_BITS && bit < left; bit += 32) {
      const mask = left - bit >= 32 ? -1 : 2 ** (left - bit) - 1;
      const wordOfA = viewA.getInt32(bit >>> 3, true) & mask;
      const wordOfB = viewB.getInt32(bit >>> 3, true) & mask;
      if ((wordOfA | wordOfB) !== 0) visit(wordOfA, wordOfB, firstOfPage + bit);
    }
    nextA = a.nextUsedPage(page + 1);
    nextB = b?.nextUsedPage(page + 1) ?? -1;
  }
}
