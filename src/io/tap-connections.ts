import type { Duplex } from 'node:stream';
import { isDirtyBitmapError } from '../errors.js';
import type { Listener } from './listen.js';
import { MainChannel, TapChannel } from './tap-channel.js';
import { tapped } from './tap-migration.js';
import type { TapOptions, TappedMigration } from './tap-options.js';

/** Makes a connection to the destination. */
export type ConnectOn = (signal: AbortSignal) => Promise<Duplex>;

/**
 * Passes one migration on with all its connections: to each that comes at the listener one is made to the destination, in
 * the order in which they came; multifd and postcopy-preempt have several. Only with the first byte of the first is the
 * destination spoken to, so that who merely looks whether somebody listens does no harm to it.
 * @returns when all of them are closed.
 * @throws DirtyBitmapError as `connect`, where the destination cannot be reached; the reason of a signal that is aborted
 * before a migration came.
 */
export async function tapConnections(
  listener: Pick<Listener, 'accept'>,
  connect: ConnectOn,
  options: TapOptions = {},
): Promise<TappedMigration> {
  return await new Taps(listener, connect, options).run();
}

class Taps {
  readonly #listener: Pick<Listener, 'accept'>;
  readonly #connect: ConnectOn;
  readonly #options: TapOptions;
  readonly #channels: TapChannel[] = [];
  readonly #main: MainChannel;
  #open = 0;
  /** Sources whose destination is not there yet. */
  readonly #waiting = new Set<Duplex>();
  readonly #over = new AbortController();
  /** Connections are made one after the other. */
  #last: Promise<void> = Promise.resolve();
  #failure: unknown;
  /** Asks the first source's connection to go on though it has sent nothing: another has come. */
  #another: (() => void) | undefined;

  constructor(listener: Pick<Listener, 'accept'>, connect: ConnectOn, options: TapOptions) {
    this.#listener = listener;
    this.#connect = connect;
    this.#options = options;
    this.#main = new MainChannel(options);
  }

  async run(): Promise<TappedMigration> {
    const { signal } = this.#options;
    const abort = (): void => this.#over.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      signal?.throwIfAborted();
      await this.#acceptAll();
    } finally {
      signal?.removeEventListener('abort', abort);
      for (const source of this.#waiting) source.destroy();
    }
    if (this.#failure !== undefined) throw this.#failure;
    await Promise.all(this.#channels.map(({ done }) => done));
    const main = this.#main.channel ?? this.#channels[0];
    if (main === undefined) throw signal?.reason;
    return await tapped(main, this.#channels.length - 1, this.#main, this.#options);
  }

  async #acceptAll(): Promise<void> {
    const { signal } = this.#over;
    try {
      for (;;) {
        const source = await this.#listener.accept(signal);
        this.#another?.();
        this.#waiting.add(source);
        this.#last = this.#last.then(() => this.#join(source)).catch((error) => this.#fail(error));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    await this.#last;
  }

  /** Makes a channel of what has come. */
  async #join(source: Duplex): Promise<void> {
    if (this.#over.signal.aborted) return;
    const first = this.#channels.length === 0;
    try {
      if (first && !(await this.#speaks(source))) return;
      const destination = await this.#connect(this.#over.signal);
      this.#waiting.delete(source);
      const channel = new TapChannel(source, destination, first, this.#main, this.#options);
      this.#channels.push(channel);
      this.#open++;
      void channel.done.then(() => {
        this.#open--;
        this.#check();
      });
    } catch (error) {
      if (first || !isDirtyBitmapError(error)) throw error;
      const message = `a further channel cannot be passed on: ${error.message}`;
      this.#options.onNotice?.({ kind: 'channel-failed', message });
    } finally {
      // Nobody took it.
      if (this.#waiting.delete(source)) source.destroy();
      this.#check();
    }
  }

  /** The migration is over when all its channels are. */
  #check(): void {
    if (this.#channels.length > 0 && this.#open === 0 && this.#waiting.size === 0) this.#over.abort();
  }

  /** Waits until a source has sent something, or another has come after it. @returns false where it has gone. */
  async #speaks(source: Duplex): Promise<boolean> {
    return await new Promise<boolean>((resolve) => {
      const end = (spoke: boolean): void => {
        source.off('readable', readable).off('close', gone);
        this.#over.signal.removeEventListener('abort', gone);
        this.#another = undefined;
        resolve(spoke);
      };
      const readable = (): void => end(source.readableLength > 0);
      const gone = (): void => end(false);
      // If the first has gone meanwhile, that is heard of in the next round of events.
      this.#another = () => void setImmediate(() => setImmediate(() => end(!source.destroyed)));
      source
        .on('readable', readable)
        .once('close', gone)
        .on('error', () => {});
      this.#over.signal.addEventListener('abort', gone, { once: true });
      if (source.destroyed) gone();
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#over.abort(error);
  }
}
