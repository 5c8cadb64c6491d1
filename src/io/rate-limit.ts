import { DirtyBitmapError } from '../errors.js';

/** Pieces of a limited stream last so long at most, in seconds: what is sent in one go is no burst to speak of. */
export const STEP = 0.05;

/**
 * Bytes per second: in any stretch of time no more goes than the rate allows, two pieces, and what the rate allows in a
 * step. Only what a late timer cost is made up for, not a pause. Pure: the time is told to it, in milliseconds.
 */
export class RateLimit {
  /** Bytes of a piece at most. */
  readonly maxPiece: number;
  readonly #rate: number;
  /** When the next byte may go. */
  #next = Number.NEGATIVE_INFINITY;

  /** @throws DirtyBitmapError `argument` for a rate that is no number of bytes per second of at least 1. */
  constructor(bytesPerSecond: number) {
    if (!(bytesPerSecond >= 1)) {
      throw new DirtyBitmapError('argument', `rate: expected at least 1 byte per second, found ${bytesPerSecond}`);
    }
    this.#rate = bytesPerSecond;
    this.maxPiece = Math.max(1, Math.floor(bytesPerSecond * STEP));
  }

  /** How long to wait until `bytes` may go, which then count as sent. */
  delay(bytes: number, now: number): number {
    const begin = Math.max(now - STEP * 1000, this.#next);
    this.#next = begin + (bytes / this.#rate) * 1000;
    return Math.max(0, begin - now);
  }
}
