const EMPTY = new Uint8Array(0);

/**
 * Input pieces in, a window of contiguous bytes out. The window is a view of the caller's piece wherever a run lies in
 * one piece; bytes are copied only across a seam between two pieces, and the whole stream is never joined.
 *
 * A parser reads `bytes[pos..end)` directly, moves `pos`, and calls {@link ByteQueue.ensure} when it needs more in one
 * run than the window holds. All positions that leave a parser are {@link ByteQueue.offset}s: bytes from the start of
 * the input.
 */
export class ByteQueue {
  /** The bytes of the window are `bytes[pos..end)`. */
  bytes: Uint8Array = EMPTY;
  /** Next unread byte of the window; the parser moves it. */
  pos = 0;
  /** End of the window. */
  end = 0;

  /** Offset in the input of `bytes[0]`. */
  #base: number;
  /** Pieces after the window, and how much of the first is already in the window. */
  #pieces: Uint8Array[] = [];
  #taken = 0;
  /** Bytes in `#pieces` that are not in the window. */
  #waiting = 0;
  /** Where the window is a seam: how many of its bytes came from before the piece that follows; else 0. */
  #seamOld = 0;
  #seam: Uint8Array = EMPTY;

  /** @param offset where the first byte pushed lies in the input, in bytes. */
  constructor(offset = 0) {
    this.#base = offset;
  }

  /** Offset in the input of the next unread byte. */
  get offset(): number {
    return this.#base + this.pos;
  }

  /** Offset in the input of a position in the window. */
  offsetOf(pos: number): number {
    return this.#base + pos;
  }

  /** Unread bytes, in the window and after it. */
  get available(): number {
    return this.end - this.pos + this.#waiting;
  }

  /** Adds a piece. It is not copied: the caller leaves it alone until {@link ByteQueue.settle}. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    // A Node Buffer's slice() is a view and its subarray() a Buffer, which is slow: neither is wanted further in.
    const piece =
      bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.pos === this.end && this.#pieces.length === 0) {
      this.#base += this.pos;
      this.bytes = piece;
      this.pos = 0;
      this.end = piece.length;
      this.#seamOld = 0;
      return;
    }
    this.#pieces.push(piece);
    this.#waiting += piece.length;
  }

  /** Makes the window hold at least `count` bytes in one run; false, and nothing changed, where they are not there yet. */
  ensure(count: number): boolean {
    if (this.end - this.pos >= count) return true;
    if (this.available < count) return false;
    if (this.#seamOld > 0 && this.pos >= this.#seamOld) this.#leaveSeam();
    else if (this.pos === this.end) this.#nextPiece();
    while (this.end - this.pos < count) this.#widen(count);
    return true;
  }

  /** Skips up to `count` bytes without looking at them, and says how many were there. */
  skip(count: number): number {
    let left = count;
    for (;;) {
      const here = Math.min(left, this.end - this.pos);
      this.pos += here;
      left -= here;
      if (left === 0 || this.#waiting === 0) return count - left;
      this.#nextPiece();
    }
  }

  /**
   * Takes `count` bytes: a view of the caller's piece where they lie in one, a copy across a seam.
   * Only after `ensure(count)`. A view is valid until the caller reuses its piece; copy to keep.
   */
  take(count: number): Uint8Array {
    const from = this.pos;
    this.pos += count;
    // The seam buffer is reused, so what lies in it is copied out.
    return this.bytes === this.#seam ? this.bytes.slice(from, this.pos) : this.bytes.subarray(from, this.pos);
  }

  /** Jumps over bytes that the caller will not push, e.g. because it seeks in a file. The queue must be empty. */
  jump(count: number): void {
    this.#base += this.pos + count;
    this.bytes = EMPTY;
    this.pos = 0;
    this.end = 0;
    this.#seamOld = 0;
  }

  /** Copies what is unread, so that the caller may reuse its pieces. What is left is small: less than was last asked for. */
  settle(): void {
    const left = this.available;
    if (left === 0) {
      this.jump(0);
      this.#pieces = [];
      this.#taken = 0;
      return;
    }
    if (this.#pieces.length === 0 && this.bytes === this.#seam) return;
    // Room to grow, so that a long run that comes byte by byte is not copied anew each time.
    const fits = this.bytes === this.#seam && this.pos + left <= this.#seam.length;
    const own = fits ? this.#seam : new Uint8Array(Math.max(64, 2 * left));
    let at = fits ? this.end : this.end - this.pos;
    if (!fits) {
      own.set(this.bytes.subarray(this.pos, this.end), 0);
      this.#base += this.pos;
      this.pos = 0;
    }
    let taken = this.#taken;
    for (const piece of this.#pieces) {
      own.set(piece.subarray(taken), at);
      at += piece.length - taken;
      taken = 0;
    }
    this.bytes = own;
    this.#seam = own;
    this.end = at;
    this.#pieces = [];
    this.#taken = 0;
    this.#waiting = 0;
    // No piece of the caller's is left behind this window.
    this.#seamOld = at;
  }

  /** The window is used up: goes on in the next piece. */
  #nextPiece(): void {
    const piece = this.#pieces.shift();
    if (piece === undefined) return;
    this.#base += this.end - this.#taken;
    this.bytes = piece;
    this.pos = this.#taken;
    this.end = piece.length;
    this.#waiting -= piece.length - this.#taken;
    this.#taken = 0;
    this.#seamOld = 0;
  }

  /** What is left of the seam lies in the next piece too: goes on there, as a view. */
  #leaveSeam(): void {
    const unread = this.end - this.pos;
    const piece = this.#pieces[0];
    if (piece === undefined || unread > this.#taken) return;
    this.#taken -= unread;
    this.#waiting += unread;
    this.end = this.pos;
    this.#nextPiece();
  }

  /** Copies the rest of the window and the start of the next piece into a seam of up to `count` bytes. */
  #widen(count: number): void {
    const piece = this.#pieces[0];
    if (piece === undefined) return;
    const unread = this.end - this.pos;
    const add = Math.min(count - unread, piece.length - this.#taken);
    const seam = new Uint8Array(count);
    seam.set(this.bytes.subarray(this.pos, this.end), 0);
    seam.set(piece.subarray(this.#taken, this.#taken + add), unread);
    this.#base += this.pos;
    this.bytes = seam;
    this.#seam = seam;
    this.pos = 0;
    this.end = unread + add;
    this.#seamOld = unread;
    this.#taken += add;
    this.#waiting -= add;
    if (this.#taken === piece.length) {
      this.#pieces.shift();
      this.#taken = 0;
      // Nothing of that piece is left to go back to.
      this.#seamOld = this.end;
    }
  }
}
