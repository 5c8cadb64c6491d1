import { printable } from '../bytes/text.js';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const loose = new TextDecoder('utf-8', { ignoreBOM: true });

const QUOTE = 0x22;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const EXPONENT = 0x65;
const UNICODE = 0x75;
/** The bit that makes an ASCII letter lower case. */
const LOWER_CASE = 0x20;
/** What may follow a backslash: " \\ / b f n r t. */
const ESCAPED: readonly number[] = [0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74];
/** Digits that surely stay below 2^53. */
const SAFE_DIGITS = 15;
/** Bytes of a number whose value is asked for; no double has as many digits. */
const MAX_NUMBER = 1100;
/** Objects and arrays inside one another in a value that is passed over. */
const MAX_DEPTH = 64;
/** Characters below which a loop is faster than a decoder. */
const SHORT = 32;
/** Bytes of the input that a message shows. */
const SHOWN = 24;

/** The grammar of JSON (RFC 8259) over bytes: what is next, and one token at a time. Positions are in bytes. */
export class JsonScanner {
  readonly #bytes: Uint8Array;
  readonly #malformed: (expected: string, at: number) => never;
  #at = 0;

  /** @param malformed throws for what is not JSON. */
  constructor(bytes: Uint8Array, malformed: (expected: string, at: number) => never) {
    this.#bytes = bytes;
    this.#malformed = malformed;
  }

  /** Passes over white space; returns where the next token begins. */
  peek(): number {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return this.#at;
      this.#at++;
    }
  }

  atEnd(): boolean {
    return this.peek() >= this.#bytes.length;
  }

  /** Whether this is the next character. */
  at(character: string): boolean {
    return this.#bytes[this.peek()] === character.charCodeAt(0);
  }

  /** Takes this character where it is next. */
  take(character: string): boolean {
    if (!this.at(character)) return false;
    this.#at++;
    return true;
  }

  /** After an item: true where a comma follows, false where this bracket closes. */
  next(close: '}' | ']'): boolean {
    if (this.take(',')) return true;
    if (!this.take(close)) this.#malformed(`a comma or ${close}`, this.#at);
    return false;
  }

  colon(): void {
    if (!this.take(':')) this.#malformed('a colon after the name of a field', this.#at);
  }

  /** Takes `true`, `false` or `null` where it is next. */
  word(word: string): boolean {
    const start = this.peek();
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[start + i] !== word.charCodeAt(i)) return false;
    }
    this.#at += word.length;
    return true;
  }

  /**
   * Takes a number; undefined where something else is next. Rounds to a double, as JSON.parse does, but for what is 2^53
   * only by rounding: that gives NaN.
   */
  number(): number | undefined {
    const bytes = this.#bytes;
    const start = this.peek();
    let value = 0;
    let at = start;
    for (let byte = bytes[at]; isDigit(byte) && at - start < SAFE_DIGITS; byte = bytes[++at]) {
      value = value * 10 + byte - ZERO;
    }
    if (!this.#number()) return undefined;
    if (at === this.#at) return value;
    if (this.#at - start > MAX_NUMBER) this.#malformed(`a number of at most ${MAX_NUMBER} characters`, start);
    const token = this.#ascii(start, this.#at);
    const rounded = Number(token);
    return rounded === 2 ** 53 && token !== String(rounded) ? Number.NaN : rounded;
  }

  /** Takes a string; undefined where it has more than `max` bytes. */
  string(max: number): string | undefined {
    const start = this.peek();
    if (this.#bytes[start] !== QUOTE) this.#malformed('a text in double quotes', start);
    const plain = this.#string();
    if (this.#at - start - 2 > max) return undefined;
    if (plain && this.#at - start <= SHORT) return this.#ascii(start + 1, this.#at - 1);
    try {
      return JSON.parse(strict.decode(this.#bytes.subarray(start, this.#at)));
    } catch {
      this.#malformed('UTF-8', start);
    }
  }

  /** Passes over any value. Names of fields may come twice in it, and its texts need not be UTF-8. */
  skip(depth = 0): void {
    const start = this.peek();
    if (depth > MAX_DEPTH) this.#malformed(`at most ${MAX_DEPTH} brackets inside one another`, start);
    if (this.take('[')) {
      for (let more = !this.take(']'); more; more = this.next(']')) this.skip(depth + 1);
    } else if (this.take('{')) {
      for (let more = !this.take('}'); more; more = this.next('}')) {
        if (!this.at('"')) this.#malformed('the name of a field in double quotes', this.#at);
        this.#string();
        this.colon();
        this.skip(depth + 1);
      }
    } else if (this.at('"')) {
      this.#string();
    } else if (!this.word('true') && !this.word('false') && !this.word('null') && !this.#number()) {
      this.#malformed('a value', start);
    }
  }

  /** What is at a position, for a message. */
  describe(at: number): string {
    const byte = this.#bytes[at];
    if (byte === undefined) return 'the end of the document';
    if (byte === 0x7b) return 'an object';
    if (byte === 0x5b) return 'an array';
    const text = loose.decode(this.#bytes.subarray(at, at + SHOWN));
    const token = (byte === QUOTE ? /^"(?:[^"\\]|\\.)*"?/s : /^[-+.\w]+/).exec(text)?.[0] ?? text.slice(0, 1);
    return printable(token) + (token.length === text.length && at + SHOWN < this.#bytes.length ? '...' : '');
  }

  /** A few ASCII characters, the fastest way. */
  #ascii(start: number, end: number): string {
    let text = '';
    for (let at = start; at < end; at++) text += String.fromCharCode(this.#bytes[at] as number);
    return text;
  }

  /** Passes over a number; false where something else is next. */
  #number(): boolean {
    const bytes = this.#bytes;
    const start = this.peek();
    let at = bytes[start] === MINUS ? start + 1 : start;
    if (!isDigit(bytes[at])) {
      if (at > start) this.#malformed('a number', start);
      return false;
    }
    // What follows a zero is no part of the number.
    at = bytes[at] === ZERO ? at + 1 : this.#digits(at);
    if (bytes[at] === POINT) at = this.#digits(at + 1);
    if (((bytes[at] ?? 0) | LOWER_CASE) === EXPONENT) {
      at++;
      at = this.#digits(bytes[at] === PLUS || bytes[at] === MINUS ? at + 1 : at);
    }
    this.#at = at;
    return true;
  }

  /** The end of the digits at `at`, of which there is one at least. */
  #digits(at: number): number {
    let end = at;
    while (isDigit(this.#bytes[end])) end++;
    if (end === at) this.#malformed('a digit', at);
    return end;
  }

  /** Passes over a string, from its first quote to its last. Returns whether it is ASCII with nothing escaped. */
  #string(): boolean {
    const bytes = this.#bytes;
    let plain = true;
    for (let at = this.#at + 1; ; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#at = at + 1;
        return plain;
      }
      if (byte === undefined) this.#malformed('the end of a text, a double quote', at);
      if (byte < 0x20) this.#malformed('a control character escaped', at);
      if (byte >= 0x80) plain = false;
      if (byte === BACKSLASH) {
        at += this.#escape(at);
        plain = false;
      }
    }
  }

  /** Bytes of the escape sequence at `at` after its backslash. */
  #escape(at: number): number {
    const bytes = this.#bytes;
    const kind = bytes[at + 1];
    if (kind !== UNICODE) {
      if (kind === undefined || !ESCAPED.includes(kind)) this.#malformed('an escape sequence', at);
      return 1;
    }
    for (let i = at + 2; i < at + 6; i++) {
      const letter = (bytes[i] ?? 0) | LOWER_CASE;
      if (!isDigit(bytes[i]) && (letter < 0x61 || letter > 0x66)) this.#malformed('four hexadecimal digits', at);
    }
    return 5;
  }
}

function isDigit(byte: number | undefined): byte is number {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}
