import { paddedSize, serializedSize } from '../bitmap/serialize.js';
import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import type { FaultCode } from './destination-transitions.js';

/** Granules of the unit that ranges are aligned to. */
const UNIT = 64;

/** A range that may be applied. */
export interface Range {
  /** In bits of the bitmap. */
  firstBit: number;
  /** The bit after the last. */
  endBit: number;
  /** Bytes of its data, without padding. */
  needed: number;
}

/**
 * Whether the BITS chunk under the cursor fits a bitmap, before anything is touched; fills `range`.
 * Source: dirty-bitmap-states.md section 2, Acceptance.
 * @param size bytes of the disk.
 * @param granules bits of the bitmap.
 * @returns the code of what is wrong, or undefined.
 */
export function checkRange(
  cursor: ChunkCursor,
  granularity: number,
  granules: number,
  size: number,
  range: Range,
): FaultCode | undefined {
  const { firstSector, sectorCount } = cursor;
  range.firstBit = 0;
  range.endBit = 0;
  range.needed = 0;
  if (sectorCount === 0) {
    // Right for a disk of no bytes only.
    return size === 0 && firstSector === 0 && cursor.kind === 'zeroes' ? undefined : 'sector-count-zero';
  }
  const firstBit = (firstSector * SECTOR) / granularity;
  const exactEnd = ((firstSector + sectorCount) * SECTOR) / granularity;
  const endBit = Math.ceil(exactEnd);
  if (firstBit % UNIT !== 0) return 'bits-misaligned';
  if (endBit > granules) return 'bits-out-of-range';
  if (endBit < granules && exactEnd % UNIT !== 0) return 'bits-misaligned';
  const bits = endBit - firstBit;
  const needed = serializedSize(bits);
  if (cursor.kind === 'bits' && (cursor.size < needed || cursor.size > paddedSize(bits))) return 'bits-size-mismatch';
  range.firstBit = firstBit;
  range.endBit = endBit;
  range.needed = needed;
  return undefined;
}

/** What is wrong with a range, for a message. */
export function rangeMessage(code: FaultCode, cursor: ChunkCursor, granularity: number, size: number): string {
  const { firstSector, sectorCount } = cursor;
  const what = `sectors ${firstSector} + ${sectorCount}`;
  switch (code) {
    case 'sector-count-zero':
      return `a chunk of no sectors, for a disk of ${size} bytes; the source makes no progress`;
    case 'bits-misaligned':
      return `${what}: expected multiples of ${(UNIT * granularity) / SECTOR} sectors up to the end of the disk (QEMU aborts)`;
    case 'bits-out-of-range':
      return `${what} reach past the end of a disk of ${size} bytes (QEMU aborts); the disks differ in size`;
    default: {
      const bits =
        Math.ceil(((firstSector + sectorCount) * SECTOR) / granularity) - (firstSector * SECTOR) / granularity;
      return `${what} need ${serializedSize(bits)} to ${paddedSize(bits)} bytes of data, found ${cursor.size}`;
    }
  }
}
