import type { Bitmap } from '../bitmap/bitmap.js';
import { granulesIn } from '../bitmap/granularity.js';
import { popcount } from '../bitmap/words.js';
import { forEachWordPair } from './scan-words.js';

/** How much of a disk is dirty, region by region. Plain data; sizes in bytes. */
export interface Density {
  /** Bytes of the disk that the cells cover: up to where the bitmap is known. */
  readonly size: number;
  /** Bytes of the disk that a cell stands for, a power of two times the granularity; the last one may be shorter. */
  readonly cellBytes: number;
  /** Dirty bytes of each cell. */
  readonly dirty: readonly number[];
}

/**
 * Counts what is dirty in each of at most `maxCells` regions of the same size. What lies behind `size` (bytes) does not
 * count. Takes time for what is dirty, not for the size of the disk.
 */
export function densityOf(bits: Bitmap, size: number, maxCells: number): Density {
  return densityIn(bits, size, cellBytesFor(size, bits.granularity, maxCells));
}

/** {@link densityOf} with cells of `cellBytes`, a power of two times the granularity. */
export function densityIn(bits: Bitmap, size: number, cellBytes: number): Density {
  const { granularity } = bits;
  const dirty = new Array<number>(granulesIn(size, cellBytes)).fill(0);
  forEachWordPair(bits, undefined, granulesIn(size, granularity), wordCounter(dirty, cellBytes, granularity));
  clipLast(dirty, bits, size);
  return { size, cellBytes, dirty };
}

/** The smallest power of two times the granularity of which at most `maxCells` cover the disk; all in bytes. */
export function cellBytesFor(size: number, granularity: number, maxCells: number): number {
  let bytes = granularity;
  while (granulesIn(size, bytes) > maxCells) bytes *= 2;
  return bytes;
}

/** Adds the bytes of the bits of each word that it is given to their cells. */
export function wordCounter(
  cells: number[],
  cellBytes: number,
  granularity: number,
): (word: number, other: number, firstBit: number) => void {
  const granules = cellBytes / granularity;
  // A word lies in one cell, or holds several cells: both are powers of two.
  const width = Math.min(32, granules);
  const mask = width === 32 ? -1 : 2 ** width - 1;
  return (word, _other, firstBit) => {
    for (let bit = 0; bit < 32; bit += width) {
      const part = (word >>> bit) & mask;
      if (part === 0) continue;
      const cell = Math.floor((firstBit + bit) / granules);
      cells[cell] = (cells[cell] as number) + popcount(part) * granularity;
    }
  };
}

/** Takes off what the last granule reaches over the end of the disk. */
export function clipLast(cells: number[], bits: Bitmap, size: number): void {
  const { granularity } = bits;
  const beyond = granulesIn(size, granularity) * granularity - size;
  if (beyond > 0 && bits.get(size - 1)) cells[cells.length - 1] = (cells.at(-1) as number) - beyond;
}

/** Bytes of the disk in cell `index`: the last one may be shorter. */
export function cellLength({ size, cellBytes }: Pick<Density, 'size' | 'cellBytes'>, index: number): number {
  return Math.min(cellBytes, size - index * cellBytes);
}

/** Dirty bytes of all cells. */
export function dirtyBytes({ dirty }: Density): number {
  return dirty.reduce((sum, bytes) => sum + bytes, 0);
}

/**
 * A part as percent, for people: `0 %` and `100 %` only where that is exact.
 * @param part of `whole`, in the same unit.
 */
export function percentText(part: number, whole: number): string {
  if (part === 0 || whole === 0) return '0 %';
  if (part === whole) return '100 %';
  const percent = (100 * part) / whole;
  if (percent < 0.01) return '<0.01 %';
  if (percent > 99.99) return '>99.99 %';
  return `${percent.toFixed(percent < 10 || percent > 99 ? 2 : 1)} %`;
}
