import type { Bitmap } from '../bitmap/bitmap.js';
import type { ChunkOutput, ChunkRange } from './chunk-output.js';

/** How the bits of a bitmap are sent: as QEMU does, or in as few bytes as a QEMU still accepts. */
export type Profile = 'qemu' | 'compact';

/** A bitmap to cut. */
export interface CutterInput {
  readonly bits: Bitmap;
  /** Bytes. */
  readonly granularity: number;
  /** Bits of the bitmap. */
  readonly granules: number;
  /** Sectors of the disk. */
  readonly sectors: number;
}

/** Cuts a bitmap into the ranges of its BITS chunks. Each {@link Cutter.next} puts the next range into the fields. */
export interface Cutter extends ChunkRange {
  /** Sectors that are dealt with. */
  readonly position: number;
  /** Bytes of the data of one chunk at most. */
  readonly maxSize: number;
  /** Goes on to the next range; false where there is none. */
  next(): boolean;
  /**
   * Goes on over ranges that are known at a glance, and writes their chunks, which need no names: as many as there is
   * room for, until `budget` bytes are reached or exceeded by the last. False where it wrote none: {@link Cutter.next}
   * tells what comes.
   */
  writeRow(output: ChunkOutput, budget: number): boolean;
  /** One that goes on from here by itself. */
  clone(): Cutter;
}

/** The largest value of the field that counts sectors. */
export const MAX_SECTOR_COUNT = 0xffff_ffff;

/** Sectors that 64 granules take: ranges begin and end on this. */
export function unitSectors(granularity: number): number {
  return granularity / 8;
}
