/** Makes the bytes that an edit puts in; they may be asked for again. Each piece is valid until the next is. */
export type Insert = () => Iterable<Uint8Array>;

/** Bytes of the input that others take the place of. */
export interface SpliceEdit {
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** Bytes that are left out. */
  readonly remove: number;
  readonly insert: Insert | undefined;
  /** By how many bytes the stream grows; undefined where that is not known before they are made. */
  readonly growth: number | undefined;
}

/** Edits in the order of the input. */
export class EditList {
  #edits: SpliceEdit[] = [];

  /** All edits, by offset; the one put in first stands first. */
  sorted(): readonly SpliceEdit[] {
    return [...this.#edits].sort((a, b) => a.offset - b.offset);
  }

  /** All edits, as {@link EditList.sorted}; none is left. */
  drain(): readonly SpliceEdit[] {
    if (this.#edits.length === 0) return this.#edits;
    const edits = this.sorted();
    this.#edits = [];
    return edits;
  }

  /** Puts bytes that are known in the place of some. */
  replace(offset: number, remove: number, bytes: Uint8Array): void {
    this.#edits.push({ offset, remove, insert: () => [bytes], growth: bytes.length - remove });
  }

  /** Puts in bytes that are made later. */
  insert(offset: number, insert: Insert): void {
    this.#edits.push({ offset, remove: 0, insert, growth: undefined });
  }

  /** Puts in what belongs before all else at its place. */
  insertFirst(offset: number, insert: Insert): void {
    this.#edits.unshift({ offset, remove: 0, insert, growth: undefined });
  }

  /** Leaves bytes out. The chunks of a bitmap that goes are many and lie side by side: they are one edit. */
  remove(offset: number, bytes: number): void {
    const last = this.#edits.at(-1);
    if (last !== undefined && last.insert === undefined && last.offset + last.remove === offset) {
      const remove = last.remove + bytes;
      this.#edits[this.#edits.length - 1] = { ...last, remove, growth: -remove };
    } else {
      this.#edits.push({ offset, remove: bytes, insert: undefined, growth: -bytes });
    }
  }
}
