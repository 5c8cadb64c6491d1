import { DirtyBitmapError } from '../errors.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** As QEMU's own parser; backing chains nest in what is not asked for flat. */
export const MAX_JSON_DEPTH = 1024;
const OPEN = [0x7b, 0x5b];
const CLOSE = [0x7d, 0x5d];
/** What stands between messages: spaces, tabs, line ends. */
const SPACE = [0x20, 0x09, 0x0d, 0x0a];

/** How deep arrays and objects nest, byte for byte, so that what is too deep is refused before it is parsed. */
export class JsonNesting {
  #depth = 0;
  #inText = false;
  #escaped = false;

  /** 0 outside of all arrays and objects. */
  get depth(): number {
    return this.#depth;
  }

  /** Whether a parser, or what shows the value, could run out of stack. */
  get tooDeep(): boolean {
    return this.#depth > MAX_JSON_DEPTH;
  }

  /** Takes the next byte of the JSON. */
  step(byte: number): void {
    if (this.#inText) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inText = false;
    } else if (byte === QUOTE) this.#inText = true;
    else if (OPEN.includes(byte)) this.#depth++;
    else if (CLOSE.includes(byte)) this.#depth--;
  }
}

/**
 * Cuts a stream of bytes into JSON objects, one behind the other. QEMU ends each with a line end, and spreads one over
 * several lines with `pretty=on`; neither is counted on.
 */
export class JsonFramer {
  readonly #max: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  /** Grows: a view kept of every piece would cost hundreds of bytes a byte where a peer sends one at a time. */
  #buffer = new Uint8Array(0);
  #bytes = 0;
  readonly #nesting = new JsonNesting();
  #offset = 0;

  /** @param maxBytes of one object. */
  constructor(maxBytes: number) {
    this.#max = maxBytes;
  }

  /** Bytes of an object that is not all there. */
  get pending(): number {
    return this.#bytes;
  }

  /**
   * Takes the next piece, and gives the objects that are complete with it.
   * @throws DirtyBitmapError `qmp-protocol` for bytes that are no JSON object; `limit` for one that is too long, before
   * it is kept.
   */
  *push(piece: Uint8Array): Generator<Readonly<Record<string, unknown>>, void, void> {
    let start = 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at] as number;
      const outside = this.#nesting.depth === 0;
      if (outside) {
        start = at;
        if (SPACE.includes(byte)) continue;
        if (byte !== OPEN[0]) throw protocol(this.#offset + at, `expected {, found byte 0x${byte.toString(16)}`);
      }
      this.#nesting.step(byte);
      if (this.#nesting.tooDeep) throw protocol(this.#offset + at, `expected JSON of at most ${MAX_JSON_DEPTH} levels`);
      if (outside) continue;
      if (this.#bytes + at - start >= this.#max) throw tooLong(this.#offset + at, this.#max);
      if (this.#nesting.depth > 0) continue;
      this.#keep(piece.subarray(start, at + 1));
      yield this.#take(this.#offset + at);
    }
    if (this.#nesting.depth > 0) this.#keep(piece.subarray(start));
    this.#offset += piece.length;
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#bytes + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(2 * this.#buffer.length, this.#max)));
      grown.set(this.#buffer.subarray(0, this.#bytes));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#bytes);
    this.#bytes = needed;
  }

  #take(offset: number): Readonly<Record<string, unknown>> {
    const bytes = this.#buffer.subarray(0, this.#bytes);
    this.#buffer = new Uint8Array(0);
    this.#bytes = 0;
    try {
      return JSON.parse(this.#decoder.decode(bytes));
    } catch (cause) {
      throw protocol(offset, `expected JSON, found ${(cause as Error).message}`);
    }
  }
}

function protocol(offset: number, text: string): DirtyBitmapError {
  return new DirtyBitmapError('qmp-protocol', `${text}; is this the QMP socket of a QEMU?`, { offset });
}

function tooLong(offset: number, max: number): DirtyBitmapError {
  const message = `a QMP message of more than ${max} bytes; raise maxQmpBytes if a QEMU really says so much`;
  return new DirtyBitmapError('limit', message, { offset });
}
