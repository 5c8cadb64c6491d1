import { MAX_GRANULES } from './granularity.js';
import { MemoryAccount, type MemoryBudget } from './memory.js';
import { PageTable } from './page-table.js';
import { quadsAreNative, skipOnes, skipZeroes } from './quads.js';
import { skipWords } from './words.js';

/** Bytes of a page: what one chunk of QEMU carries, so that a chunk is a page and an absent page a ZEROES chunk. */
export const PAGE_BYTES = 1024;
/** Bits of a page. */
export const PAGE_BITS: number = PAGE_BYTES * 8;
/** 32-bit words of a page. */
export const PAGE_WORDS: number = PAGE_BYTES / 4;

/** A slot is `block << BLOCK_SHIFT | index`: a block has at most 1024 pages, 1 MiB. */
const BLOCK_SHIFT = 10;
/** Pages of a block at most, and so of a run. */
export const BLOCK_PAGES: number = 1 << BLOCK_SHIFT;
const FIRST_BLOCK_PAGES = 4;
/** Block numbers start at 1, so that no slot is 0. */
const FIRST_BLOCK = 1;

const MAX_SMALL: number = 2 ** 31 - 1;
/** Pages of the largest window, 128 MiB: its bits are numbered by small integers. */
const MAX_WINDOW_PAGES: number = 2 ** 17;
/** A window is made where at least one page in so many is in use. */
const WINDOW_SPARSITY = 4;
const MIN_PATIENCE = 1024;

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Int32Array(0);

/**
 * The bytes of a bitmap, in pages of 1 KiB; a page that was never written is absent and reads as zero. A page that is
 * present may be all zero as well: presence is a hint that spares looking.
 *
 * Pages lie in blocks that are never copied: 4 KiB, 4, 8, ... 1 MiB, 1 MiB, ...; a page and the one written after it
 * are usually neighbours, so loops work on runs of them (see {@link run}).
 *
 * The window is for single bits set at random, where the page table costs more than the bit. Once enough of them came
 * and a fourth of the pages is in use, all pages move into one array in which page n is at n KiB, and
 * {@link PageStore.fastBits} says up to where a bit may be set there without looking anywhere else.
 */
export class PageStore {
  /** Where each page lies. */
  readonly table: PageTable;
  /** Each block as bytes and as 32-bit words; number 0 stands for none. */
  readonly bytes: Uint8Array[] = [NO_BYTES];
  readonly words: Int32Array[] = [NO_WORDS];
  /** Bits of the window that may be read and set directly; all its pages below are present in the table. */
  fastBits = 0;
  /** The bytes of the window, from bit 0 on. */
  fast: Uint8Array = NO_BYTES;
  /** Single bits to set outside the window before one is thought of (again). */
  patience: number = MIN_PATIENCE;
  /** Pages that the blocks have room for. */
  capacity = 0;
  readonly memory: MemoryAccount;
  /** 64-bit views of the blocks, made when first asked for. */
  readonly #quads: BigUint64Array[] = [];
  /** Slots of pages that were given up; they are zero. */
  #free: number[] = [];
  /** The next slot never used, and the end of its block. */
  #fresh = 0;
  #freshEnd = 0;
  #windowPages = 0;
  /** Bits that the bitmap may have, or 2^31 - 1 where it may have more: up to there a bit is a small integer. */
  lowBits: number = MAX_SMALL;
  #maxBits: number = MAX_GRANULES;

  constructor(budget: MemoryBudget) {
    this.memory = new MemoryAccount(budget);
    this.table = new PageTable(this.memory);
  }

  /** Bits that the bitmap may have; bits beyond are clear already. The window does not go beyond. */
  get maxBits(): number {
    return this.#maxBits;
  }

  set maxBits(bits: number) {
    this.#maxBits = bits;
    this.lowBits = Math.min(MAX_SMALL, bits);
    this.fastBits = Math.min(this.fastBits, bits);
  }

  /** A block as 64-bit words. */
  quads(block: number): BigUint64Array {
    let quads = this.#quads[block];
    if (quads === undefined) {
      const { buffer, byteOffset, byteLength } = this.bytes[block] as Uint8Array;
      quads = new BigUint64Array(buffer, byteOffset, byteLength / 8);
      this.#quads[block] = quads;
    }
    return quads;
  }

  /** How many pages from `page`, which lies at `slot`, are present and lie side by side in one block; at most `max`. */
  run(page: number, slot: number, max: number): number {
    const near = this.table.near;
    // Far pages have no neighbours to speak of.
    const most = Math.min(max, BLOCK_PAGES - (slot & (BLOCK_PAGES - 1)), near.length - page);
    let pages = 1;
    while (pages < most && near[page + pages] === slot + pages) pages++;
    return pages;
  }

  /** Whether a page holds no set bit. */
  isZero(page: number): boolean {
    const slot = this.table.slot(page);
    return slot === 0 || this.skip(slot, 0, 0) === PAGE_WORDS;
  }

  /** The first 32-bit word of a page, from number `from` on, of which a byte is not `same` (0 or 255), or PAGE_WORDS. */
  skip(slot: number, from: number, same: number): number {
    const words = this.words[blockOf(slot)] as Int32Array;
    const base = wordOf(slot);
    const end = base + PAGE_WORDS;
    const word = same === 0 ? 0 : -1;
    let i = base + from;
    if (quadsAreNative()) {
      // Up to a group of eight 64-bit words, then the groups.
      const group = (i + 15) & ~15;
      i = skipWords(words, i, group, word);
      if (i < group) return i - base;
      const quads = this.quads(blockOf(slot));
      i = (same === 0 ? skipZeroes(quads, i >>> 1, end >>> 1) : skipOnes(quads, i >>> 1, end >>> 1)) << 1;
    }
    return skipWords(words, i, end, word) - base;
  }

  /**
   * The slot of a page, which is made (all zero) if it is absent.
   * @throws DirtyBitmapError `limit` when the memory budget is used up; nothing has changed then.
   */
  claim(page: number): number {
    const present = this.table.slot(page);
    if (present !== 0) return present;
    this.table.reserve(page);
    let slot: number;
    if (page < this.#windowPages) slot = (FIRST_BLOCK << BLOCK_SHIFT) + page;
    else slot = this.#free.pop() ?? this.#freshSlot();
    this.table.put(page, slot);
    return slot;
  }

  /** Makes a page absent. */
  release(page: number): void {
    const slot = this.table.slot(page);
    if (slot === 0) return;
    const base = wordOf(slot);
    (this.words[blockOf(slot)] as Int32Array).fill(0, base, base + PAGE_WORDS);
    this.table.put(page, 0);
    if (page < this.#windowPages) this.fastBits = 0;
    else this.#free.push(slot);
  }

  /** Drops all pages and gives their memory back. */
  clear(): void {
    this.table.clear();
    this.#dropBlocks();
    this.#windowPages = 0;
    this.fastBits = 0;
    this.fast = NO_BYTES;
    this.patience = MIN_PATIENCE;
  }

  /** Moves all pages into a window if that pays; to be called when {@link patience} is 0. */
  openWindow(): void {
    const pages = this.#windowWanted();
    if (pages > 0 && (pages <= this.#windowPages || this.#moveIntoWindow(pages))) {
      for (let page = 0; page < this.#windowPages; page++) this.claim(page);
      this.fastBits = Math.min(this.#maxBits, this.#windowPages * PAGE_BITS);
      this.fast = new Uint8Array((this.bytes[FIRST_BLOCK] as Uint8Array).buffer);
    }
    this.patience = Math.max(MIN_PATIENCE, this.table.used);
  }

  #freshSlot(): number {
    if (this.#fresh === this.#freshEnd) {
      const block = this.bytes.length;
      // As many pages as there are already, so that half of the memory is in use at least; fewer where memory is short.
      const wanted = Math.max(FIRST_BLOCK_PAGES, 2 ** Math.floor(Math.log2(this.table.used + 1)));
      const affordable = Math.max(1, Math.floor(this.memory.available / PAGE_BYTES));
      const pages = Math.min(BLOCK_PAGES, wanted, affordable);
      this.memory.take(pages * PAGE_BYTES);
      this.#addBlock(block, new Uint8Array(pages * PAGE_BYTES));
      this.#fresh = block << BLOCK_SHIFT;
      this.#freshEnd = this.#fresh + pages;
    }
    return this.#fresh++;
  }

  #addBlock(block: number, bytes: Uint8Array): void {
    this.bytes[block] = bytes;
    this.words[block] = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    this.capacity += bytes.byteLength / PAGE_BYTES;
  }

  #dropBlocks(): void {
    this.memory.giveBack(this.capacity * PAGE_BYTES);
    this.capacity = 0;
    this.bytes.length = FIRST_BLOCK;
    this.words.length = FIRST_BLOCK;
    this.#quads.length = 0;
    this.#free = [];
    this.#fresh = 0;
    this.#freshEnd = 0;
  }

  /** Pages that a window would have, or 0 where it would not pay. */
  #windowWanted(): number {
    const table = this.table;
    let pages = Math.ceil(this.#maxBits / PAGE_BITS);
    if (pages > MAX_WINDOW_PAGES) {
      let last = -1;
      for (let page = table.next(0); page >= 0; page = table.next(page + 1)) last = page;
      pages = 2 ** Math.ceil(Math.log2(last + 1));
    }
    if (pages > MAX_WINDOW_PAGES || table.used * WINDOW_SPARSITY < pages) return 0;
    // Raw bytes may have been stored past the end of the disk: such pages have no place in the window.
    return table.next(pages) < 0 ? pages : 0;
  }

  #moveIntoWindow(pages: number): boolean {
    const bytes = pages * PAGE_BYTES;
    // The old blocks are given back only after the copy; where both do not fit there is just no window.
    if (this.memory.available < bytes + pages * 8) return false;
    this.table.grow(pages);
    this.memory.take(bytes);
    const window = new Uint8Array(bytes);
    for (let page = this.table.next(0); page >= 0; ) {
      const slot = this.table.slot(page);
      const run = this.run(page, slot, pages);
      const base = byteOf(slot);
      window.set((this.bytes[blockOf(slot)] as Uint8Array).subarray(base, base + run * PAGE_BYTES), page * PAGE_BYTES);
      page = this.table.next(page + run);
    }
    this.#dropBlocks();
    this.table.forgetNear();
    for (let page = 0; page < pages; page += BLOCK_PAGES) {
      const end = Math.min(pages, page + BLOCK_PAGES);
      const block = FIRST_BLOCK + page / BLOCK_PAGES;
      this.#addBlock(block, window.subarray(page * PAGE_BYTES, end * PAGE_BYTES));
    }
    this.#windowPages = pages;
    return true;
  }
}

/** The block that a slot lies in. */
export function blockOf(slot: number): number {
  return slot >>> BLOCK_SHIFT;
}

/** The first byte of a slot in its block. */
export function byteOf(slot: number): number {
  return (slot & (BLOCK_PAGES - 1)) << 10;
}

/** The first 32-bit word of a slot in its block. */
export function wordOf(slot: number): number {
  return (slot & (BLOCK_PAGES - 1)) << 8;
}
