import { assertBytes, assertPiece, assertRange, assertSameDisk } from './arguments.js';
import { clearBits, countBits, getBit, nextClear, nextSet, setEach, setRange } from './bits.js';
import { type Extent, type ExtentOptions, extentsOf, forEachExtentOf } from './extents.js';
import { assertGranularity, granulesIn, MAX_GRANULES } from './granularity.js';
import { type MemoryBudget, ownBudget } from './memory.js';
import { equalPages, orPages } from './merge.js';
import { blockOf, PageStore, wordOf } from './page-store.js';
import { readBytes, writeBytes, writeInPage } from './raw-bytes.js';
import { orResampled } from './resample.js';

export type { MemoryBudget } from './memory.js';

/** What a bitmap is made with. */
export interface BitmapOptions {
  /** Size of the disk in bytes. Without it the bitmap reaches as far as what is put into it. */
  readonly size?: number | undefined;
  /** Memory to share with other bitmaps; by default each bitmap has the default `maxBitmapMemory` for itself. */
  readonly memory?: MemoryBudget | undefined;
}

/** Pages of a bitmap that lie side by side in memory. See {@link Bitmap.pageRun}. */
export interface PageRun {
  /** Words of 32 bits, in the host's order of bytes. */
  readonly words: Int32Array;
  /** Where in them the first page begins. */
  readonly at: number;
  readonly pages: number;
}

/**
 * The dirty bits of a disk: one bit for each granule. Offsets and lengths are in BYTES OF THE DISK, except where a name
 * says otherwise: `at` is a byte of the bitmap itself, a `bit` is a granule, a `page` is 1 KiB of the bitmap.
 *
 * Memory follows what is dirty (or was stored as raw bytes), in pages of 1 KiB, not the size of the disk: a clean
 * bitmap of 8 PiB has none.
 */
export class Bitmap {
  /** Bytes of the disk that one bit stands for. */
  readonly granularity: number;
  readonly #pages: PageStore;
  /** 1 / granularity, which is exact. Not undefined at first, so that engines know it for a plain double. */
  readonly #perByte: number = 0.5;
  #size: number | undefined;

  /**
   * A clean bitmap; `granularity` is in bytes.
   * @throws DirtyBitmapError `argument` when the granularity or the size is out of range.
   */
  constructor(granularity: number, options: BitmapOptions = {}) {
    assertGranularity(granularity);
    this.granularity = granularity;
    this.#perByte = 1 / granularity;
    this.#pages = new PageStore(options.memory ?? ownBudget());
    if (options.size !== undefined) this.resize(options.size);
  }

  /** Size of the disk in bytes, or undefined while it is not known. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Bytes of memory that the bits and their tables occupy; the few objects around them are not counted. */
  get allocatedBytes(): number {
    return this.#pages.memory.allocated;
  }

  /**
   * Tells the size of the disk, in bytes. Growing keeps all bits, and what is new is clean; shrinking clears the bits
   * past the new end. Source: bdrv_dirty_bitmap_truncate().
   * @throws DirtyBitmapError `argument` when it is not a whole number from 0 to 2^53.
   */
  resize(size: number): void {
    assertBytes(size, 'size');
    const granules = granulesIn(size, this.granularity);
    clearBits(this.#pages, granules, MAX_GRANULES);
    this.#pages.maxBits = granules;
    this.#size = size;
  }

  /** Whether the granule at a byte offset is dirty; false past the end of the disk. */
  get(offset: number): boolean {
    const bit = offset * this.#perByte;
    const pages = this.#pages;
    if (bit >= 0 && bit < pages.fastBits) {
      const n = bit | 0;
      return (((pages.fast[n >>> 3] as number) >>> (n & 7)) & 1) !== 0;
    }
    assertBytes(offset, 'offset');
    return getBit(pages, Math.floor(bit));
  }

  /**
   * Makes every granule dirty that the bytes from `offset` to `offset + length` touch.
   * @throws DirtyBitmapError `argument` when the range is not one of whole numbers up to 2^53, or goes past the last
   * granule of the disk; `limit` when the memory budget is used up.
   */
  set(offset: number, length = 1): void {
    const bit = offset * this.#perByte;
    const pages = this.#pages;
    if (length === 1 && bit >= 0 && bit < pages.fastBits) {
      const n = bit | 0;
      const bytes = pages.fast;
      bytes[n >>> 3] = (bytes[n >>> 3] as number) | (1 << (n & 7));
    } else {
      setRange(pages, offset, length, this.#perByte);
    }
  }

  /**
   * Makes the granules dirty that many single bytes lie in; `offsets` are in bytes. The quickest way to set 10^6 of them.
   * @throws DirtyBitmapError as {@link set} does; what came before the bad offset is set then.
   */
  setEach(offsets: ArrayLike<number>): void {
    setEach(this.#pages, offsets, this.#perByte);
  }

  /**
   * Makes every granule clean that lies WHOLLY in the bytes from `offset` to `offset + length`: a granule of which a
   * part stays dirty stays dirty. A range that reaches the end of the disk covers its last granule.
   * Source: hbitmap_reset(), which asserts just that alignment instead of rounding.
   * @throws DirtyBitmapError `argument` when the range is not one of whole numbers up to 2^53.
   */
  clear(offset: number, length: number): void {
    assertRange(offset, length);
    const end = offset + length;
    const reachesEnd = this.#size !== undefined && end >= this.#size;
    const first = Math.ceil(offset * this.#perByte);
    clearBits(this.#pages, first, reachesEnd ? MAX_GRANULES : Math.floor(end * this.#perByte));
  }

  /** Makes everything clean and gives the memory back to its budget. */
  clearAll(): void {
    this.#pages.clear();
  }

  /** Whether nothing is dirty. */
  isEmpty(): boolean {
    return nextSet(this.#pages, 0) < 0;
  }

  /** How many granules are dirty. */
  dirtyGranules(): number {
    return countBits(this.#pages);
  }

  /** Dirty granules times granularity, in bytes: the `count` of QMP, which may be more than the size of the disk. */
  count(): number {
    return countBits(this.#pages) * this.granularity;
  }

  /**
   * The start, in bytes, of the first dirty granule that ends after `offset` (so it may begin before it), or -1.
   * @throws DirtyBitmapError `argument` when the offset is not a whole number from 0 to 2^53.
   */
  nextDirty(offset: number): number {
    assertBytes(offset, 'offset');
    const bit = nextSet(this.#pages, Math.floor(offset * this.#perByte));
    return bit < 0 || bit >= this.#pages.maxBits ? -1 : bit * this.granularity;
  }

  /**
   * The start, in bytes, of the first clean granule that ends after `offset`, or -1 when there is none before the end
   * of the disk. Where the size is not known there always is one.
   * @throws DirtyBitmapError `argument` when the offset is not a whole number from 0 to 2^53.
   */
  nextClean(offset: number): number {
    assertBytes(offset, 'offset');
    const bit = nextClear(this.#pages, Math.floor(offset * this.#perByte));
    return this.#size !== undefined && bit >= this.#pages.maxBits ? -1 : bit * this.granularity;
  }

  /** The dirty ranges in bytes, ascending, neighbours merged. See {@link forEachExtent} for many of them. */
  extents(options: ExtentOptions = {}): Generator<Extent, void, undefined> {
    return extentsOf(this.#pages, this.granularity, this.#clipAt(options));
  }

  /** Calls back with each dirty range in bytes, ascending, neighbours merged; it allocates nothing. */
  forEachExtent(callback: (offset: number, length: number) => void, options: ExtentOptions = {}): void {
    forEachExtentOf(this.#pages, this.granularity, this.#clipAt(options), callback);
  }

  /**
   * Makes the granules of all extents (in bytes) dirty; those that are dirty already stay so.
   * @throws DirtyBitmapError as {@link set} does.
   */
  setExtents(extents: Iterable<Extent>): void {
    for (const [offset, length] of extents) setRange(this.#pages, offset, length, this.#perByte);
  }

  /**
   * Makes dirty what is dirty in `other`. Where the granularities differ, a granule becomes dirty when any part of it
   * is dirty in `other`. `other` is not changed.
   * @throws DirtyBitmapError `argument` when the disks' sizes differ (QEMU: "Bitmaps are of different sizes"), or when
   * `other`, whose disk's size is not known, has dirty granules past the end of this one's; `limit` when the memory
   * budget is used up.
   */
  or(other: Bitmap): void {
    if (other === this) return;
    const ratio = this.granularity / other.granularity;
    if (this.#size !== undefined) {
      const beyond = nextSet(other.#pages, granulesIn(this.#size, other.granularity)) >= 0;
      assertSameDisk(this.#size, other.#size, beyond);
    }
    if (ratio === 1) orPages(this.#pages, other.#pages);
    else orResampled(this.#pages, other.#pages, ratio, this.#pages.maxBits);
  }

  /** Whether `other` has the same granularity and the same bits; the sizes of the disks do not matter. */
  equals(other: Bitmap): boolean {
    return this.granularity === other.granularity && equalPages(this.#pages, other.#pages);
  }

  /**
   * A copy, which takes from the same memory budget.
   * @throws DirtyBitmapError `limit` when that is used up.
   */
  clone(): Bitmap {
    const copy = new Bitmap(this.granularity, { size: this.#size, memory: this.#pages.memory.budget });
    copy.#take(() => orPages(copy.#pages, this.#pages));
    return copy;
  }

  /**
   * A copy of another granularity (bytes), which takes from the same memory budget. In a coarser one a granule is dirty
   * when any part of it is; in a finer one when the granule that it was part of is, up to the end of the disk.
   * @throws DirtyBitmapError `argument` for a bad granularity; `limit` when the memory budget is used up.
   */
  withGranularity(granularity: number): Bitmap {
    const copy = new Bitmap(granularity, { size: this.#size, memory: this.#pages.memory.budget });
    copy.#take(() => orResampled(copy.#pages, this.#pages, granularity / this.granularity, copy.#pages.maxBits));
    return copy;
  }

  /**
   * Stores bytes of `source` from `start` to `end` as the bytes of the bitmap from byte `at` on: bit i is byte i >> 3,
   * mask 1 << (i & 7). They may come in pieces of any length. Bits past the end of the disk are stored and counted as
   * they come: look for them with {@link anyBits} and clear them with {@link clearBits}.
   * @throws DirtyBitmapError `argument` when a position is out of range; `limit` when the memory budget is used up.
   */
  writeBytes(at: number, source: Uint8Array, start = 0, end: number = source.length): void {
    if (writeInPage(this.#pages, at, source, start, end)) return;
    assertPiece(at, source, start, end);
    writeBytes(this.#pages, at, source, start, end);
  }

  /**
   * Copies bytes of the bitmap, from byte `at` on, to `target` from `start` to `end`.
   * @throws DirtyBitmapError `argument` when a position is out of range.
   */
  readBytes(at: number, target: Uint8Array, start = 0, end: number = target.length): void {
    assertPiece(at, target, start, end);
    readBytes(this.#pages, at, target, start, end);
  }

  /**
   * Clears `length` bytes of the bitmap from byte `at` on, and gives up the pages wholly inside.
   * @throws DirtyBitmapError `argument` when a position is not a whole number from 0 to 2^53.
   */
  zeroBytes(at: number, length: number): void {
    assertRange(at, length);
    clearBits(this.#pages, at * 8, (at + length) * 8);
  }

  /**
   * Clears the bits (granules) from `firstBit` to `endBit`, the first that stays.
   * @throws DirtyBitmapError `argument` when one is not a whole number from 0 to 2^53.
   */
  clearBits(firstBit: number, endBit: number): void {
    assertBytes(firstBit, 'first bit');
    assertBytes(endBit, 'end bit');
    clearBits(this.#pages, firstBit, endBit);
  }

  /**
   * Whether any of the bits (granules) from `firstBit` up to `endBit` is set, `endBit` itself left out.
   * @throws DirtyBitmapError `argument` when one is not a whole number from 0 to 2^53.
   */
  anyBits(firstBit: number, endBit: number): boolean {
    assertBytes(firstBit, 'first bit');
    assertBytes(endBit, 'end bit');
    const bit = nextSet(this.#pages, firstBit, endBit);
    return bit >= 0 && bit < endBit;
  }

  /** The first page (1 KiB of the bitmap) from `page` on that may hold a set bit, or -1: all others are clean. */
  nextUsedPage(page: number): number {
    return this.#pages.table.next(page);
  }

  /**
   * The words of a page (1 KiB of the bitmap), and of those behind it that lie beside it in memory, at most `max` pages:
   * for loops that look at every word. Not a copy: nothing may be written there, and the next change of the bitmap may
   * move them. Undefined for a page that is absent, which is clean.
   */
  pageRun(page: number, max: number): PageRun | undefined {
    const pages = this.#pages;
    const slot = pages.table.slot(page);
    if (slot === 0) return undefined;
    return { words: pages.words[blockOf(slot)] as Int32Array, at: wordOf(slot), pages: pages.run(page, slot, max) };
  }

  /** Whether a page (1 KiB of the bitmap) holds no set bit. */
  pageIsZero(page: number): boolean {
    return this.#pages.isZero(page);
  }

  /** Fills a bitmap that nobody else has yet; when that fails its memory goes back. */
  #take(fill: () => void): void {
    try {
      fill();
    } catch (error) {
      this.clearAll();
      throw error;
    }
  }

  /** Where extents are cut, in bytes. */
  #clipAt(options: ExtentOptions): number {
    return this.#size === undefined || options.clip === false ? Number.POSITIVE_INFINITY : this.#size;
  }
}
