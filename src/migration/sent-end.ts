import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';

/** Granules of a chunk of QEMU's, but for the last of a bitmap. Source: wire-format.md. */
const QEMU_CHUNK = 8192;
/** QEMU pads the data of BITS to a multiple of this, in bytes. */
const PADDING = 32;

/**
 * Up to where a bitmap was sent. A sender of whole bitmaps goes up to the end of the disk; one that leaves out what is
 * clean (profile `compact`) may stop before it, and cuts and pads in another way.
 */
export class SentEnd {
  /** Sectors: the end of the highest range. */
  end = 0;
  /** Whether all ranges are cut as QEMU cuts whole bitmaps. */
  #whole = true;
  #full = true;
  readonly #chunkSectors: number;
  /** Sectors of 64 granules: only the last range of a disk ends within them. */
  readonly #unit: number;

  /** @param granularity of the bitmap, in bytes. */
  constructor(granularity: number) {
    // The count has 32 bits, so that chunks of coarse bitmaps are shorter.
    this.#unit = (64 * granularity) / SECTOR;
    this.#chunkSectors = Math.min(QEMU_CHUNK * (granularity / SECTOR), 2 ** 31);
  }

  /** Takes the next BITS chunk, with data or without. */
  add({ firstSector, sectorCount, size }: ChunkCursor): void {
    if (firstSector !== this.end || !this.#full || size % PADDING !== 0) this.#whole = false;
    this.#full = sectorCount >= this.#chunkSectors;
    if (firstSector + sectorCount > this.end) this.end = firstSector + sectorCount;
  }

  /** Whether the disk ends where the ranges do. */
  get isDiskEnd(): boolean {
    return (this.#whole && this.end > 0) || this.end % this.#unit !== 0;
  }
}
