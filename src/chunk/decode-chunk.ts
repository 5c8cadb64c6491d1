import { DirtyBitmapError } from '../errors.js';
import { DEFAULT_LIMITS } from '../limits.js';
import { type Chunk, chunkFromCursor, LazyBitsChunk } from './chunk.js';
import { ChunkCursor } from './chunk-cursor.js';
import { DEVIATION_BIT, type Refusal, refusalMask } from './deviation.js';
import { refuseDeviations } from './deviation-message.js';

/** How one chunk is decoded. */
export interface DecodeChunkOptions {
  /** Where `bytes[pos]` is in the input, in bytes; it ends up in the chunk and in errors. Default: `pos`. */
  readonly offset?: number;
  /** Deviations that are errors. Default `none`: they are decoded as QEMU does and listed in `chunk.deviations`. */
  readonly refuse?: Refusal;
  /** Most bytes that a BITS chunk may announce. Default 10240, as QEMU. */
  readonly maxBitsBytes?: number;
}

const cursor = new ChunkCursor();

/**
 * Decodes the chunk at `pos`.
 *
 * @returns the chunk, or a number: so many bytes are needed at least from `pos`. Not enough bytes is never an error.
 * @throws DirtyBitmapError `bits-size-limit` and `sector-overflow` (the numbers cannot be held), and any deviation that
 * `refuse` names.
 * @example
 * const chunk = decodeChunk(Uint8Array.of(0x01));
 * if (typeof chunk !== 'number') console.log(chunk.kind, chunk.eos); // 'bare' true
 */
export function decodeChunk(bytes: Uint8Array, pos = 0, options: DecodeChunkOptions = {}): Chunk | number {
  if (!Number.isInteger(pos) || pos < 0 || pos > bytes.length) {
    throw new DirtyBitmapError('argument', `pos: expected 0 to ${bytes.length}, found ${pos}`);
  }
  const offset = options.offset ?? pos;
  const maxBitsBytes = options.maxBitsBytes ?? DEFAULT_LIMITS.maxBitsBytes;
  const header = cursor.read(bytes, pos, bytes.length, offset, maxBitsBytes);
  if (header < 0) return -header;
  const refused = refusalMask(options.refuse ?? 'none') | DEVIATION_BIT['sector-overflow'];
  if ((cursor.deviations & refused) !== 0) refuseDeviations(cursor, refused, offset);
  if (bytes.length - pos < header + cursor.size) return header + cursor.size;
  if (cursor.kind === 'bits') return new LazyBitsChunk(cursor, offset).hold(bytes, pos + header);
  return chunkFromCursor(cursor, offset);
}
