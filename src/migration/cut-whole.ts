import { paddedSize, serializedSize } from '../bitmap/serialize.js';
import { SECTOR } from '../chunk/chunk-cursor.js';
import type { ChunkOutput } from './chunk-output.js';
import { CLEAR_CHUNK, PAGE_CHUNK } from './chunk-rows.js';
import { type Cutter, type CutterInput, MAX_SECTOR_COUNT, unitSectors } from './cutter.js';

/** Bytes of bits in a chunk of QEMU. */
const CHUNK_BYTES = 1024;

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

  writeRow(output: ChunkOutput, budget: number): boolean {
    const count = this.#chunkSectors;
    const page = this.position / count;
    if (count > MAX_SECTOR_COUNT || !Number.isInteger(page)) return false;
    // The last chunk may be a short one, which next() makes.
    const end = Math.floor(this.#input.sectors / count);
    const pages = this.#writeClear(output, budget, page, end) || this.#writePages(output, budget, page, end);
    this.position += pages * count;
    return pages > 0;
  }

  clone(): WholeCutter {
    const copy = new WholeCutter(this.#input);
    copy.position = this.position;
    copy.#empty = this.#empty;
    return copy;
  }

  /** Writes ZEROES up to the next page that may hold something; returns how many. */
  #writeClear(output: ChunkOutput, budget: number, page: number, end: number): number {
    if (this.#used >= 0 && this.#used <= page) this.#used = this.#input.bits.nextUsedPage(page);
    const clear = (this.#used < 0 ? end : Math.min(end, this.#used)) - page;
    const pages = Math.min(clear, Math.floor(output.room / CLEAR_CHUNK), Math.ceil(budget / CLEAR_CHUNK));
    if (pages > 0) output.clearRow(this.position, this.#chunkSectors, pages);
    return Math.max(0, pages);
  }

  /** Writes pages up to the next one that is clear, or lies elsewhere in memory; returns how many. */
  #writePages(output: ChunkOutput, budget: number, page: number, end: number): number {
    const most = Math.min(end - page, Math.floor(output.room / PAGE_CHUNK), Math.ceil(budget / PAGE_CHUNK));
    const run = most > 0 ? this.#input.bits.pageRun(page, most) : undefined;
    if (run === undefined) return 0;
    return output.pageRow(run, this.position, this.#chunkSectors);
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
