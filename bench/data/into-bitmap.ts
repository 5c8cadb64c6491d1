import type { Bitmap, ChunkCursor, ChunkHandler } from '../../src/index.js';

/** Stores the ranges of a stream of one bitmap in a bitmap that is there: what a user of `SectionParser` writes. */
export class IntoBitmap implements ChunkHandler {
  readonly #bits: Bitmap;
  readonly #sectorsPerByte: number;
  #at = 0;

  constructor(bits: Bitmap) {
    this.#bits = bits;
    this.#sectorsPerByte = (bits.granularity / 512) * 8;
  }

  chunk(cursor: ChunkCursor): void {
    if (cursor.kind !== 'bits' && cursor.kind !== 'zeroes') return;
    this.#at = cursor.firstSector / this.#sectorsPerByte;
    if (cursor.kind === 'zeroes') this.#bits.zeroBytes(this.#at, cursor.sectorCount / this.#sectorsPerByte);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    this.#bits.writeBytes(this.#at + at, bytes, start, end);
  }
}
