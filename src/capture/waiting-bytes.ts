/**
 * Bytes of a stream of which it is not decided yet what becomes of them, by their offsets in the input. Nothing is copied:
 * pieces must stay as they are.
 */
export class WaitingBytes {
  #pieces: Uint8Array[] = [];
  /** Offset of the first byte that waits; behind the end where bytes were dropped that have not come. */
  #at = 0;
  /** Offset behind the last byte that came. */
  #end = 0;

  /** Offset of the first byte that waits. */
  get at(): number {
    return this.#at;
  }

  /** Offset behind the last byte that came. */
  get end(): number {
    return this.#end;
  }

  push(piece: Uint8Array): void {
    const dropped = Math.min(piece.length, Math.max(0, this.#at - this.#end));
    this.#end += piece.length;
    if (dropped === 0) this.#pieces.push(piece);
    else if (dropped < piece.length) this.#pieces.push(piece.subarray(dropped));
  }

  /** Hands out what waits before an offset, as far as it has come. */
  take(to: number, put: (bytes: Uint8Array) => void): void {
    let left = Math.min(to, this.#end) - this.#at;
    if (left <= 0) return;
    this.#at += left;
    let whole = 0;
    for (; whole < this.#pieces.length; whole++) {
      const piece = this.#pieces[whole] as Uint8Array;
      if (piece.length > left) {
        if (left > 0) put(piece.subarray(0, left));
        this.#pieces[whole] = left > 0 ? piece.subarray(left) : piece;
        break;
      }
      left -= piece.length;
      put(piece);
    }
    this.#pieces.splice(0, whole);
  }

  /** Drops what waits before an offset, also what has not come yet. */
  drop(to: number): void {
    this.take(to, () => {});
    this.#at = Math.max(this.#at, to);
  }
}
