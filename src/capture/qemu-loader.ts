import { DirtyBitmapError } from '../errors.js';
import { resolveLimits } from '../limits.js';
import type { QemuDestination } from '../migration/qemu-destination.js';
import { QemuIncoming } from '../migration/qemu-incoming.js';
import type { QemuPrediction } from '../migration/qemu-prediction.js';
import { type CaptureOptions, CaptureParser } from './capture-parser.js';
import { QemuContainer } from './qemu-container.js';

/**
 * Says what a real QEMU would make of a capture: load it, lose the bitmaps silently, fail, or die. It does not throw at
 * bad input.
 * @example
 * const loader = new QemuLoader({ version: '7.2' });
 * for await (const piece of response.body) loader.push(piece);
 * const { verdict, reasons } = loader.finish();
 */
export class QemuLoader {
  readonly #incoming: QemuIncoming;
  readonly #container: QemuContainer;
  readonly #parser: CaptureParser;
  #stopped = false;

  /** `options.refuse` has no meaning here: QEMU's own rules hold. */
  constructor(destination: QemuDestination, options: Omit<CaptureOptions, 'refuse'> = {}) {
    this.#incoming = new QemuIncoming(destination, resolveLimits(options.limits));
    this.#container = new QemuContainer(this.#incoming);
    this.#parser = new CaptureParser(this.#container, options);
  }

  /** Bytes after those pushed that nobody will look at; a reader that can seek may leave them out. */
  get skippable(): number {
    return this.#done ? Number.MAX_SAFE_INTEGER : this.#parser.skippable;
  }

  /** Whether what comes cannot change the prediction any more. */
  get stopped(): boolean {
    return this.#done;
  }

  /** Says that `count` bytes, at most {@link QemuLoader.skippable}, were left out of what is pushed next. */
  skipped(count: number): void {
    if (count > 0 && !this.#done) this.#parser.skipped(count);
  }

  /** Takes the next piece, which may be reused after the call. */
  push(piece: Uint8Array): void {
    this.#guarded(() => this.#parser.push(piece));
  }

  /** Says that the input ends here. */
  finish(): QemuPrediction {
    this.#guarded(() => {
      this.#parser.finish();
      this.#container.finished(this.#parser.offset);
    });
    return this.#incoming.finish();
  }

  /** Whether what comes cannot change the prediction any more. */
  get #done(): boolean {
    return this.#stopped || this.#incoming.over;
  }

  #guarded(step: () => void): void {
    if (this.#done) return;
    try {
      step();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError) || error.code === 'argument') throw error;
      this.#stopped = true;
      this.#container.stopped(error, this.#parser.offset);
    }
  }
}
