import type { CaptureReaderOptions } from './capture-reader.js';
import { IncomingMigration } from './incoming-migration.js';
import { REPLY, ReplyReader } from './return-path.js';

/**
 * A migration that passes by, in both directions. It never throws, whatever passes, and whatever who looks at it throws:
 * after a fault nothing more is looked at.
 */
export class PassingMigration {
  /** What came from the source. */
  readonly incoming: IncomingMigration;
  /** What the destination said at its end: 0 where it has loaded the stream; undefined where it said nothing. */
  answer: number | undefined;
  /** What was thrown while this looked on. */
  fault: Error | undefined;
  readonly #replies = new ReplyReader();
  readonly #look: (passing: PassingMigration) => void;

  /** @param look called after each read. */
  constructor(options: Pick<CaptureReaderOptions, 'limits'>, look: (passing: PassingMigration) => void = () => {}) {
    this.incoming = new IncomingMigration(options);
    this.#look = look;
  }

  /** Takes what went to the destination, of one read of the source; it may be reused after the call. */
  push(pieces: readonly Uint8Array[]): void {
    this.#guarded(() => {
      for (const piece of pieces) this.incoming.push(piece);
      this.#look(this);
    });
  }

  /** Takes what went back to the source; it may be reused after the call. */
  reply(piece: Uint8Array): void {
    this.#guarded(() => {
      for (const { id, value } of this.#replies.push(piece)) if (id === REPLY.SHUT) this.answer = value;
      this.#look(this);
    });
  }

  /** Says that nothing more comes. */
  finish(): void {
    this.#guarded(() => {
      this.incoming.reader.finish();
      this.#look(this);
    });
  }

  #guarded(step: () => void): void {
    if (this.fault !== undefined) return;
    try {
      step();
    } catch (error) {
      this.fault = error instanceof Error ? error : new Error(String(error));
    }
  }
}
