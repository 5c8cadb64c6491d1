import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeCapture } from '../capture/capture-encoder.js';
import { REPLY, type Reply, ReplyReader } from '../capture/return-path.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import type { Profile } from '../migration/cutter.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { type Connection, duplexOf, endWriting, type PeerOptions, Watchdog, writeAll } from './connection.js';
import { RateLimit } from './rate-limit.js';

/** How a set is sent. */
export interface SendOptions extends PeerOptions {
  /** Machine type of the QEMU at the other end, as in its `-machine`. Default `none`. */
  readonly machine?: string | undefined;
  /** Default `qemu`. */
  readonly profile?: Profile | undefined;
  /** Bytes per second that are not exceeded. Default: none. */
  readonly rate?: number | undefined;
  /**
   * Asks the destination to say when it has loaded the stream. Default true; a destination that cannot answer, such as a
   * file behind a pipe, is given false.
   */
  readonly returnPath?: boolean | undefined;
  /** Called after each piece, with the bytes sent so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** What was sent. */
export interface SentMigration {
  /** Of the stream. */
  readonly bytes: number;
  /** Whether the destination said that it has loaded the stream; undefined where it was not asked. */
  readonly loaded: true | undefined;
}

/**
 * Sends the bitmaps of a set to a QEMU that waits with `-incoming`, as a migration of nothing else. Only as much is made
 * as the other side takes. That QEMU has loaded the stream does not mean that it has kept the bitmaps: it drops all of
 * them, without a word to the source, where a node is missing.
 * @throws DirtyBitmapError `peer-closed` where QEMU refuses the stream or dies of it; `peer-stalled`; as `encodeCapture`
 * before a byte is sent; the reason of an aborted signal.
 * @example
 * const socket = await connectTo(parseAddress('unix:/run/incoming.sock'));
 * await sendMigration(socket, set, { machine: 'pc-q35-7.2', rate: 10_000_000 });
 */
export async function sendMigration(
  connection: Connection,
  set: BitmapSet,
  options: SendOptions = {},
): Promise<SentMigration> {
  const stream = duplexOf(connection);
  const { machine, profile, returnPath = true, signal } = options;
  let limit: RateLimit | undefined;
  try {
    limit = assertSendable(set, options);
  } catch (error) {
    stream.destroy();
    throw error;
  }
  const answers = new Answers(stream);
  const watchdog = new Watchdog(stream, options, 'the other side has taken nothing and said nothing');
  let bytes = 0;
  const put = async (piece: Uint8Array): Promise<void> => {
    await writeAll(stream, piece);
    watchdog.touch();
    bytes += piece.length;
    options.onProgress?.(bytes);
  };
  try {
    for (const piece of encodeCapture(set, { machine, profile, returnPath })) {
      if (limit === undefined) await put(piece);
      else await slowly(piece, limit, put, () => watchdog.touch(), signal);
    }
    if (!returnPath) {
      await endWriting(stream);
      return { bytes, loaded: undefined };
    }
    await answers.shut();
    // It may be gone by now.
    await endWriting(stream).catch(() => {});
    return { bytes, loaded: true };
  } catch (error) {
    signal?.throwIfAborted();
    if (answers.refusal !== undefined) throw answers.refusal;
    throw isDirtyBitmapError(error) ? error : closed(error);
  } finally {
    watchdog.stop();
    stream.destroy();
  }
}

/**
 * Refuses what could not be sent. A QEMU with `-incoming` takes one connection only, and ends where nothing comes of it: ask
 * this before you connect.
 * @throws DirtyBitmapError `argument` for a rate or a machine type; as `encodeCapture`.
 */
export function assertSendable(
  set: BitmapSet,
  { rate, machine, profile }: Pick<SendOptions, 'rate' | 'machine' | 'profile'>,
): RateLimit | undefined {
  const limit = rate === undefined ? undefined : new RateLimit(rate);
  // What is wrong is said before the first piece.
  for (const _piece of encodeCapture(set, { machine, profile })) break;
  return limit;
}

/** A piece in parts, each when its time has come. */
async function slowly(
  piece: Uint8Array,
  limit: RateLimit,
  put: (part: Uint8Array) => Promise<void>,
  touch: () => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let at = 0; at < piece.length; at += limit.maxPiece) {
    const part = piece.subarray(at, at + limit.maxPiece);
    for (let wait = limit.delay(part.length, performance.now()); wait > 0; wait -= 1000) {
      await sleep(Math.min(wait, 1000), undefined, { signal });
      // It is we who wait.
      touch();
    }
    await put(part);
  }
}

/** What the destination says while the stream is sent and after. */
class Answers {
  /** Why it will not have the stream. */
  refusal: DirtyBitmapError | undefined;
  readonly #reader = new ReplyReader();
  readonly #over: Promise<void>;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(stream: Duplex) {
    this.#over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#over.catch(() => {});
    stream.on('data', (piece: Uint8Array) => {
      for (const reply of this.#reader.push(piece)) this.#reply(reply);
    });
    stream.once('end', () => this.#reject(closed()));
    stream.once('error', (error) => this.#reject(error));
    stream.once('close', () => this.#reject(closed()));
  }

  /** Waits until the destination is done. @throws DirtyBitmapError `peer-closed` where it ends without a word. */
  async shut(): Promise<void> {
    await this.#over;
  }

  #reply({ id, value }: Reply): void {
    if (id !== REPLY.SHUT) return;
    if (value === 0) {
      this.#resolve();
      return;
    }
    this.refusal = new DirtyBitmapError('peer-closed', `QEMU says that loading failed (${value}): see its stderr`);
    this.#reject(this.refusal);
  }
}

function closed(cause?: unknown): DirtyBitmapError {
  const message =
    'the other side closed the connection without a word: QEMU refuses the stream (see its stderr) or died';
  return new DirtyBitmapError('peer-closed', message, { cause });
}
