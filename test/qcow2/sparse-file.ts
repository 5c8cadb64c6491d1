import type { RandomAccess } from '../../src/qcow2/random-access.js';
import { join, type Part } from '../support/stream-builder.js';

/** A large file that is zero but for some parts; it remembers what was read. */
export class SparseFile implements RandomAccess {
  readonly #size: number;
  readonly #parts: (readonly [offset: number, bytes: Uint8Array])[] = [];
  readonly reads: { readonly offset: number; readonly length: number }[] = [];
  /** Called before each read. */
  onRead: (offset: number) => void = () => {};

  constructor(size: number) {
    this.#size = size;
  }

  put(offset: number, part: Part): void {
    this.#parts.push([offset, join(part)]);
  }

  async size(): Promise<number> {
    return this.#size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.onRead(offset);
    this.reads.push({ offset, length });
    const into = new Uint8Array(Math.max(0, Math.min(length, this.#size - offset)));
    for (const [at, bytes] of this.#parts) {
      const start = Math.max(at, offset);
      const end = Math.min(at + bytes.length, offset + into.length);
      if (start < end) into.set(bytes.subarray(start - at, end - at), start - offset);
    }
    return into;
  }

  get bytesRead(): number {
    return this.reads.reduce((sum, { length }) => sum + length, 0);
  }

  get longestRead(): number {
    return Math.max(...this.reads.map(({ length }) => length));
  }
}
