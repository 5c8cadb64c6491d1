import { type Chunk, chunkFromCursor, LazyBitsChunk } from './chunk.js';
import type { ChunkCursor } from './chunk-cursor.js';
import type { ChunkHandler } from './chunk-parser.js';
import { DEVIATION_BIT, type Deviation, deviationsOf } from './deviation.js';
import { deviationMessage } from './deviation-message.js';
import type { Target } from './name-memory.js';

/** A chunk, and the bitmap it means. */
export interface ChunkEvent {
  readonly type: 'chunk';
  readonly chunk: Chunk;
  /** The node and bitmap it means, whether it names them or not; undefined where the stream has not said. */
  readonly target: Target | undefined;
}

/** A chunk that cannot be told as one, because a number in it fits no field. It is left out, its bytes are known. */
export interface BadChunkEvent {
  readonly type: 'bad-chunk';
  readonly code: Deviation;
  readonly message: string;
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** Bytes of the chunk. */
  readonly length: number;
}

/** Makes chunk objects of what a `ChunkParser` tells. A BITS chunk is handed on when its data are all there. */
export class ChunkCollector implements ChunkHandler {
  readonly #emit: (event: ChunkEvent | BadChunkEvent) => void;
  #pending: LazyBitsChunk | undefined;
  #target: Target | undefined;
  #size = 0;
  #offset = 0;
  /** Data that came in more than one part. */
  #joined: Uint8Array | undefined;

  constructor(emit: (event: ChunkEvent | BadChunkEvent) => void) {
    this.#emit = emit;
  }

  /** Offset of the chunk whose data are not all there yet, in bytes; undefined where there is none. */
  get pendingOffset(): number | undefined {
    return this.#pending && this.#offset;
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.#pending = undefined;
    if ((cursor.deviations & DEVIATION_BIT['sector-overflow']) !== 0) {
      const code = deviationsOf(DEVIATION_BIT['sector-overflow'])[0] as Deviation;
      const length = cursor.headerLength + cursor.size;
      this.#emit({ type: 'bad-chunk', code, message: deviationMessage(code, cursor), offset, length });
      return;
    }
    if (cursor.kind !== 'bits') {
      this.#emit({ type: 'chunk', chunk: chunkFromCursor(cursor, offset), target });
      return;
    }
    const chunk = new LazyBitsChunk(cursor, offset);
    if (cursor.size === 0) {
      this.#emit({ type: 'chunk', chunk, target });
      return;
    }
    this.#pending = chunk;
    this.#target = target;
    this.#size = cursor.size;
    this.#offset = offset;
    this.#joined = undefined;
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    const chunk = this.#pending;
    if (chunk === undefined) return;
    if (end - start === this.#size) {
      chunk.hold(bytes, start);
    } else {
      this.#joined ??= new Uint8Array(this.#size);
      this.#joined.set(bytes.subarray(start, end), at);
      if (at + end - start < this.#size) return;
      chunk.hold(this.#joined, 0);
    }
    this.#pending = undefined;
    this.#emit({ type: 'chunk', chunk, target: this.#target });
  }
}
