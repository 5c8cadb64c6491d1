import type { RandomAccess } from '../../src/qcow2/random-access.js';

/** Bytes as a file that can be read anywhere; counts what is read. */
export class InMemory implements RandomAccess {
  /** Bytes read so far, and those of the longest read. */
  total = 0;
  longest = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  async size(): Promise<number> {
    return this.#bytes.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = this.#bytes.slice(offset, offset + length);
    this.total += bytes.length;
    this.longest = Math.max(this.longest, length);
    return bytes;
  }
}
