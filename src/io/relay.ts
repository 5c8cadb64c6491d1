import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

const NOTHING = new Uint8Array(0);

/** Passes bytes on. @returns whether there is still somebody to take them. */
export type Pass = (bytes: Uint8Array) => boolean;

/** What is done with what passes; none of it may throw. */
export interface RelayHooks {
  /** Passes on what came from the source. */
  forward(piece: Uint8Array, pass: Pass): void;
  /** The source has ended its direction: passes on what is left. */
  forwardEnd(pass: Pass): void;
  /** What the destination said, after it was passed on. */
  back(piece: Uint8Array): void;
}

/** One direction: what was read is written before anything else is done with it, and no more is read than is taken. */
class Direction {
  /** Bytes that were passed on. */
  bytes = 0;
  readonly #from: Duplex;
  readonly #to: Duplex;
  readonly #taken = (): void => {
    this.#to.off('drain', this.#taken).off('close', this.#taken);
    this.#full = false;
    this.release();
  };
  #holds = 0;
  #full = false;

  constructor(from: Duplex, to: Duplex) {
    this.#from = from;
    this.#to = to;
  }

  readonly pass: Pass = (bytes) => {
    const to = this.#to;
    // Who is gone takes nothing any more; the other side is told so.
    if (to.destroyed || to.writableEnded) return false;
    if (bytes.length === 0) return true;
    this.bytes += bytes.length;
    if (to.write(bytes) || this.#full) return true;
    this.#full = true;
    this.hold();
    // One that is gone takes nothing, and holds nothing up.
    to.once('drain', this.#taken).once('close', this.#taken);
    return true;
  };

  /** Reads no more until all who asked for it have released. */
  hold(): void {
    if (this.#holds++ === 0) this.#from.pause();
  }

  release(): void {
    if (--this.#holds === 0) this.#from.resume();
  }
}

/**
 * Two connections made into one: bytes, ends of a direction, backpressure and breaks are passed on, both ways. A stream
 * of Node that fails is never read again, so what a peer said before it broke may be lost where writing to it fails first.
 */
export class Relay {
  /** Why a side broke; undefined where it ended in order, or because the other broke. */
  sourceError: Error | undefined;
  destinationError: Error | undefined;
  /** When both sides are closed. */
  readonly done: Promise<void>;
  readonly #source: Duplex;
  readonly #destination: Duplex;
  readonly #forward: Direction;
  readonly #back: Direction;
  /** The side that went first takes the other with it. */
  #broken = false;

  constructor(source: Duplex, destination: Duplex, hooks: RelayHooks) {
    this.#source = source;
    this.#destination = destination;
    const forward = new Direction(source, destination);
    const back = new Direction(destination, source);
    this.#forward = forward;
    this.#back = back;
    source.on('error', (error) => {
      if (!this.#broken) this.sourceError ??= error;
    });
    destination.on('error', (error) => {
      if (!this.#broken) this.destinationError ??= error;
    });
    source.on('data', (piece: Uint8Array) => hooks.forward(piece, forward.pass));
    destination.on('data', (piece: Uint8Array) => {
      back.pass(piece);
      hooks.back(piece);
    });
    source.once('end', () => {
      hooks.forwardEnd(forward.pass);
      destination.end();
    });
    destination.once('end', () => source.end());
    this.done = Promise.all([this.#closed(source, destination), this.#closed(destination, source)]).then(() => {});
    // A listener that was taken over paused stays so.
    source.resume();
    destination.resume();
  }

  /** Bytes that went to the destination. */
  get forwardBytes(): number {
    return this.#forward.bytes;
  }

  /** Bytes that went back to the source. */
  get backBytes(): number {
    return this.#back.bytes;
  }

  /** Reads no more of the source until {@link Relay.release} was called as often. */
  hold(): void {
    this.#forward.hold();
  }

  release(): void {
    this.#forward.release();
  }

  /** Ends both sides at once. */
  destroy(): void {
    this.#broken = true;
    this.#source.destroy();
    this.#destination.destroy();
  }

  async #closed(side: Duplex, other: Duplex): Promise<void> {
    if (!side.closed) await new Promise<void>((resolve) => side.once('close', resolve));
    // Both directions ended in order: so does the other side.
    if (side.readableEnded && side.writableFinished) return;
    const reset = !this.#broken && side.errored !== null;
    this.#broken = true;
    if (other.closed) return;
    // All that the source had to say is on its way: to end the connection now might drop it. Answers that still come
    // are heard by nobody.
    if (side === this.#source && side.readableEnded) return;
    // What came before goes out first. A reset must not come after an end, which the peer would take for one in order.
    if (reset && other instanceof Socket && other.remoteAddress !== undefined) {
      other.write(NOTHING, () => other.resetAndDestroy());
    } else if (other.writableFinished) other.destroy();
    else other.once('finish', () => other.destroy()).end();
  }
}
