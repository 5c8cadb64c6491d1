import { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';

/** Both directions of a connection: a stream of Node such as a socket, or a pair of WHATWG streams of bytes. */
export type Connection = Duplex | WebConnection;

/** A connection as WHATWG streams. */
export interface WebConnection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** A connection as one stream of Node; of WHATWG streams, each direction ends for itself. */
export function duplexOf(connection: Connection): Duplex {
  return connection instanceof Duplex ? connection : Duplex.fromWeb(connection, { allowHalfOpen: true });
}

/** How long to wait on a connection. */
export interface PeerOptions {
  /** How long nothing may come or be taken, in milliseconds. Default: for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ends a connection that nothing goes through any more, or that is no longer wanted: its stream fails with
 * `peer-stalled`, or with the reason of the signal. Call `touch` whenever something went through.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #abort: () => void;
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  constructor(stream: Duplex, { timeout, signal }: PeerOptions, what: string) {
    const fail = (reason: unknown): void => {
      // The streams of Node take errors alone.
      stream.destroy(reason instanceof Error ? reason : new Error(String(reason)));
    };
    if (timeout !== undefined) {
      this.#timer = setInterval(
        () => {
          if (performance.now() - this.#last > timeout) fail(stalled(timeout, what));
        },
        Math.max(1, Math.min(1000, timeout / 4)),
      );
      this.#timer.unref();
    }
    this.#signal = signal;
    this.#abort = () => fail(signal?.reason);
    if (signal?.aborted === true) this.#abort();
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  touch(): void {
    this.#last = performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}

function stalled(timeout: number, what: string): DirtyBitmapError {
  const message = `${what} for ${timeout / 1000} s: the other side hangs, waits for something, or is gone`;
  return new DirtyBitmapError('peer-stalled', message);
}

/**
 * Writes bytes and waits until they are on their way: they may be reused then.
 * @throws what ends the stream.
 */
export async function writeAll(stream: Duplex, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    // What ended the stream says more than that it takes no bytes.
    stream.write(bytes, (error) => (error ? reject(stream.errored ?? error) : resolve()));
  });
}

/** Ends one direction, and waits until all was taken. @throws what ends the stream. */
export async function endWriting(stream: Duplex): Promise<void> {
  stream.end();
  await finished(stream, { readable: false });
}

/** What an error of a socket means here. */
export function peerError(error: unknown): DirtyBitmapError {
  if (isDirtyBitmapError(error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    ECONNRESET: 'it was reset',
    EPIPE: 'the other side takes no more',
    ERR_STREAM_PREMATURE_CLOSE: 'it was closed in the middle',
  };
  const why = reasons[code ?? ''] ?? message;
  return new DirtyBitmapError('peer-closed', `the connection broke: ${why}`, { cause: error });
}
