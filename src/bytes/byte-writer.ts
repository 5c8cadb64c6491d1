import { DirtyBitmapError } from '../errors.js';

/** Growable output of big-endian integers and bytes. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  /** @param capacity bytes to begin with; it grows by doubling. */
  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#uint(value, 1);
  }

  u16(value: number): void {
    this.#uint(value, 2);
  }

  u32(value: number): void {
    this.#uint(value, 4);
  }

  /** @throws DirtyBitmapError `argument` unless `value` is a whole number from 0 to 2^53-1. */
  u64(value: number): void {
    this.#uint(value, 8);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /**
   * A counted string: one length byte, then the bytes.
   * @throws DirtyBitmapError `argument` for more than 255 bytes.
   */
  str8(value: Uint8Array): void {
    this.u8(value.length);
    this.bytes(value);
  }

  /** What was written, as a view of the writer's own buffer: valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What was written, as a copy. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Forgets what was written and keeps the buffer. */
  reset(): void {
    this.#length = 0;
  }

  #uint(value: number, size: number): void {
    const max = size === 8 ? Number.MAX_SAFE_INTEGER : 2 ** (8 * size) - 1;
    if (!Number.isInteger(value) || value < 0 || value > max) {
      throw new DirtyBitmapError('argument', `expected a whole number from 0 to ${max}, found ${value}`);
    }
    this.#reserve(size);
    let rest = value;
    for (let at = this.#length + size - 1; at >= this.#length; at--) {
      this.#bytes[at] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.#length += size;
  }

  #reserve(count: number): void {
    const need = this.#length + count;
    if (need <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
