import type { ByteWriter } from '../bytes/byte-writer.js';
import { DirtyBitmapError } from '../errors.js';

/** The defined flags of a chunk. Source: wire-format.md, Grammar. */
export const FLAG = Object.freeze({
  /** Last chunk of this section (not of the migration). */
  EOS: 0x01,
  /** Only with BITS: the range is clear, no data follows. */
  ZEROES: 0x02,
  /** A bitmap name follows. */
  BITMAP_NAME: 0x04,
  /** A node name follows. */
  DEVICE_NAME: 0x08,
  START: 0x10,
  COMPLETE: 0x20,
  BITS: 0x40,
});

/** The flags that say what a chunk is. */
export const KIND_FLAGS: number = FLAG.START | FLAG.COMPLETE | FLAG.BITS;
/** Every defined flag. */
export const KNOWN_FLAGS = 0x7f;

/** How many bytes the flags field has. */
export type FlagsWidth = 1 | 2 | 4;

/** Flags as they stand on the wire: all bits but the markers, and the width, so that they can be written back. */
export interface Flags {
  readonly value: number;
  readonly width: FlagsWidth;
}

/** Bits that each width can hold, besides its markers. */
const HOLDS: Record<FlagsWidth, number> = { 1: 0x7f, 2: 0x7f7f, 4: 0x7f7f_ffff };
const MARKERS: Record<FlagsWidth, number> = { 1: 0, 2: 0x8000, 4: 0x8080_0000 };

/**
 * Reads the flags field at `pos`.
 * @returns the flags, or how many bytes are needed at least.
 */
export function decodeFlags(bytes: Uint8Array, pos = 0): Flags | number {
  const have = bytes.length - pos;
  if (have < 1) return 1;
  const first = bytes[pos] as number;
  if (first < 0x80) return { value: first, width: 1 };
  if (have < 2) return 2;
  const second = bytes[pos + 1] as number;
  if (second < 0x80) return { value: ((first & 0x7f) << 8) | second, width: 2 };
  if (have < 4) return 4;
  return { value: joinFourBytes(first, second, bytes[pos + 2] as number, bytes[pos + 3] as number), width: 4 };
}

/** The bits of a four-byte field without its markers. */
export function joinFourBytes(first: number, second: number, third: number, fourth: number): number {
  return ((first & 0x7f) << 24) | ((second & 0x7f) << 16) | (third << 8) | fourth;
}

/** The fewest bytes that can hold `value`, or undefined where none can (bits 23 and 31 are markers). */
export function shortestWidth(value: number): FlagsWidth | undefined {
  if (!Number.isInteger(value) || value < 0) return undefined;
  for (const width of [1, 2, 4] as const) {
    if (value <= HOLDS[width] && (value & ~HOLDS[width]) === 0) return width;
  }
  return undefined;
}

/**
 * Writes a flags field; without a width in its shortest form.
 * @throws DirtyBitmapError `argument` where the width cannot hold the value.
 */
export function writeFlags(out: ByteWriter, value: number, width: FlagsWidth | undefined = shortestWidth(value)): void {
  if (width === undefined || shortestWidth(value) === undefined || (value & ~HOLDS[width]) !== 0) {
    throw new DirtyBitmapError(
      'argument',
      `flags 0x${value.toString(16)}: expected bits that a field of ${width ?? '1, 2 or 4'} bytes can hold ` +
        '(0-6 in one byte; 0-6 and 8-14 in two; 0-22 and 24-30 in four)',
    );
  }
  const field = (value | MARKERS[width]) >>> 0;
  if (width === 1) out.u8(field);
  else if (width === 2) out.u16(field);
  else out.u32(field);
}
