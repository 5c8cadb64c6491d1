import type { ByteQueue } from '../bytes/byte-queue.js';
import type { Limits } from '../limits.js';
import { ChunkCursor } from './chunk-cursor.js';
import { type Refusal, refusalMask } from './deviation.js';
import { refuseDeviations } from './deviation-message.js';
import { NameMemory, type NameMemoryState, type Target } from './name-memory.js';

/** What a {@link ChunkParser} tells. Nothing it passes outlives the call: copy to keep. */
export interface ChunkHandler {
  /**
   * The header of a chunk.
   * @param cursor the header's fields; reused for the next chunk.
   * @param target the bitmap it means, or undefined where the stream does not say.
   * @param offset where the chunk is in the input, in bytes.
   */
  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void;
  /**
   * A part of the data of the BITS chunk just told: `bytes[start..end)`, which begin `at` bytes into its data. The parts
   * come in order and fill `cursor.size`; they are cut wherever the input's pieces are cut.
   */
  data(bytes: Uint8Array, start: number, end: number, at: number): void;
}

/** Where a {@link ChunkParser} stands, as plain data; the bytes that it has not taken are not part of it. */
export interface ChunkParserState {
  /** The names that were said, to which chunks without names refer. */
  readonly names: NameMemoryState;
  /** Bytes of data that are still to come for the BITS chunk that was told last, of how many. */
  readonly dataLeft: number;
  readonly dataSize: number;
  /** Whether that chunk ends its section. */
  readonly eos: boolean;
}

/**
 * Takes the bodies of dirty-bitmap sections apart, chunk by chunk, as far as the bytes go. One parser serves a whole
 * migration, because names are remembered from section to section.
 */
export class ChunkParser {
  readonly names: NameMemory;
  readonly #cursor = new ChunkCursor();
  readonly #queue: ByteQueue;
  readonly #handler: ChunkHandler;
  readonly #maxBitsBytes: number;
  readonly #refused: number;
  /** Bytes of data that are still to come for the chunk under the cursor. */
  #dataLeft = 0;
  #need = 1;

  constructor(queue: ByteQueue, handler: ChunkHandler, limits: Limits, refuse: Refusal = 'none') {
    this.#queue = queue;
    this.#handler = handler;
    this.names = new NameMemory(limits.maxBitmaps);
    this.#maxBitsBytes = limits.maxBitsBytes;
    this.#refused = refusalMask(refuse);
  }

  /** How many bytes the chunk needs at which the input stopped, at least; counted from the queue's offset. */
  get need(): number {
    return this.#dataLeft > 0 ? this.#dataLeft : this.#need;
  }

  /** Whether the parser stands inside the data of a BITS chunk. */
  get inData(): boolean {
    return this.#dataLeft > 0;
  }

  /** Where it stands, to go on from in another place. */
  snapshot(): ChunkParserState {
    const { size, eos } = this.#cursor;
    return { names: this.names.snapshot(), dataLeft: this.#dataLeft, dataSize: size, eos };
  }

  /** Goes on from where another one stood; only before anything was parsed here. */
  restore({ names, dataLeft, dataSize, eos }: ChunkParserState): void {
    this.names.restore(names);
    this.#dataLeft = dataLeft;
    this.#cursor.size = dataSize;
    this.#cursor.eos = eos;
  }

  /**
   * Goes on through the section's body.
   * @returns true after the chunk that ends the section, false where the bytes ran out before.
   * @throws DirtyBitmapError `bits-size-limit`, `limit`, and any deviation that is refused.
   */
  run(): boolean {
    const queue = this.#queue;
    const cursor = this.#cursor;
    const handler = this.#handler;
    const names = this.names;
    for (;;) {
      if (this.#dataLeft > 0) {
        if (!this.#takeData()) return false;
        if (cursor.eos) return true;
      }
      const offset = queue.offset;
      const header = cursor.read(queue.bytes, queue.pos, queue.end, offset, this.#maxBitsBytes);
      if (header < 0) {
        this.#need = -header;
        if (queue.ensure(-header)) continue;
        return false;
      }
      if ((cursor.deviations & this.#refused) !== 0) refuseDeviations(cursor, this.#refused, offset);
      const target = names.resolve(cursor, offset);
      queue.pos += header;
      handler.chunk(cursor, target, offset);
      const { size } = cursor;
      const start = queue.pos;
      if (size > 0 && queue.end - start >= size) {
        queue.pos = start + size;
        handler.data(queue.bytes, start, start + size, 0);
      } else {
        this.#dataLeft = size;
      }
      if (cursor.eos && this.#dataLeft === 0) return true;
    }
  }

  /** Hands on the data that are there; true when they are all through. */
  #takeData(): boolean {
    const queue = this.#queue;
    while (this.#dataLeft > 0) {
      if (!queue.ensure(1)) return false;
      const start = queue.pos;
      const end = Math.min(queue.end, start + this.#dataLeft);
      const at = this.#cursor.size - this.#dataLeft;
      this.#dataLeft -= end - start;
      queue.pos = end;
      this.#handler.data(queue.bytes, start, end, at);
    }
    return true;
  }
}
