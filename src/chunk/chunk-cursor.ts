import { isSafeU64, joinU64, readU32, u64Text } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import { DEVIATION_BIT } from './deviation.js';
import { FLAG, type FlagsWidth, joinFourBytes, KIND_FLAGS, KNOWN_FLAGS } from './flags.js';

/** What a chunk is. `bare` is EOS alone, or a chunk with no kind flag. */
export type ChunkKind = 'start' | 'complete' | 'bits' | 'zeroes' | 'bare';

/** Bytes in a sector of the wire format. */
export const SECTOR = 512;

const {
  'name-empty': NAME_EMPTY,
  'name-nul': NAME_NUL,
  'flags-two-kinds': TWO_KINDS,
  'flags-zeroes-without-bits': LONE_ZEROES,
  'flags-unknown': UNKNOWN_FLAGS,
  'flags-wide': WIDE_FLAGS,
  'flags-none': NO_FLAGS,
  'granularity-invalid': BAD_GRANULARITY,
  'start-flags-reserved': RESERVED_START,
  'start-flags-autoload': AUTOLOAD,
  'sector-overflow': SECTOR_OVERFLOW,
  'sector-count-zero': NO_SECTORS,
} = DEVIATION_BIT;

/** The flags of BITS and of ZEROES without names. */
const PLAIN_BITS = 0x40;
const PLAIN_ZEROES = 0x42;
/** Making a view costs as much as reading some headers byte by byte. */
const WORTH_A_VIEW = 8192;

/** A range may end at 2^53 bytes, which is exact: QEMU sends disks of 8 PiB. */
const MAX_END_SECTOR = 2 ** 53 / SECTOR;

/**
 * The header of one chunk, decoded in place: {@link ChunkCursor.read} fills the fields and allocates nothing. This is the
 * one parser of the wire format; `decodeChunk`, `ChunkParser` and everything above use it.
 * Source: wire-format.md, Grammar; dirty-bitmap-states.md section 1.
 */
export class ChunkCursor {
  kind: ChunkKind = 'bare';
  /** All flag bits but the width markers. */
  flags = 0;
  flagsWidth: FlagsWidth = 1;
  /** The last chunk of its section. */
  eos = false;

  /** The bytes the header was read from; name positions below are positions in it. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Position of the node name's first byte, or -1 where the chunk carries none. */
  nodeStart = -1;
  nodeEnd = -1;
  /** Position of the bitmap name's first byte, or -1 where the chunk carries none. */
  bitmapStart = -1;
  bitmapEnd = -1;

  /** START: granularity in bytes, as on the wire, valid or not. */
  granularity = 0;
  /** START: the byte after the granularity. */
  startFlags = 0;

  /** BITS: first sector (512 bytes each). Exact only where {@link ChunkCursor.deviations} has no sector-overflow. */
  firstSector = 0;
  firstSectorHigh = 0;
  firstSectorLow = 0;
  /** BITS: how many sectors. */
  sectorCount = 0;
  /** BITS with data: how many bytes of data follow the header; else 0. */
  size = 0;

  /** Bytes of the header: all of the chunk but its data. */
  headerLength = 0;
  /** Bits of `DEVIATION_BIT`. */
  deviations = 0;

  /** A view of `bytes`, where they are long enough for it to pay. */
  #view: DataView | undefined;
  /** The flags of the chunk, where it has no names and is BITS or ZEROES; else 0. */
  #plain = 0;

  /**
   * Reads the header at `pos`.
   * @param offset where `pos` is in the input, in bytes, for errors.
   * @returns the length of the header in bytes (at least 1), or, negative, how many bytes are needed at least.
   * @throws DirtyBitmapError `bits-size-limit` where BITS announces more than `maxBitsBytes` bytes of data.
   */
  read(bytes: Uint8Array, pos: number, end: number, offset: number, maxBitsBytes: number): number {
    const have = end - pos;
    if (have < 1) return -1;
    if (this.bytes !== bytes) this.#enter(bytes);
    const first = bytes[pos] as number;
    // BITS and BITS|ZEROES without names are all but a few chunks of any stream.
    if (first === PLAIN_BITS || first === PLAIN_ZEROES) {
      const zeroes = first === PLAIN_ZEROES;
      const length = zeroes ? 13 : 21;
      if (have < length) return -length;
      if (this.#plain !== first) this.#becomePlain(first, length);
      this.deviations = 0;
      const view = this.#view;
      if (view !== undefined) {
        const low = view.getInt32(pos + 5);
        const count = view.getInt32(pos + 9);
        // Small numbers are whole numbers of 31 bits to the engine, which is much quicker than doubles.
        if (low >= 0 && count > 0 && view.getInt32(pos + 1) === 0) {
          this.firstSectorHigh = 0;
          this.firstSectorLow = low;
          this.firstSector = low;
          this.sectorCount = count;
          if (zeroes) return length;
          const size = view.getInt32(pos + 17);
          if (size >= 0 && size <= maxBitsBytes && view.getInt32(pos + 13) === 0) {
            this.size = size;
            return length;
          }
        }
      }
      readRange(this, bytes, pos + 1);
      if (!zeroes) readSize(this, bytes, pos + 13, offset + 13, maxBitsBytes);
      return length;
    }
    this.#plain = 0;
    this.nodeStart = -1;
    this.bitmapStart = -1;
    return this.#readAny(bytes, pos, end, offset, maxBitsBytes);
  }

  #enter(bytes: Uint8Array): void {
    this.bytes = bytes;
    const { length } = bytes;
    // Asking for the buffer costs something too.
    this.#view = length < WORTH_A_VIEW ? undefined : new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** What is the same in all chunks of these flags, which stays until a chunk of others is read. */
  #becomePlain(flags: number, length: number): void {
    this.#plain = flags;
    this.kind = flags === PLAIN_ZEROES ? 'zeroes' : 'bits';
    this.flags = flags;
    this.flagsWidth = 1;
    this.eos = false;
    this.nodeStart = -1;
    this.bitmapStart = -1;
    this.size = 0;
    this.headerLength = length;
  }

  #readAny(bytes: Uint8Array, pos: number, end: number, offset: number, maxBitsBytes: number): number {
    let at = this.#readFlags(bytes, pos, end);
    if (at < 0) return at;
    const flags = this.flags;
    if ((flags & FLAG.DEVICE_NAME) !== 0) {
      if (at >= end) return pos - at - 1;
      const stop = at + 1 + (bytes[at] as number);
      if (stop > end) return pos - stop;
      this.nodeStart = at + 1;
      this.nodeEnd = stop;
      this.#checkName(bytes, at + 1, stop);
      at = stop;
    }
    if ((flags & FLAG.BITMAP_NAME) !== 0) {
      if (at >= end) return pos - at - 1;
      const stop = at + 1 + (bytes[at] as number);
      if (stop > end) return pos - stop;
      this.bitmapStart = at + 1;
      this.bitmapEnd = stop;
      this.#checkName(bytes, at + 1, stop);
      at = stop;
    }
    this.size = 0;
    if ((flags & FLAG.START) !== 0) {
      if (end - at < 5) return pos - at - 5;
      this.kind = 'start';
      this.#readStart(bytes, at);
      at += 5;
    } else if ((flags & FLAG.COMPLETE) !== 0) {
      this.kind = 'complete';
    } else if ((flags & FLAG.BITS) !== 0) {
      const zeroes = (flags & FLAG.ZEROES) !== 0;
      const length = zeroes ? 12 : 20;
      if (end - at < length) return pos - at - length;
      this.kind = zeroes ? 'zeroes' : 'bits';
      readRange(this, bytes, at);
      if (!zeroes) readSize(this, bytes, at + 12, offset + (at + 12 - pos), maxBitsBytes);
      at += length;
    } else {
      this.kind = 'bare';
    }
    this.headerLength = at - pos;
    return this.headerLength;
  }

  /** Reads the flags field; returns the position after it, or how many bytes are needed, negative. */
  #readFlags(bytes: Uint8Array, pos: number, end: number): number {
    const first = bytes[pos] as number;
    let flags = first;
    let width: FlagsWidth = 1;
    if (first >= 0x80) {
      if (end - pos < 2) return -2;
      const second = bytes[pos + 1] as number;
      width = 2;
      flags = ((first & 0x7f) << 8) | second;
      if (second >= 0x80) {
        if (end - pos < 4) return -4;
        width = 4;
        flags = joinFourBytes(first, second, bytes[pos + 2] as number, bytes[pos + 3] as number);
      }
    }
    this.flags = flags;
    this.flagsWidth = width;
    this.eos = (flags & FLAG.EOS) !== 0;
    let deviations = 0;
    const kinds = flags & KIND_FLAGS;
    if ((kinds & (kinds - 1)) !== 0) deviations |= TWO_KINDS;
    if ((flags & FLAG.ZEROES) !== 0 && (flags & FLAG.BITS) === 0) deviations |= LONE_ZEROES;
    if (flags === 0) deviations |= NO_FLAGS;
    if (flags > KNOWN_FLAGS) deviations |= UNKNOWN_FLAGS;
    // A field of two bytes has bit 7 clear, so anything up to 0x7f there would have fitted in one byte.
    if ((width === 2 && flags <= 0x7f) || (width === 4 && (flags & ~0x7f7f) === 0)) deviations |= WIDE_FLAGS;
    this.deviations = deviations;
    return pos + width;
  }

  #checkName(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) this.deviations |= NAME_EMPTY;
    for (let at = start; at < end; at++) {
      if (bytes[at] === 0) this.deviations |= NAME_NUL;
    }
  }

  #readStart(bytes: Uint8Array, at: number): void {
    const granularity = readU32(bytes, at);
    const startFlags = bytes[at + 4] as number;
    this.granularity = granularity;
    this.startFlags = startFlags;
    // A power of two has one bit set; 2^31 is the largest that a u32 holds.
    if (granularity < SECTOR || (granularity & (granularity - 1)) !== 0) this.deviations |= BAD_GRANULARITY;
    if ((startFlags & 0xf8) !== 0) this.deviations |= RESERVED_START;
    if ((startFlags & 0x04) !== 0) this.deviations |= AUTOLOAD;
  }
}

function readRange(cursor: ChunkCursor, bytes: Uint8Array, at: number): void {
  const high = readU32(bytes, at);
  const low = readU32(bytes, at + 4);
  const count = readU32(bytes, at + 8);
  const first = joinU64(high, low);
  cursor.firstSectorHigh = high;
  cursor.firstSectorLow = low;
  cursor.firstSector = first;
  cursor.sectorCount = count;
  if (first + count > MAX_END_SECTOR) cursor.deviations |= SECTOR_OVERFLOW;
  // A disk of no bytes is sent as one ZEROES chunk of no sectors; any other range covers something.
  if (count === 0 && (first !== 0 || cursor.kind !== 'zeroes')) cursor.deviations |= NO_SECTORS;
}

function readSize(cursor: ChunkCursor, bytes: Uint8Array, at: number, offset: number, maxBitsBytes: number): void {
  const high = readU32(bytes, at);
  const low = readU32(bytes, at + 4);
  const size = joinU64(high, low);
  if (!isSafeU64(high) || size > maxBitsBytes) {
    throw new DirtyBitmapError(
      'bits-size-limit',
      `size of BITS data: expected at most ${maxBitsBytes} bytes, found ${u64Text(high, low)}; ` +
        'a QEMU since 5.1 refuses more than 10240, so the stream is damaged here (or raise maxBitsBytes)',
      { offset, path: 'size' },
    );
  }
  cursor.size = size;
}
