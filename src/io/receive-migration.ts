import type { Duplex } from 'node:stream';
import type { CaptureReader } from '../capture/capture-reader.js';
import { IncomingMigration, type MigrationPhase } from '../capture/incoming-migration.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { type Connection, duplexOf, type PeerOptions, peerError, Watchdog, writeAll } from './connection.js';

/** How a migration is received. */
export interface ReceiveOptions extends PeerOptions {
  readonly limits?: Partial<Limits> | undefined;
  /** Called after each piece that came; the bitmaps and findings so far are in `incoming.reader`. */
  readonly onProgress?: ((incoming: IncomingMigration) => void) | undefined;
  /**
   * Called when all bitmaps are there: keeps them. Where the source waits for an answer it is told only then, and where
   * this throws, that the migration failed: it goes on as if there had been none.
   */
  readonly keep?: ((reader: CaptureReader) => Promise<void>) | undefined;
  /** How long the source may take to close the connection after all came, in milliseconds. Default 5000. */
  readonly linger?: number | undefined;
}

/** What came. */
export interface ReceivedMigration {
  /** The bitmaps, as far as they came, and what is wrong with the stream. */
  readonly reader: CaptureReader;
  readonly phase: MigrationPhase;
  /** Whether the stream came to its end. */
  readonly complete: boolean;
  /** Whether {@link ReceiveOptions.keep} was called and did not fail. */
  readonly kept: boolean;
  /**
   * What `keep` threw, or why the connection ended before the stream: `peer-closed`, `peer-stalled`, what a signal was
   * aborted with.
   */
  readonly error: Error | undefined;
}

const LINGER = 5000;
/** How long nothing comes until a stream without an end that can be seen counts as sent, in milliseconds. */
const QUIET = 2000;

/**
 * Takes a migration as its destination and keeps the bitmaps; RAM and devices are dropped as they come. A source with a
 * return path gets the answers that it waits for. The connection is closed at the end. What comes is bounded by the
 * limits, however long it is. Nothing throws, be the stream bad or the connection broken: see the result.
 * @example
 * const listener = await Listener.open(parseAddress('unix:/run/bitmaps.sock'));
 * const { reader, complete } = await receiveMigration(await listener.accept());
 */
export async function receiveMigration(
  connection: Connection,
  options: ReceiveOptions = {},
): Promise<ReceivedMigration> {
  const stream = duplexOf(connection);
  const incoming = new IncomingMigration({ ...(options.limits && { limits: options.limits }) });
  let watchdog = new Watchdog(stream, options, 'nothing has come');
  let broke: Error | undefined;
  let failure: Error | undefined;
  let kept = false;
  let keeping: Promise<void> | undefined;
  const keep = (): Promise<void> => {
    if (keeping !== undefined) return keeping;
    // From here on it is we who take our time.
    watchdog.stop();
    keeping = finish(stream, incoming, options).then(
      () => {
        kept = true;
        if (stream.destroyed) return;
        // The source was told: what is left for it to do is to close the connection.
        const { linger = LINGER, signal } = options;
        watchdog = new Watchdog(stream, { timeout: linger, signal }, 'all is kept, and the connection stays open');
      },
      (error: Error) => {
        failure = error;
        stream.destroy();
      },
    );
    return keeping;
  };
  const quiet = new QuietEnd(incoming, keep);
  try {
    for await (const piece of stream as AsyncIterable<Uint8Array>) {
      // What comes after all came is no reason to stay longer.
      if (incoming.phase !== 'complete') watchdog.touch();
      quiet.touch();
      for (const answer of incoming.push(piece)) await writeAll(stream, answer);
      options.onProgress?.(incoming);
      if (incoming.reader.stopped) break;
      if (incoming.phase === 'complete') await keep();
    }
  } catch (cause) {
    broke = causeOf(cause, options.signal);
  } finally {
    quiet.stop();
    await keeping;
    watchdog.stop();
    stream.destroy();
  }
  incoming.reader.finish();
  const { complete } = incoming.reader.summary;
  if (complete) await keep();
  return {
    ...{ reader: incoming.reader, phase: complete ? 'complete' : incoming.phase, complete, kept },
    // A source that is done may close as it likes.
    error: failure ?? (complete || kept ? undefined : broke),
  };
}

/** Keeps the bitmaps, then tells the source; an answer that it does not wait for any more is no fault. */
async function finish(stream: Duplex, incoming: IncomingMigration, { keep }: ReceiveOptions): Promise<void> {
  const say = async (answers: readonly Uint8Array[]): Promise<void> => {
    for (const answer of answers) await writeAll(stream, answer).catch(() => {});
  };
  try {
    await keep?.(incoming.reader);
  } catch (error) {
    await say(incoming.done(1));
    throw error;
  }
  await say(incoming.done());
}

/**
 * A source waits for the answer with the connection open, also where its stream ends without a mark that can be seen: no
 * vmdesc, and devices before that only what follows tells the end of. There silence is the mark.
 */
class QuietEnd {
  readonly #timer: NodeJS.Timeout;
  #last = performance.now();

  constructor(incoming: IncomingMigration, keep: () => Promise<void>) {
    this.#timer = setInterval(() => {
      if (performance.now() - this.#last < QUIET || !incoming.returnPath || incoming.phase !== 'switchover') return;
      const { bitmaps } = incoming.reader;
      if (bitmaps.length === 0 || !bitmaps.every(({ complete }) => complete)) return;
      this.stop();
      void keep();
    }, QUIET / 4);
    this.#timer.unref();
  }

  touch(): void {
    this.#last = performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function causeOf(error: unknown, signal: AbortSignal | undefined): Error {
  if (signal?.aborted === true) {
    return signal.reason instanceof Error ? signal.reason : new DirtyBitmapError('peer-closed', 'it was ended here');
  }
  return peerError(error);
}
