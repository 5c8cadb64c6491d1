import { EventBatches } from '../bytes/batch.js';
import { ByteQueue } from '../bytes/byte-queue.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import { type BadChunkEvent, ChunkCollector, type ChunkEvent } from './chunk-collector.js';
import { type ChunkHandler, ChunkParser } from './chunk-parser.js';
import type { Refusal } from './deviation.js';

/** How a bare section is read. */
export interface SectionOptions {
  /** Where the first byte pushed lies in the file, in bytes. Default 0. */
  readonly offset?: number;
  /** Deviations of chunks that are errors. Default `none`. */
  readonly refuse?: Refusal;
  readonly limits?: Partial<Limits>;
}

/**
 * Reads the bodies of dirty-bitmap sections without the stream around them, one behind the other, and tells a handler.
 */
export class SectionParser {
  readonly chunks: ChunkParser;
  readonly #queue: ByteQueue;
  #inside = false;

  /**
   * @param handler is called for every chunk that is complete, during `push`.
   * @throws DirtyBitmapError `argument` for a limit that is no whole number.
   */
  constructor(handler: ChunkHandler, options: SectionOptions = {}) {
    this.#queue = new ByteQueue(options.offset ?? 0);
    this.chunks = new ChunkParser(this.#queue, handler, resolveLimits(options.limits), options.refuse);
  }

  /** Offset in the input of the next byte to be looked at. */
  get offset(): number {
    return this.#queue.offset;
  }

  /** Whether the last section was ended by its EOS. */
  get complete(): boolean {
    return !this.#inside;
  }

  /** Takes the next piece, which may be reused after the call. */
  push(piece: Uint8Array): void {
    this.#queue.push(piece);
    while (this.#queue.available > 0) {
      this.#inside = true;
      if (!this.chunks.run()) break;
      this.#inside = false;
    }
    this.#queue.settle();
  }

  /** @throws DirtyBitmapError `stream-cut` where the input ends inside a section. */
  finish(): void {
    if (!this.#inside) return;
    throw new DirtyBitmapError(
      'stream-cut',
      `the section ends without EOS${this.chunks.inData ? ', inside the bits of a chunk' : ''}; at least ` +
        `${this.chunks.need - this.#queue.available} more bytes expected`,
      { offset: this.#queue.offset + this.#queue.available },
    );
  }
}

/**
 * {@link SectionParser} with events.
 * @example
 * const decoder = new SectionDecoder();
 * for (const event of decoder.push(bytes)) console.log(event.type);
 * decoder.finish();
 */
export class SectionDecoder {
  readonly #parser: SectionParser;
  readonly #events = new EventBatches<ChunkEvent | BadChunkEvent>();
  readonly #chunks = new ChunkCollector(this.#events.emit);

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: SectionOptions = {}) {
    this.#parser = new SectionParser(this.#chunks, options);
  }

  /** Offset in the input up to which events were given: what follows belongs to none of them. */
  get settledOffset(): number {
    return this.#chunks.pendingOffset ?? this.#parser.offset;
  }

  /**
   * The chunks that are complete now. Their data are views of `piece`: valid until it is reused.
   * @throws DirtyBitmapError where the input cannot be followed: at the end of the iteration, after the chunks before
   * that place, and on every later call.
   */
  push(piece: Uint8Array): Iterable<ChunkEvent | BadChunkEvent> {
    return this.#events.during(() => this.#parser.push(piece));
  }

  /**
   * Says that the input ends here, and gives the last events: none, as it is.
   * @throws DirtyBitmapError `stream-cut` where it ends inside a section; as {@link SectionDecoder.push} at the end of
   * the iteration.
   */
  finish(): Iterable<ChunkEvent | BadChunkEvent> {
    return this.#events.during(() => this.#parser.finish());
  }
}
