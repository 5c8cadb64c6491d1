import type { Writable } from 'node:stream';
import { BitmapsOnly } from '../capture/bitmaps-only.js';
import type { Limits } from '../limits.js';

/** What a recorder needs of whoever feeds it. */
export interface RecorderHooks {
  /** No more is to come until {@link RecorderHooks.release}. */
  hold(): void;
  release(): void;
  /** It failed; nothing more is recorded. Called once. */
  failed(error: Error): void;
}

/** Writes what passes to a stream. Where that is slow, who feeds it waits; where it fails, it is left alone. */
export class Recorder {
  /** Whether all is recorded so far. */
  ok = true;
  readonly #stream: Writable;
  readonly #hooks: RecorderHooks;
  readonly #closed: Promise<void>;
  #held = false;

  constructor(stream: Writable, hooks: RecorderHooks) {
    this.#stream = stream;
    this.#hooks = hooks;
    stream.on('error', (error) => this.fail(error));
    stream.on('drain', () => this.#letGo());
    this.#closed = new Promise((resolve) => {
      stream.once('finish', resolve);
      stream.once('close', () => {
        if (!stream.writableFinished) this.fail(new Error('it was closed in the middle'));
        resolve();
      });
    });
    if (stream.destroyed) this.fail(stream.errored ?? new Error('it is closed'));
  }

  /** Takes bytes, which must stay as they are until they are written. */
  write(bytes: Uint8Array): void {
    if (!this.ok || bytes.length === 0) return;
    if (this.#stream.write(bytes) || this.#held) return;
    this.#held = true;
    this.#hooks.hold();
  }

  /** Ends the stream, and waits until all is written or it has failed. */
  async end(): Promise<void> {
    if (!this.ok) return;
    this.#stream.end();
    await this.#closed;
  }

  /** Gives up. */
  fail(error: Error): void {
    if (!this.ok) return;
    this.ok = false;
    this.#letGo();
    this.#hooks.failed(error);
  }

  #letGo(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#hooks.release();
  }
}

/** Records the bitmaps alone. */
export class MetaRecorder {
  readonly #filter: BitmapsOnly;
  readonly #recorder: Recorder;

  constructor(stream: Writable, hooks: RecorderHooks, limits: Partial<Limits> | undefined) {
    this.#filter = new BitmapsOnly({ ...(limits && { limits }) });
    this.#recorder = new Recorder(stream, hooks);
  }

  /** Whether all is recorded so far. */
  get ok(): boolean {
    return this.#recorder.ok;
  }

  /** Takes bytes, which must stay as they are until they are written. */
  write(bytes: Uint8Array): void {
    this.#guarded(() => this.#filter.push(bytes));
  }

  /** Ends the stream, and waits until all is written or it has failed. */
  async end(): Promise<void> {
    this.#guarded(() => this.#filter.finish());
    await this.#recorder.end();
  }

  #guarded(step: () => readonly Uint8Array[]): void {
    if (!this.ok) return;
    try {
      for (const piece of step()) this.#recorder.write(piece);
    } catch (error) {
      this.#recorder.fail(error as Error);
    }
  }
}
