import type { PageRun } from '../bitmap/bitmap.js';
import { PAGE_BYTES, PAGE_WORDS } from '../bitmap/page-store.js';
import { allClear } from '../bitmap/words.js';
import { FLAG } from '../chunk/flags.js';

/** Where rows of chunks are written. */
export interface OutputWindow {
  readonly bytes: Uint8Array;
  /** Of the same bytes. */
  readonly view: DataView;
}

/** Stretches of a bitmap, each of which becomes a chunk. */
export interface Stretches {
  /** 32-bit words, little-endian, that hold the data. */
  readonly words: Int32Array;
  /** Where in them `first` is. */
  readonly at: number;
  /** A 64-bit word of the bitmap. */
  readonly first: number;
  /** Sectors that a 64-bit word takes. */
  readonly unit: number;
  /** For each chunk its first 64-bit word and the word behind its last, counted from `first`. */
  readonly stretches: Int32Array;
  /** Where in them the chunks begin, and where they end. */
  readonly from: number;
  readonly to: number;
}

/** Bytes of a ZEROES chunk without names. */
export const CLEAR_CHUNK = 13;
/** Bytes of a BITS chunk without names, beside its data. */
export const DATA_HEADER = 21;
/** Bytes of a chunk without names whose data are a page. */
export const PAGE_CHUNK: number = DATA_HEADER + PAGE_BYTES;

const CLEAR_FLAGS: number = FLAG.BITS | FLAG.ZEROES;
/** Where in a chunk without names the lower half of its first sector is. */
const LOW_SECTOR = 5;
/** ZEROES that are written one by one. */
const FEW_CLEAR = 8;
/** ZEROES that are kept to be copied. */
const PATTERN = 256;
/** Words of 64 bits that are copied one by one. */
const FEW_WORDS = 16;

/** No window yet. */
export const NO_WINDOW: OutputWindow = outputWindow(new Uint8Array(0));

/** A window for rows. */
export function outputWindow(bytes: Uint8Array): OutputWindow {
  const { buffer, byteOffset, byteLength } = bytes;
  return { bytes, view: new DataView(buffer, byteOffset, byteLength) };
}

/**
 * Writes the chunks of pages, one behind the other from `start` on, up to a page that is clear: profile `qemu`.
 * @param firstSector that of the first page, `sectorCount` that of each.
 * @returns how many were written.
 */
export function writePages(
  { bytes, view }: OutputWindow,
  start: number,
  { words, at, pages }: PageRun,
  firstSector: number,
  sectorCount: number,
): number {
  const { buffer } = words;
  const firstByte = words.byteOffset + 4 * at;
  let pos = start;
  let page = 0;
  for (let sector = firstSector; page < pages; page++, sector += sectorCount) {
    const word = at + page * PAGE_WORDS;
    if (touch(words, word) === 0 && allClear(words, word, word + PAGE_WORDS)) break;
    view.setUint8(pos, FLAG.BITS);
    view.setUint32(pos + 1, (sector / 2 ** 32) >>> 0);
    view.setUint32(pos + 5, sector >>> 0);
    view.setUint32(pos + 9, sectorCount);
    view.setUint32(pos + 13, 0);
    view.setUint32(pos + 17, PAGE_BYTES);
    pos += DATA_HEADER;
    bytes.set(new Uint8Array(buffer, firstByte + page * PAGE_BYTES, PAGE_BYTES), pos);
    pos += PAGE_BYTES;
  }
  return page;
}

/**
 * Writes the chunks of stretches, one behind the other from `start` on: profile `compact`.
 * @returns where they end.
 */
export function writeStretches(
  { bytes, view }: OutputWindow,
  start: number,
  { words, at, first, unit, stretches, from, to }: Stretches,
): number {
  let pos = start;
  for (let i = from; i < to; i += 2) {
    const begin = stretches[i] as number;
    const length = (stretches[i + 1] as number) - begin;
    const sector = (first + begin) * unit;
    view.setUint8(pos, FLAG.BITS);
    view.setUint32(pos + 1, (sector / 2 ** 32) >>> 0);
    view.setUint32(pos + 5, sector >>> 0);
    view.setUint32(pos + 9, length * unit);
    view.setUint32(pos + 13, 0);
    view.setUint32(pos + 17, length * 8);
    pos += DATA_HEADER;
    if (length > FEW_WORDS) {
      bytes.set(new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 2 * begin), length * 8), pos);
      pos += length * 8;
      continue;
    }
    // A call to copy them would cost more than a few words do.
    const end = at + 2 * (begin + length);
    for (let word = at + 2 * begin; word < end; word += 2, pos += 8) {
      view.setInt32(pos, words[word] as number, true);
      view.setInt32(pos + 4, words[word + 1] as number, true);
    }
  }
  return pos;
}

/**
 * ZEROES that are alike, to be copied; of these sectors, with this upper half of the first one. One for all sources: it
 * is made anew where it does not fit, and nobody keeps it.
 */
const pattern: Uint8Array = new Uint8Array(PATTERN * CLEAR_CHUNK);
let patternHigh = 0;
let patternSectors = 0;

/**
 * Writes ZEROES of the same length, one behind the other from `start` on.
 * @returns where they end.
 */
export function writeClear(
  window: OutputWindow,
  start: number,
  firstSector: number,
  sectorCount: number,
  chunks: number,
): number {
  let pos = start;
  let first = firstSector;
  for (let left = chunks; left > 0; ) {
    // So many whose first sectors have the same upper half.
    const same = Math.min(left, Math.ceil((2 ** 32 - (first >>> 0)) / sectorCount));
    const end = pos + same * CLEAR_CHUNK;
    const high = Math.floor(first / 2 ** 32);
    if (same <= FEW_CLEAR) writeAlike(window.view, pos, end, high, sectorCount);
    else copyAlike(window.bytes, pos, end, high, sectorCount);
    writeLowSectors(window.view, pos, end, first, sectorCount);
    pos = end;
    first += same * sectorCount;
    left -= same;
  }
  return pos;
}

function copyAlike(bytes: Uint8Array, start: number, end: number, high: number, sectorCount: number): void {
  if (high !== patternHigh || sectorCount !== patternSectors) {
    writeAlike(new DataView(pattern.buffer), 0, pattern.length, high, sectorCount);
    patternHigh = high;
    patternSectors = sectorCount;
  }
  for (let at = start; at < end; at += pattern.length) {
    bytes.set(end - at < pattern.length ? pattern.subarray(0, end - at) : pattern, at);
  }
}

/** Writes ZEROES but for the lower halves of their first sectors. */
function writeAlike(view: DataView, start: number, end: number, high: number, sectorCount: number): void {
  for (let at = start; at < end; at += CLEAR_CHUNK) {
    view.setUint8(at, CLEAR_FLAGS);
    view.setUint32(at + 1, high);
    view.setUint32(at + 9, sectorCount);
  }
}

function writeLowSectors(view: DataView, start: number, end: number, first: number, sectorCount: number): void {
  // Made 32 bits here, or V8 adds doubles, which takes three times as long.
  const step = sectorCount | 0;
  let low = first | 0;
  for (let at = start + LOW_SECTOR; at < end; at += CLEAR_CHUNK) {
    view.setInt32(at, low);
    low = (low + step) | 0;
  }
}

/**
 * A word of each cache line of a page: not 0 where it surely is not clear. These loads do not wait for each other, and
 * the copy that comes next finds the lines, which halves its time where they were not in the cache.
 */
function touch(words: Int32Array, at: number): number {
  let any = 0;
  for (let i = at; i < at + PAGE_WORDS; i += 16) any |= words[i] as number;
  return any;
}
