import { fromHex, type Name, nameFromBytes, nameFromText, quoted } from '../bytes/text.js';
import type { ExtentList } from './extent-list.js';
import { JsonScanner } from './json-scanner.js';
import { MAX_NAME_BYTES } from './names.js';
import { documentError, isUint, type Place, pathText, UINT, type ValueReader } from './value-reader.js';

const TYPES = 'give it the type that the form says';
/** Fields of an object that are told apart; no object that is read here has half as many. */
const MAX_FIELDS = 64;
/** Bytes of a text: a name in which every byte is escaped. */
const MAX_TEXT = MAX_NAME_BYTES * 6;

/**
 * Reads JSON from its bytes. Not JSON.parse: that makes 64 bytes of objects of an extent of 10 bytes, so that a
 * document within the limits can fill the engine's heap (which no `catch` survives), rounds numbers without a word, takes
 * the last of two fields of one name, and cannot say where anything was.
 */
export class JsonReader implements ValueReader {
  readonly #scanner: JsonScanner;
  readonly #path: (string | number)[] = [];
  /** Where the value taken last begins, in bytes. */
  #valueAt = 0;

  constructor(bytes: Uint8Array) {
    this.#scanner = new JsonScanner(bytes, (expected, at) => this.#malformed(expected, at));
  }

  get offset(): number {
    return this.#valueAt;
  }

  object(field: (key: string) => void): void {
    const scanner = this.#scanner;
    const start = this.#begin();
    if (!scanner.take('{')) this.fail('an object', TYPES);
    const seen: string[] = [];
    for (let more = !scanner.take('}'); more; more = scanner.next('}')) {
      const keyAt = scanner.peek();
      const key = scanner.string(MAX_TEXT) ?? '...';
      this.#path.push(key);
      if (seen.includes(key) || seen.length === MAX_FIELDS) {
        this.#valueAt = keyAt;
        if (seen.includes(key))
          this.fail('each field once', 'keep the one that is meant', { found: 'it a second time' });
        this.fail(`at most ${MAX_FIELDS} fields`, 'remove those that do not belong here', { found: 'more' });
      }
      seen.push(key);
      scanner.colon();
      field(key);
      this.#path.pop();
    }
    this.#valueAt = start;
  }

  array(item: (index: number) => void): void {
    const scanner = this.#scanner;
    const start = this.#begin();
    if (!scanner.take('[')) this.fail('an array', TYPES);
    let index = 0;
    for (let more = !scanner.take(']'); more; more = scanner.next(']')) {
      this.#path.push(index++);
      item(index - 1);
      this.#path.pop();
    }
    this.#valueAt = start;
  }

  uint(): number {
    this.#begin();
    const value = this.#scanner.number();
    // -0 is a whole number, too, but must not get any further.
    if (isUint(value)) return value + 0;
    this.fail(UINT, 'give the exact number, in digits');
  }

  boolean(): boolean {
    this.#begin();
    if (this.#scanner.word('true')) return true;
    if (this.#scanner.word('false')) return false;
    this.fail('true or false', TYPES);
  }

  /** A short text. */
  text(): string {
    this.#begin();
    if (!this.#scanner.at('"')) this.fail('a text', TYPES);
    const text = this.#scanner.string(MAX_TEXT);
    if (text === undefined) this.fail(`a text of at most ${MAX_TEXT} bytes`, 'shorten it', { found: 'a longer one' });
    return text;
  }

  name(): Name {
    const text = this.text();
    // An encoder would quietly make U+FFFD of it, and with that another name.
    if (/\p{Surrogate}/u.test(text)) {
      this.fail('text', 'give a name that is not clean UTF-8 in hexadecimal, in the field with Hex at its end', {
        found: `a surrogate that stands alone in ${quoted(text)}`,
      });
    }
    return nameFromText(text);
  }

  hexName(): Name {
    const bytes = fromHex(this.text());
    if (bytes === undefined) this.fail('the bytes of a name in hexadecimal', 'give two digits for each byte');
    return nameFromBytes(bytes);
  }

  extents(into: ExtentList): void {
    this.array(() => {
      const start = this.#begin();
      this.#pair(into);
      this.#valueAt = start;
    });
  }

  bits(): never {
    this.#begin();
    this.fail('`dirty` in JSON', 'only the MessagePack form carries bits', { found: '`bits`' });
  }

  skip(): void {
    this.#begin();
    this.#scanner.skip();
  }

  /** Refuses what follows the document. */
  end(): void {
    const at = this.#scanner.peek();
    if (!this.#scanner.atEnd()) this.#malformed('the end of the document', at);
  }

  fail(expected: string, advice: string, place: Place = {}): never {
    const found = place.found ?? this.#scanner.describe(this.#valueAt);
    throw documentError(pathText(this.#path, place.below), expected, found, advice, place.offset ?? this.#valueAt);
  }

  #pair(into: ExtentList): void {
    const scanner = this.#scanner;
    if (!scanner.take('[')) this.fail('a pair [offset, length]', TYPES);
    const offset = this.uint();
    if (!scanner.take(',')) this.#malformed('a comma and a length', scanner.peek());
    const length = this.uint();
    if (!scanner.take(']')) this.#malformed('the end of a pair [offset, length]', scanner.peek());
    into.push(offset, length);
  }

  /** Where the next value begins. */
  #begin(): number {
    this.#valueAt = this.#scanner.peek();
    return this.#valueAt;
  }

  #malformed(expected: string, at: number): never {
    const found = this.#scanner.describe(at);
    const advice = 'this is not JSON, or it is damaged or cut';
    throw documentError(pathText(this.#path), expected, found, advice, at);
  }
}
