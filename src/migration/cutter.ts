import type { Bitmap } from '../bitmap/bitmap.js';

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

/** Chunks of data that are written one behind the other. */
export interface DataRun {
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

/** Cuts a bitmap into the ranges of its BITS chunks. Each {@link Cutter.next} puts the next range into the fields. */
export interface Cutter {
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
  /** Sectors that are dealt with. */
  readonly position: number;
  /** Bytes of the data of one chunk at most. */
  readonly maxSize: number;
  /** Goes on to the next range; false where there is none. */
  next(): boolean;
  /**
   * Goes on over ranges that are all clear and as long as each other, at most `max` of them, and leaves the first in the
   * fields. 0 where it does not know of any without looking: then {@link Cutter.next} tells.
   */
  clearRun(max: number): number;
  /**
   * Goes on over ranges of data that are known at a glance: as many as take at most `room` bytes as chunks
   * without names, until `budget` bytes are reached or exceeded by the last. Undefined where {@link Cutter.next} tells.
   */
  dataRun(room: number, budget: number): DataRun | undefined;
  /** One that goes on from here by itself. */
  clone(): Cutter;
}

/** The largest value of the field that counts sectors. */
export const MAX_SECTOR_COUNT = 0xffff_ffff;

/** Sectors that 64 granules take: ranges begin and end on this. */
export function unitSectors(granularity: number): number {
  return granularity / 8;
}
