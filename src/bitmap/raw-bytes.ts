import { blockOf, byteOf, PAGE_BYTES, type PageStore } from './page-store.js';
import { allClear } from './words.js';

/** Shorter pieces are copied byte by byte: making a view costs more. */
const SHORT = 32;
/** Longer ones are not touched first: there the copy itself looks ahead. */
const LONG = 4096;
/** A view of fewer words is not worth making. */
const MANY_WORDS = 16;
/** Where the sums of touching go, so that it is not left out as useless. */
const sink = new Uint8Array(1);

/**
 * Stores a piece as {@link writeBytes} does, if it is one of the usual kind: within a page that is there, and not far
 * out. False, and nothing done, where it is not, or its positions make no sense. Of a dense stream nearly all pieces are
 * like that, so that this is most of the time that decoding takes.
 */
export function writeInPage(store: PageStore, at: number, source: Uint8Array, start: number, end: number): boolean {
  // 32 bits, which is also what the engine calculates with then.
  const place = at | 0;
  const from = start | 0;
  const to = end | 0;
  if (place !== at || from !== start || to !== end || (place | from) < 0 || to > source.length) return false;
  const { near } = store.table;
  const page = place >>> 10;
  const inPage = place & (PAGE_BYTES - 1);
  const length = to - from;
  if (page >= near.length || length <= SHORT || inPage + length > PAGE_BYTES) return false;
  const slot = near[page] as number;
  if (slot === 0) return false;
  const bytes = store.bytes[blockOf(slot)] as Uint8Array;
  const first = byteOf(slot) + inPage;
  // Loads from each cache line, as touch() does, of both sides.
  let any = 0;
  for (let i = from, j = first; i < to; i += 64, j += 64) any |= (source[i] as number) | (bytes[j] as number);
  sink[0] = any;
  bytes.set(new Uint8Array(source.buffer, source.byteOffset + from, length), first);
  return true;
}

/**
 * Stores bytes of `source` from `start` to `end` at byte `at` of the bitmap. Zeroes for a page that is absent are not
 * stored, so that a stream of zeroes takes no memory.
 * @throws DirtyBitmapError `limit` when the memory budget is used up.
 */
export function writeBytes(store: PageStore, at: number, source: Uint8Array, start: number, end: number): void {
  let page = Math.floor(at / PAGE_BYTES);
  let inPage = at - page * PAGE_BYTES;
  for (let from = start; from < end; inPage = 0) {
    let to = Math.min(end, from + PAGE_BYTES - inPage);
    let slot = store.table.slot(page);
    if (slot === 0) {
      if (isZero(source, from, to)) {
        from = to;
        page++;
        continue;
      }
      slot = store.claim(page);
    }
    // Pages that follow in the same block are taken along in one copy.
    const pages = to === end ? 1 : store.run(page, slot, Math.ceil((end - from + inPage) / PAGE_BYTES));
    to = Math.min(end, from + pages * PAGE_BYTES - inPage);
    const bytes = store.bytes[blockOf(slot)] as Uint8Array;
    // Fresh memory is not read first: the kernel would map each of its pages twice.
    copy(source, from, to, bytes, byteOf(slot) + inPage);
    page += pages;
    from = to;
  }
}

/** Copies bytes of the bitmap, from byte `at` on, to `target` from `start` to `end`; absent pages are zeroes. */
export function readBytes(store: PageStore, at: number, target: Uint8Array, start: number, end: number): void {
  let page = Math.floor(at / PAGE_BYTES);
  let inPage = at - page * PAGE_BYTES;
  for (let to = start; to < end; inPage = 0) {
    const from = to;
    const slot = store.table.slot(page);
    if (slot === 0) {
      const next = store.table.next(page + 1);
      to = next < 0 ? end : Math.min(end, from + (next - page) * PAGE_BYTES - inPage);
      target.fill(0, from, to);
      page = next;
      continue;
    }
    const pages = store.run(page, slot, Math.ceil((end - from + inPage) / PAGE_BYTES));
    to = Math.min(end, from + pages * PAGE_BYTES - inPage);
    const first = byteOf(slot) + inPage;
    copy(store.bytes[blockOf(slot)] as Uint8Array, first, first + to - from, target, from);
    page += pages;
  }
}

function copy(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (end - start <= SHORT) {
    for (let i = start, j = at; i < end; i++, j++) target[j] = source[i] as number;
    return;
  }
  if (end - start <= LONG) sink[0] = touch(source, start, end);
  // The constructor is quicker than subarray(), above all for Node's Buffer, whose subarray() makes a Buffer.
  target.set(new Uint8Array(source.buffer, source.byteOffset + start, end - start), at);
}

/**
 * Loads from each cache line. These loads do not wait for each other, while a short copy waits for its first lines: with
 * them it takes half the time, where the memory is not in the cache.
 */
function touch(bytes: Uint8Array, start: number, end: number): number {
  let any = 0;
  for (let i = start; i < end; i += 64) any |= bytes[i] as number;
  return any;
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  if (touch(bytes, start, end) !== 0) return false;
  // Most of it as words, from the first that is aligned on; what is left are a few bytes at both ends.
  const first = start + (-(bytes.byteOffset + start) & 3);
  const count = (end - first) >> 2;
  if (count > MANY_WORDS) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + first, count);
    if (!allClear(words, 0, count)) return false;
    return allZero(bytes, start, first) && allZero(bytes, first + count * 4, end);
  }
  return allZero(bytes, start, end);
}

function allZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i] !== 0) return false;
  }
  return true;
}
