import { DirtyBitmapError } from '../errors.js';
import type { Steps } from './random-access.js';

/** The error of an image that somebody else writes. `offset` is where it differs, in bytes. */
export function changedWhileRead(offset: number): DirtyBitmapError {
  const message = 'expected an image that nobody writes, found that it changed while it was read; try again later';
  return new DirtyBitmapError('qcow2-changed', message, { offset });
}

/**
 * What was read of an image first and is compared with it in the end: reading takes no lock. Source:
 * spec/qcow2-bitmaps.md section 7.
 */
export class Watch {
  readonly #parts: { readonly offset: number; readonly bytes: Uint8Array }[] = [];

  /** Adds bytes that lie at `offset`; they are not copied. */
  add(offset: number, bytes: Uint8Array): void {
    this.#parts.push({ offset, bytes });
  }

  /**
   * Reads everything again.
   * @throws DirtyBitmapError `qcow2-changed` where anything is not as it was.
   */
  *check(): Steps<void> {
    for (const { offset, bytes } of this.#parts) {
      const again = yield* orChanged({ offset, length: bytes.length });
      const at = bytes.findIndex((byte, index) => byte !== again[index]);
      if (at >= 0) throw changedWhileRead(offset + at);
    }
  }
}

/** The bytes of a range; where the file ends before, it has changed. */
function* orChanged(range: { readonly offset: number; readonly length: number }): Steps<Uint8Array> {
  try {
    return yield range;
  } catch {
    throw changedWhileRead(range.offset);
  }
}
