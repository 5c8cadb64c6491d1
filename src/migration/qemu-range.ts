import { granulesIn, MAX_QEMU_GRANULES } from '../bitmap/granularity.js';
import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import { type HostBitmap, MAX_BYTES } from './qemu-host.js';
import type { QemuDetails } from './qemu-reason-text.js';
import type { QemuReasonCode } from './qemu-reasons.js';

/** Granules of a word, which ranges begin on. */
const UNIT = 64;
/** Padding of the bits that QEMU accepts: up to a multiple of so many bytes. */
const PADDING = 32;

/** Where the bits of a BITS chunk go, or why they do not. */
export interface QemuRange {
  /** First byte of the bitmap. */
  readonly at: number;
  /** Bytes of the bitmap; 0 where there is nothing to do. */
  readonly bytes: number;
  readonly problem:
    | { readonly effect: 'abort' | 'cancel'; readonly code: QemuReasonCode; readonly details: QemuDetails }
    | undefined;
}

/**
 * Holds the range of the BITS chunk under the cursor against a bitmap, in QEMU's order: what is only asserted, then the
 * number of bytes. Where the disk's size is not known, the range is noted down for later.
 * Source: dirty-bitmap-states.md section 2, "Acceptance on a QEMU destination".
 */
export function judgeRange(bitmap: HostBitmap, cursor: ChunkCursor, offset: number): QemuRange {
  const { granularity, node } = bitmap;
  const name = bitmap.name.text;
  const unit = (UNIT * granularity) / SECTOR;
  const count = cursor.sectorCount;
  // The number of bytes is kept in 64 bits, so the upper nine bits of the sector fall off.
  const high = cursor.firstSectorHigh & 0x7f_ffff;
  const first = high * 2 ** 32 + cursor.firstSectorLow;
  if (count === 0) {
    if (first === 0) bitmap.emptyRange = true;
    return sized(bitmap, cursor, 0, 0);
  }
  // A unit is at most 2^28 sectors, so the lower half says it all.
  if (cursor.firstSectorLow % unit !== 0) {
    return problem('abort', 'bits-start', { bitmap: name, found: first, expected: unit });
  }
  const end = (first + count) * SECTOR;
  const firstBit = (first * SECTOR) / granularity;
  const endBit = Math.ceil(end / granularity);
  const size = node.size ?? MAX_BYTES;
  if (end > MAX_BYTES || endBit > Math.min(MAX_QEMU_GRANULES, granulesIn(size, granularity))) {
    return problem('abort', 'bits-past-end', { bitmap: name, expected: size });
  }
  if (node.size === undefined) note(bitmap, end, endBit, count % unit !== 0 ? count : 0, offset);
  else if (count % unit !== 0 && endBit !== bitmap.granules) {
    return problem('abort', 'bits-length', { bitmap: name, found: count, expected: unit });
  }
  return sized(bitmap, cursor, firstBit / 8, Math.ceil((endBit - firstBit) / UNIT) * 8);
}

/** Whether the bytes that came are those that the range needs. */
function sized(bitmap: HostBitmap, cursor: ChunkCursor, at: number, bytes: number): QemuRange {
  const most = Math.ceil(bytes / PADDING) * PADDING;
  if (cursor.kind === 'zeroes' || (cursor.size >= bytes && cursor.size <= most))
    return { at, bytes, problem: undefined };
  const expected = bytes === most ? bytes : `${bytes} to ${most}`;
  return problem('cancel', 'bits-size', { bitmap: bitmap.name.text, found: cursor.size, expected });
}

function problem(effect: 'abort' | 'cancel', code: QemuReasonCode, details: QemuDetails): QemuRange {
  return { at: 0, bytes: 0, problem: { effect, code, details } };
}

/** Remembers what the size of the disk must be for this range. `oddSectors`: its length, where that is no whole words. */
function note(bitmap: HostBitmap, end: number, endBit: number, oddSectors: number, offset: number): void {
  const { node } = bitmap;
  node.end = Math.max(node.end, end);
  if (oddSectors === 0) return;
  const granule = endBit - 1;
  if (bitmap.shortEnd === undefined) bitmap.shortEnd = { granule, offset, sectors: oddSectors };
  else if (bitmap.shortEnd.granule !== granule) bitmap.otherShortEnd ??= { offset, sectors: oddSectors };
}
