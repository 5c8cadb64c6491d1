import { paddedSize, serializedSize } from '../bitmap/serialize.js';
import { SECTOR } from '../chunk/chunk-cursor.js';
import { DATA_HEADER } from './chunk-output.js';
import { type Cutter, type CutterInput, type DataRun, MAX_SECTOR_COUNT, unitSectors } from './cutter.js';

/** Bytes of bits in a chunk of QEMU. */
const CHUNK_BYTES = 1024;

/** Bytes of a chunk that is a page. */
const CHUNK = DATA_HEADER + CHUNK_BYTES;
/** Pages of a run at most. */
const RUN = 64;
/** Words of a page, of 32 and of 64 bits. */
const PAGE_WORDS = 256;
const QUADS = 128;
/** Where the pages of a run begin and end, in words of 64 bits. */
const PAGES = Int32Array.from({ length: 2 * RUN }, (_, at) => Math.ceil(at / 2) * QUADS);

/**
 * Cuts as QEMU does: 1 KiB of bits after the other, data padded to 32 bytes, and ZEROES for what is clear. Where so
 * many sectors do not fit the field (from 256 MiB on), QEMU loops for ever; here the chunk is as large as fits.
 * Source: wire-format.md, How QEMU cuts a bitmap.
 */
export class WholeCutter implements Cutter {
  zeroes = false;
  firstSector = 0;
  sectorCount = 0;
  firstByte = 0;
  length = 0;
  endBit = 0;
  position = 0;
  readonly maxSize = CHUNK_BYTES;
  readonly #input: CutterInput;
  readonly #perSector: number;
  readonly #chunkSectors: number;
  readonly #capped: number;
  /** No page before this one and from the range on holds anything; -1 where none at all follows. */
  #used = 0;
  /** A disk of no sectors is sent as one chunk of none. */
  #empty: boolean;

  constructor(input: CutterInput) {
    this.#input = input;
    this.#perSector = SECTOR / input.granularity;
    this.#chunkSectors = CHUNK_BYTES * 8 * (input.granularity / SECTOR);
    const unit = unitSectors(input.granularity);
    this.#capped = Math.floor(MAX_SECTOR_COUNT / unit) * unit;
    this.#empty = input.sectors === 0;
  }

  get size(): number {
    if (this.zeroes) return 0;
    return this.length === CHUNK_BYTES ? CHUNK_BYTES : paddedSize(this.endBit - this.firstByte * 8);
  }

  next(): boolean {
    const { sectors, granules } = this.#input;
    const first = this.position;
    let count = Math.min(sectors - first, this.#chunkSectors);
    if (count === 0) return this.#nextOfNothing();
    if (count > MAX_SECTOR_COUNT) count = this.#capped;
    const firstBit = first * this.#perSector;
    const endBit = Math.min(granules, Math.ceil((first + count) * this.#perSector));
    this.firstSector = first;
    this.sectorCount = count;
    this.firstByte = firstBit / 8;
    this.endBit = endBit;
    this.length = endBit - firstBit === CHUNK_BYTES * 8 ? CHUNK_BYTES : serializedSize(endBit - firstBit);
    this.position = first + count;
    this.zeroes = this.#isZero(firstBit, endBit);
    return true;
  }

  clearRun(max: number): number {
    const { sectors, bits } = this.#input;
    const count = this.#chunkSectors;
    const first = this.position;
    if (count > MAX_SECTOR_COUNT || first % count !== 0) return 0;
    const page = first / count;
    if (this.#used >= 0 && this.#used <= page) this.#used = bits.nextUsedPage(page);
    // The last chunk may be a short one, which next() makes.
    const end = Math.min(
      Math.floor(sectors / count),
      page + max,
      this.#used < 0 ? Number.POSITIVE_INFINITY : this.#used,
    );
    if (end <= page) return 0;
    this.zeroes = true;
    this.firstSector = first;
    this.sectorCount = count;
    this.position = end * count;
    return end - page;
  }

  /** What is not clear is a page, which is better copied by itself. */
  dataRun(room: number, budget: number): DataRun | undefined {
    const { sectors, bits, granularity } = this.#input;
    const count = this.#chunkSectors;
    const first = this.position;
    if (count > MAX_SECTOR_COUNT || first % count !== 0) return undefined;
    const page = first / count;
    // The last chunk may be a short one, which next() makes.
    const most = Math.min(Math.floor(sectors / count) - page, Math.floor(room / CHUNK), Math.ceil(budget / CHUNK), RUN);
    const run = most > 0 ? bits.pageRun(page, most) : undefined;
    if (run === undefined) return undefined;
    let pages = 0;
    while (pages < run.pages && touch(run.words, run.at + pages * PAGE_WORDS) !== 0) pages++;
    if (pages === 0) return undefined;
    this.position = first + pages * count;
    const unit = unitSectors(granularity);
    return { words: run.words, at: run.at, first: page * QUADS, unit, stretches: PAGES, from: 0, to: 2 * pages };
  }

  clone(): WholeCutter {
    const copy = new WholeCutter(this.#input);
    copy.position = this.position;
    copy.#empty = this.#empty;
    return copy;
  }

  #nextOfNothing(): boolean {
    const first = this.#empty;
    this.#empty = false;
    this.zeroes = true;
    return first;
  }

  #isZero(firstBit: number, endBit: number): boolean {
    const { bits } = this.#input;
    const page = Math.floor(this.firstByte / CHUNK_BYTES);
    if (this.#used >= 0 && this.#used < page) this.#used = bits.nextUsedPage(page);
    if (this.#used < 0 || this.#used * CHUNK_BYTES >= this.firstByte + this.length) return true;
    // A whole page is quicker to look at; the last one may hold bits past the end.
    const isPage = endBit - firstBit === CHUNK_BYTES * 8 && firstBit % (CHUNK_BYTES * 8) === 0;
    return isPage ? bits.pageIsZero(page) : !bits.anyBits(firstBit, endBit);
  }
}

/**
 * A word of each cache line of a page: not 0 where it surely is not clear. These loads do not wait for each other, and the
 * copy that follows finds the lines.
 */
function touch(words: Int32Array, at: number): number {
  let any = 0;
  for (let i = at; i < at + PAGE_WORDS; i += 16) any |= words[i] as number;
  return any;
}
