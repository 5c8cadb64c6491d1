import type { MemoryAccount } from './memory.js';

/** Pages of a far table. */
const FAR_SHIFT = 8;
const FAR = 1 << FAR_SHIFT;
/** Far tables that are looked up one by one rather than sorted. */
const SHORT_STRETCH = 64;
/** Bytes that a far table costs: its entries, and about as much as an engine needs for the objects around them. */
const FAR_BYTES = FAR * 4 + 256;
/** Pages that are always near: 4 KiB of table at most. */
const ALWAYS_NEAR = 1024;
/** Pages of the near part that each page in use pays for: with the rounding up, as many bytes as it has itself. */
const NEAR_PER_PAGE = 128;

/** The slots of a stretch of pages far out, and how many of them are in use. */
interface FarTable {
  readonly slots: Int32Array;
  used: number;
}

/**
 * Where each page of a bitmap lies: page number to slot, 0 for a page that is absent. Its memory follows the pages in
 * use, not the highest one: a plain array while enough of it is used (the near part), and small tables, found by a
 * hash map, for what lies far beyond. Both 10^6 random bits and one bit at the end of 8 PiB are cheap.
 */
export class PageTable {
  /** Slots of the pages from 0 on; the length is a power of two, or 0. Public for the loops that cannot afford a call. */
  near: Int32Array = new Int32Array(0);
  /** Pages present. */
  used = 0;
  readonly #memory: MemoryAccount;
  /** Pages present in each stretch of FAR pages of the near part: empty ones are passed over at once. */
  #nearUsed: Int32Array = new Int32Array(0);
  readonly #far = new Map<number, FarTable>();
  /**
   * Keys of the far tables, ascending once they are needed so: sorting at each insertion would be quadratic. Those of
   * tables that are gone stay until then.
   */
  #farKeys: number[] = [];
  #farSorted = true;
  #lastKey = -1;
  #lastTable: FarTable = { slots: this.near, used: 0 };

  constructor(memory: MemoryAccount) {
    this.#memory = memory;
  }

  /** The slot of a page, or 0. */
  slot(page: number): number {
    return page < this.near.length ? (this.near[page] as number) : this.#farSlot(page);
  }

  /**
   * Makes room for the entry of a page, so that {@link put} cannot fail.
   * @throws DirtyBitmapError `limit` when the memory budget is used up.
   */
  reserve(page: number): void {
    if (page < this.near.length) return;
    if (page < ALWAYS_NEAR + NEAR_PER_PAGE * this.used) this.grow(page + 1);
    else if (this.#farTable(page) === undefined) this.#addFar(Math.floor(page / FAR));
  }

  /** Sets the slot of a page whose entry is there: it was reserved before, or it is present. 0 makes it absent. */
  put(page: number, slot: number): void {
    const far = page < this.near.length ? undefined : (this.#farTable(page) as FarTable);
    const slots = far?.slots ?? this.near;
    const index = far === undefined ? page : page % FAR;
    const change = (slot === 0 ? 0 : 1) - (slots[index] === 0 ? 0 : 1);
    slots[index] = slot;
    this.used += change;
    if (far === undefined) {
      const stretch = page >>> FAR_SHIFT;
      this.#nearUsed[stretch] = (this.#nearUsed[stretch] as number) + change;
      return;
    }
    far.used += change;
    // Else a stream that sets and clears one bit after another far out would leave ever more tables to walk.
    if (far.used === 0) this.#dropFar(Math.floor(page / FAR));
  }

  /** Makes every page absent and keeps the near part's memory; there is no far part. */
  forgetNear(): void {
    this.near.fill(0);
    this.#nearUsed.fill(0);
    this.used = 0;
  }

  /**
   * The first page that is present, from `page` on and before `end`, or -1. A short stretch costs little, whatever lies
   * behind it: a stream may ask for one with every chunk.
   */
  next(page: number, end: number = Number.POSITIVE_INFINITY): number {
    const near = this.near;
    const stop = Math.min(near.length, end);
    for (let i = page; i < stop; ) {
      const stretch = i >>> FAR_SHIFT;
      const stretchEnd = Math.min(stop, (stretch + 1) << FAR_SHIFT);
      if (this.#nearUsed[stretch] === 0) i = stretchEnd;
      // Most pages of a sparse bitmap are absent: four of them at once.
      const fours = stretchEnd - 3;
      for (; i < fours; i += 4) {
        if (((near[i] as number) | (near[i + 1] as number) | (near[i + 2] as number) | (near[i + 3] as number)) !== 0)
          break;
      }
      for (; i < stretchEnd; i++) {
        if (near[i] !== 0) return i;
      }
    }
    if (this.#far.size === 0 || end <= near.length) return -1;
    const from = Math.max(page, near.length);
    const found = end - from <= FAR * SHORT_STRETCH ? this.#nextInStretch(from, end) : this.#nextFar(from);
    return found < end ? found : -1;
  }

  /**
   * Makes the near part at least `pages` long and moves far tables that it then covers into it.
   * @throws DirtyBitmapError `limit` when the memory budget is used up.
   */
  grow(pages: number): void {
    let length = Math.max(16, this.near.length);
    while (length < pages) length *= 2;
    if (length === this.near.length) return;
    this.#memory.take((length - this.near.length) * 4);
    const near = new Int32Array(length);
    near.set(this.near);
    this.near = near;
    // Far tables begin at ALWAYS_NEAR, and from there on lengths are multiples of FAR: none is covered by half.
    const nearUsed = new Int32Array(Math.ceil(length / FAR));
    nearUsed.set(this.#nearUsed);
    this.#nearUsed = nearUsed;
    for (const [key, table] of this.#far) {
      if (key * FAR >= length) continue;
      near.set(table.slots, key * FAR);
      nearUsed[key] = table.used;
      this.#far.delete(key);
      this.#memory.giveBack(FAR_BYTES);
    }
    this.#farKeys = [...this.#far.keys()];
    this.#farSorted = false;
    this.#lastKey = -1;
  }

  /** Forgets everything and gives the memory back. */
  clear(): void {
    this.#memory.giveBack(this.near.length * 4 + this.#far.size * FAR_BYTES);
    this.near = new Int32Array(0);
    this.#nearUsed = new Int32Array(0);
    this.used = 0;
    this.#far.clear();
    this.#farKeys = [];
    this.#farSorted = true;
    this.#lastKey = -1;
  }

  #farSlot(page: number): number {
    return this.#farTable(page)?.slots[page % FAR] ?? 0;
  }

  #farTable(page: number): FarTable | undefined {
    if (this.#far.size === 0) return undefined;
    const key = Math.floor(page / FAR);
    if (key === this.#lastKey) return this.#lastTable;
    const table = this.#far.get(key);
    if (table === undefined) return undefined;
    this.#lastKey = key;
    this.#lastTable = table;
    return table;
  }

  #addFar(key: number): void {
    this.#memory.take(FAR_BYTES);
    this.#far.set(key, { slots: new Int32Array(FAR), used: 0 });
    if (key < (this.#farKeys.at(-1) ?? 0)) this.#farSorted = false;
    this.#farKeys.push(key);
  }

  #dropFar(key: number): void {
    this.#far.delete(key);
    this.#memory.giveBack(FAR_BYTES);
    this.#lastKey = -1;
    if (this.#farKeys.length > 2 * this.#far.size + 64)
      this.#farKeys = this.#farKeys.filter((one) => this.#far.has(one));
  }

  /** Looks each table up: no order of the tables is needed. */
  #nextInStretch(page: number, end: number): number {
    for (let key = Math.floor(page / FAR); key * FAR < end; key++) {
      const table = this.#far.get(key);
      if (table === undefined) continue;
      for (let i = Math.max(0, page - key * FAR); i < FAR; i++) {
        if (table.slots[i] !== 0) return key * FAR + i;
      }
    }
    return -1;
  }

  #nextFar(page: number): number {
    if (!this.#farSorted) {
      this.#farKeys.sort((a, b) => a - b);
      this.#farSorted = true;
    }
    const keys = this.#farKeys;
    const first = Math.floor(page / FAR);
    let low = 0;
    for (let high = keys.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((keys[middle] as number) < first) low = middle + 1;
      else high = middle;
    }
    for (; low < keys.length; low++) {
      const key = keys[low] as number;
      const slots = this.#far.get(key)?.slots;
      if (slots === undefined) continue;
      for (let i = key === first ? page % FAR : 0; i < FAR; i++) {
        if (slots[i] !== 0) return key * FAR + i;
      }
    }
    return -1;
  }
}
