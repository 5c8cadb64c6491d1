import { type Name, nameFromBytes } from '../bytes/text.js';
import type { ChunkCursor } from './chunk-cursor.js';
import { type Deviation, deviationsOf } from './deviation.js';
import type { FlagsWidth } from './flags.js';

/** What all chunks have. */
export interface ChunkBase {
  /** Every flag bit as on the wire, the width markers taken off. */
  readonly flags: number;
  /** Bytes of the flags field. */
  readonly flagsWidth: FlagsWidth;
  /** The last chunk of its section. */
  readonly eos: boolean;
  /** The node name this chunk carries; undefined where it means the node of the chunk before. */
  readonly node: Name | undefined;
  /** The bitmap name this chunk carries; undefined where it means the bitmap of the chunk before. */
  readonly bitmap: Name | undefined;
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** Bytes of the chunk, its data included. */
  readonly length: number;
  /** In which ways it is malformed and was decoded all the same. */
  readonly deviations: readonly Deviation[];
}

/** A bitmap begins. */
export interface StartChunk extends ChunkBase {
  readonly kind: 'start';
  /** Bytes, as on the wire: not valid where `deviations` has `granularity-invalid`. */
  readonly granularity: number;
  /** The byte after the granularity: bit 0 enabled, bit 1 persistent. */
  readonly startFlags: number;
}

/** A bitmap is complete. */
export interface CompleteChunk extends ChunkBase {
  readonly kind: 'complete';
}

/** The bits of a range. */
export interface BitsChunk extends ChunkBase {
  readonly kind: 'bits';
  /** In sectors of 512 bytes. */
  readonly firstSector: number;
  /** In sectors of 512 bytes. */
  readonly sectorCount: number;
  /**
   * One bit a granule, least significant first, with its padding. Made when it is asked for, as a view of the bytes
   * that were decoded where they lie in one piece: valid until the caller reuses them; copy to keep.
   */
  readonly data: Uint8Array;
}

/** A range whose bits are all clear. */
export interface ZeroesChunk extends ChunkBase {
  readonly kind: 'zeroes';
  /** In sectors of 512 bytes. */
  readonly firstSector: number;
  /** In sectors of 512 bytes. */
  readonly sectorCount: number;
}

/** No kind flag: the end of a section, mostly. */
export interface BareChunk extends ChunkBase {
  readonly kind: 'bare';
}

/** One chunk of the dirty-bitmap section. */
export type Chunk = StartChunk | CompleteChunk | BitsChunk | ZeroesChunk | BareChunk;

/** A BITS chunk whose data are handed in when they are there, and made into a view when they are asked for. */
export class LazyBitsChunk implements BitsChunk {
  readonly kind = 'bits';
  readonly flags: number;
  readonly flagsWidth: FlagsWidth;
  readonly eos: boolean;
  readonly node: Name | undefined;
  readonly bitmap: Name | undefined;
  readonly offset: number;
  readonly length: number;
  readonly deviations: readonly Deviation[];
  readonly firstSector: number;
  readonly sectorCount: number;
  #bytes: Uint8Array = NO_BYTES;
  #start = 0;
  readonly #size: number;

  constructor(cursor: ChunkCursor, offset: number) {
    this.flags = cursor.flags;
    this.flagsWidth = cursor.flagsWidth;
    this.eos = cursor.eos;
    this.node = nodeName(cursor);
    this.bitmap = bitmapName(cursor);
    this.offset = offset;
    this.length = cursor.headerLength + cursor.size;
    this.deviations = deviationsOf(cursor.deviations);
    this.firstSector = cursor.firstSector;
    this.sectorCount = cursor.sectorCount;
    this.#size = cursor.size;
  }

  /** The data are in `bytes`, from `start`. */
  hold(bytes: Uint8Array, start: number): this {
    this.#bytes = bytes;
    this.#start = start;
    return this;
  }

  // A view costs more than all the rest of a chunk, and most readers of events never look at the data.
  get data(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#start + this.#size);
  }
}

const NO_BYTES = new Uint8Array(0);

/**
 * The chunk under the cursor as an object; any but BITS, which has data of its own.
 * @param offset where the chunk is in the input, in bytes.
 */
export function chunkFromCursor(cursor: ChunkCursor, offset: number): Chunk {
  const { flags, flagsWidth, eos, firstSector, sectorCount, headerLength: length } = cursor;
  const node = nodeName(cursor);
  const bitmap = bitmapName(cursor);
  const deviations = deviationsOf(cursor.deviations);
  // Each one written out: putting objects together costs several times as much, and there may be millions.
  switch (cursor.kind) {
    case 'start': {
      const { granularity, startFlags } = cursor;
      const kind = cursor.kind;
      return { kind, flags, flagsWidth, eos, node, bitmap, offset, length, deviations, granularity, startFlags };
    }
    case 'zeroes': {
      const kind = cursor.kind;
      return { kind, flags, flagsWidth, eos, node, bitmap, offset, length, deviations, firstSector, sectorCount };
    }
    case 'complete':
      return { kind: 'complete', flags, flagsWidth, eos, node, bitmap, offset, length, deviations };
    default:
      return { kind: 'bare', flags, flagsWidth, eos, node, bitmap, offset, length, deviations };
  }
}

function nodeName(cursor: ChunkCursor): Name | undefined {
  if (cursor.nodeStart < 0) return undefined;
  return nameFromBytes(cursor.bytes.subarray(cursor.nodeStart, cursor.nodeEnd));
}

function bitmapName(cursor: ChunkCursor): Name | undefined {
  if (cursor.bitmapStart < 0) return undefined;
  return nameFromBytes(cursor.bytes.subarray(cursor.bitmapStart, cursor.bitmapEnd));
}
