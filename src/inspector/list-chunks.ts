import { popcount } from '../bitmap/words.js';
import { ChunkCursor, type ChunkKind } from '../chunk/chunk-cursor.js';
import { DEFAULT_LIMITS } from '../limits.js';
import type { IndexedBitmap } from './chunk-index.js';

/** A chunk in a list. Offsets and lengths in bytes of the input. */
export interface ListedChunk {
  /** Among those of its bitmap, from 0. */
  readonly number: number;
  readonly offset: number;
  readonly length: number;
  readonly kind: ChunkKind;
  /** START: bytes. */
  readonly granularity: number;
  /** BITS and ZEROES: sectors of 512 bytes. */
  readonly firstSector: number;
  readonly sectorCount: number;
  /** BITS: how many bits are set; 0 else. */
  readonly dirtyBits: number;
}

/** Reads bytes of the input; fewer than asked for where it ends. */
export type ReadBytes = (offset: number, length: number) => Promise<Uint8Array>;

/**
 * Some chunks of a bitmap, read again from the input.
 * @param first number of the first one.
 * @throws what `read` throws.
 */
export async function listChunks(
  bitmap: IndexedBitmap,
  first: number,
  count: number,
  read: ReadBytes,
): Promise<ListedChunk[]> {
  const chunks: ListedChunk[] = [];
  for (const run of bitmap.runs.slice(runAt(bitmap, first))) {
    if (run.first >= first + count) break;
    const bytes = await read(run.offset, run.length);
    // Each run is of a buffer of its own: a cursor keeps a view of the last.
    const cursor = new ChunkCursor();
    let pos = 0;
    for (let number = run.first; number < run.first + run.count; number++) {
      const offset = run.offset + pos;
      const header = cursor.read(bytes, pos, bytes.length, offset, DEFAULT_LIMITS.maxBitsBytes);
      // The input was cut within its last chunk.
      if (header < 0) break;
      const data = bytes.subarray(pos + header, pos + header + cursor.size);
      pos += header + cursor.size;
      if (number < first || number >= first + count) continue;
      const { kind, granularity, firstSector, sectorCount } = cursor;
      const length = header + cursor.size;
      chunks.push({ number, offset, length, kind, granularity, firstSector, sectorCount, dirtyBits: bitsIn(data) });
    }
  }
  return chunks;
}

/** The number of the run that holds a chunk. */
function runAt({ runs }: IndexedBitmap, chunk: number): number {
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = runs[middle];
    if (run !== undefined && run.first + run.count <= chunk) low = middle + 1;
    else high = middle;
  }
  return low;
}

function bitsIn(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) count += popcount(byte);
  return count;
}
