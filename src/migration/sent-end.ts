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

  /** Takes the next BITS chunk; `granularity` in bytes. */
  add(cursor: ChunkCursor, granularity: number): void {
    const { firstSector, sectorCount, kind, size } = cursor;
    const granules = (sectorCount * SECTOR) / granularity;
    if (firstSector !== this.end || !this.#full || (kind === 'bits' && size % PADDING !== 0)) this.#whole = false;
    // The count has 32 bits, so that chunks of coarse bitmaps are shorter.
    this.#full = granules === QEMU_CHUNK || sectorCount >= 2 ** 31;
    this.end = Math.max(this.end, firstSector + sectorCount);
  }

  /** Whether the disk ends where the ranges do. */
  get isDiskEnd(): boolean {
    return this.#whole && this.end > 0;
  }
}

/**
 * Why a bitmap is of another disk than one that was sent, or undefined: QEMU aborts where ranges go past the end of the
 * disk, or end within 64 granules before it.
 * @param bitmap up to where it would be sent, in sectors; which is the end of its disk where `exact`, or where it is no
 * multiple of `unit`, the sectors of 64 granules.
 */
export function otherDisk(
  sent: SentEnd,
  { sectors, unit, exact }: { readonly sectors: number; readonly unit: number; readonly exact: boolean },
): string | undefined {
  const ours = `${sectors * SECTOR} bytes`;
  const theirs = `${sent.end * SECTOR} bytes`;
  const ends = exact || sectors % unit !== 0;
  if (sent.isDiskEnd && sectors > sent.end) return `a disk of at least ${ours} does not fit one of ${theirs}`;
  if (sent.isDiskEnd && ends && sectors < sent.end) return `a disk of ${ours} is not one of ${theirs}`;
  if (ends && sent.end > sectors) return `a disk of ${ours} is not one of which ${theirs} were sent`;
  return undefined;
}
