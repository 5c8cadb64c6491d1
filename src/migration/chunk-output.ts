import type { Bitmap, PageRun } from '../bitmap/bitmap.js';
import type { Name } from '../bytes/text.js';
import { FLAG } from '../chunk/flags.js';
import {
  NO_WINDOW,
  type OutputWindow,
  outputWindow,
  PAGE_CHUNK,
  type Stretches,
  writeClear,
  writePages,
  writeStretches,
} from './chunk-rows.js';

/** What tells a bitmap in the stream. */
export interface ChunkNames {
  readonly nodeAlias: Name;
  readonly alias: Name;
  /** Compared by identity: two nodes may have the same bitmap name. */
  readonly node: object;
}

/** A range of a bitmap: what a BITS chunk tells. */
export interface ChunkRange {
  /** Whether the range is all clear. */
  readonly zeroes: boolean;
  /** In sectors of 512 bytes. */
  readonly firstSector: number;
  /** In sectors of 512 bytes. */
  readonly sectorCount: number;
  /** The first byte of the bitmap in the range. */
  readonly firstByte: number;
  /** Bytes of the range's bits: whole 64-bit words. */
  readonly length: number;
  /** Bytes that the data are sent as, padding included; 0 for zeroes. */
  readonly size: number;
  /** Bits of the last byte of the range that are beyond the last granule are to be cleared: this bit is the first. */
  readonly endBit: number;
}

/** Bytes of a chunk at most, beside its data: flags, two names, a range, a size. */
export const MAX_HEADER: number = 1 + 2 * 256 + 20;

/**
 * Writes chunks into a buffer of the caller's, and leaves out names that are those of the chunk before, as QEMU does.
 * Nothing is allocated for a chunk. Source: wire-format.md, Grammar and Names.
 */
export class ChunkOutput {
  /** Where the next chunk goes. */
  pos = 0;
  #window: OutputWindow = NO_WINDOW;
  #bytes: Uint8Array = NO_WINDOW.bytes;
  #node: object | undefined;
  #bitmap: ChunkNames | undefined;

  /** Goes on in a buffer, from its beginning. */
  begin(bytes: Uint8Array): void {
    this.pos = 0;
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#window = outputWindow(bytes);
  }

  /** Bytes that the buffer still has. */
  get room(): number {
    return this.#bytes.length - this.pos;
  }

  /** Bytes that the names of the next chunk take; for measuring, `remember` them as if it were written. */
  namesLength(names: ChunkNames): number {
    const node = names.node === this.#node ? 0 : 1 + names.nodeAlias.bytes.length;
    return names === this.#bitmap ? node : node + 1 + names.alias.bytes.length;
  }

  /** Makes the names those of the chunk before. */
  remember(names: ChunkNames): void {
    this.#node = names.node;
    this.#bitmap = names;
  }

  /** One that knows the same names, for measuring. */
  clone(): ChunkOutput {
    const copy = new ChunkOutput();
    copy.#node = this.#node;
    copy.#bitmap = this.#bitmap;
    return copy;
  }

  start(names: ChunkNames, granularity: number, startFlags: number): void {
    this.#header(names, FLAG.START);
    this.#window.view.setUint32(this.pos, granularity);
    this.#bytes[this.pos + 4] = startFlags;
    this.pos += 5;
  }

  complete(names: ChunkNames): void {
    this.#header(names, FLAG.COMPLETE);
  }

  endOfSection(): void {
    this.#bytes[this.pos++] = FLAG.EOS;
  }

  /** Whether the next chunk needs no names. */
  continues(names: ChunkNames): boolean {
    return names === this.#bitmap;
  }

  /** As many ZEROES as are told, one behind the other: there is room for them, and the names are known. */
  clearRow(firstSector: number, sectorCount: number, chunks: number): void {
    this.pos = writeClear(this.#window, this.pos, firstSector, sectorCount, chunks);
  }

  /**
   * Pages, one behind the other, up to one that is clear: there is room for them, and the names are known.
   * @param firstSector that of the first page, `sectorCount` that of each.
   * @returns how many were written.
   */
  pageRow(run: PageRun, firstSector: number, sectorCount: number): number {
    const pages = writePages(this.#window, this.pos, run, firstSector, sectorCount);
    this.pos += pages * PAGE_CHUNK;
    return pages;
  }

  /** Chunks of data, one behind the other: there is room for them, and the names are known. */
  stretches(stretches: Stretches): void {
    this.pos = writeStretches(this.#window, this.pos, stretches);
  }

  /** A range of a bitmap. */
  range(names: ChunkNames, range: ChunkRange, bits: Bitmap): void {
    const { zeroes } = range;
    const flags = zeroes ? FLAG.BITS | FLAG.ZEROES : FLAG.BITS;
    if (names === this.#bitmap) this.#bytes[this.pos++] = flags;
    else this.#header(names, flags);
    const { view } = this.#window;
    const at = this.pos;
    const first = range.firstSector;
    view.setUint32(at, (first / 2 ** 32) >>> 0);
    view.setUint32(at + 4, first >>> 0);
    view.setUint32(at + 8, range.sectorCount);
    this.pos = at + 12;
    if (zeroes) return;
    const { size, length, firstByte } = range;
    view.setUint32(at + 12, 0);
    view.setUint32(at + 16, size);
    const start = at + 20;
    bits.readBytes(firstByte, this.#bytes, start, start + length);
    const last = range.endBit - firstByte * 8;
    if (last < size * 8) clearFrom(this.#bytes, start, last, size);
    this.pos = start + size;
  }

  #header(names: ChunkNames, kind: number): void {
    const bytes = this.#bytes;
    const flagsAt = this.pos++;
    let flags = kind;
    if (names.node !== this.#node) {
      flags |= FLAG.DEVICE_NAME;
      this.#name(names.nodeAlias.bytes);
    }
    if (names !== this.#bitmap) {
      flags |= FLAG.BITMAP_NAME;
      this.#name(names.alias.bytes);
    }
    bytes[flagsAt] = flags;
    this.remember(names);
  }

  #name(bytes: Uint8Array): void {
    this.#bytes[this.pos] = bytes.length;
    this.#bytes.set(bytes, this.pos + 1);
    this.pos += 1 + bytes.length;
  }
}

/** Clears the bits from `bit` to the end of `size` bytes that begin at `start`: what is past the end, and padding. */
function clearFrom(bytes: Uint8Array, start: number, bit: number, size: number): void {
  const at = start + (bit >>> 3);
  if ((bit & 7) !== 0) bytes[at] = (bytes[at] as number) & ~(0xff << (bit & 7));
  bytes.fill(0, (bit & 7) === 0 ? at : at + 1, start + size);
}
