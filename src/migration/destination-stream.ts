import { ByteQueue } from '../bytes/byte-queue.js';
import { ChunkParser, type ChunkParserState } from '../chunk/chunk-parser.js';
import { DirtyBitmapError } from '../errors.js';
import { resolveLimits } from '../limits.js';
import type { BlockGraph } from './block-graph.js';
import { Destination, type DestinationOptions, type DestinationSnapshot } from './destination.js';
import { checkStreamSnapshot } from './snapshot-shape.js';

/** A destination in the middle of a stream, as plain data: it goes through MessagePack as it is. */
export interface StreamSnapshot {
  readonly dirtybitmap: 'destination';
  readonly version: 1;
  readonly destination: DestinationSnapshot;
  readonly parser: ChunkParserState;
  /** Where the next byte is in the input, and the bytes from there that came already: less than a chunk's header. */
  readonly offset: number;
  readonly unread: Uint8Array;
  readonly inside: boolean;
}

/**
 * A {@link Destination} with the parser in front of it: bodies of dirty-bitmap sections in, one behind the other, in
 * pieces of any size. Whatever the parser refuses fails the destination. It can be moved to another process at any byte.
 * @example
 * const stream = new DestinationStream(graph);
 * for await (const piece of socket) stream.push(piece);
 * stream.finish();
 * stream.destination.beforeVmStart();
 * @example
 * // Here, in the middle of it all:
 * const saved = encode([snapshotGraph(graph), stream.snapshot()]); // MessagePack
 * // and there:
 * const [savedGraph, savedStream] = decode(saved);
 * const resumed = new DestinationStream(restoreGraph(savedGraph), {}, savedStream);
 */
export class DestinationStream {
  readonly destination: Destination;
  readonly #queue: ByteQueue;
  readonly #parser: ChunkParser;
  #inside = false;

  /**
   * @param saved where another one stood, over the same block graph and with the same options.
   * @throws DirtyBitmapError `snapshot-invalid`.
   */
  constructor(graph: BlockGraph, options: DestinationOptions = {}, saved?: StreamSnapshot) {
    this.destination = new Destination(graph, options);
    this.#queue = new ByteQueue(saved?.offset ?? 0);
    this.#parser = new ChunkParser(this.#queue, this.destination, resolveLimits(options.limits));
    if (saved !== undefined) this.#restore(saved);
  }

  /** Offset in the input of the next byte to be looked at. */
  get offset(): number {
    return this.#queue.offset;
  }

  /** Whether a section has begun and not ended. */
  get inside(): boolean {
    return this.#inside;
  }

  /**
   * Takes the next piece, which may be reused after the call.
   * @throws DirtyBitmapError what is fatal, of the stream or of the destination.
   */
  push(piece: Uint8Array): void {
    try {
      this.#queue.push(piece);
      while (this.#queue.available > 0) {
        if (!this.#inside) this.destination.section(1, this.#queue.offset);
        this.#inside = true;
        if (!this.#parser.run()) break;
        this.#inside = false;
      }
      this.#queue.settle();
    } catch (error) {
      this.destination.fail(error);
      throw error;
    }
  }

  /**
   * The stream came to its end: see {@link Destination.end}.
   * @throws DirtyBitmapError `stream-cut` where it ends inside a section, and the destination has failed.
   */
  finish(): ReturnType<Destination['end']> {
    if (this.#inside && this.destination.state !== 'failed') {
      const message = `the section ends without EOS; at least ${this.#parser.need - this.#queue.available} more bytes expected`;
      const error = new DirtyBitmapError('stream-cut', message, { offset: this.#queue.offset + this.#queue.available });
      this.destination.fail(error);
      throw error;
    }
    return this.destination.end(this.#queue.offset);
  }

  /** Where it stands; the block graph is saved by itself. */
  snapshot(): StreamSnapshot {
    const { bytes, pos, end, offset } = this.#queue;
    return {
      dirtybitmap: 'destination',
      version: 1,
      destination: this.destination.snapshot(),
      parser: this.#parser.snapshot(),
      offset,
      unread: bytes.slice(pos, end),
      inside: this.#inside,
    };
  }

  #restore(saved: StreamSnapshot): void {
    checkStreamSnapshot(saved);
    this.#parser.restore(saved.parser);
    this.destination.restore(saved.destination);
    this.#queue.push(saved.unread);
    this.#queue.settle();
    this.#inside = saved.inside;
  }
}
