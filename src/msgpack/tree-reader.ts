import { type Name, nameFromBytes, printable } from '../bytes/text.js';
import type { ExtentList } from '../set/extent-list.js';
import { documentError, isUint, type Place, pathText, UINT, type ValueReader } from '../set/value-reader.js';

const TYPES = 'give it the type that the form says';

/** Reads a document from decoded values: names and bits are binary, extents one flat array of offsets and lengths. */
export class TreeReader implements ValueReader {
  #value: unknown;
  readonly offset: undefined;
  readonly #path: (string | number)[] = [];

  constructor(value: unknown) {
    this.#value = value;
  }

  object(field: (key: string) => void): void {
    const map = this.#value;
    if (!isMap(map)) this.fail('a map', TYPES);
    for (const [key, value] of Object.entries(map)) this.#below(key, value, () => field(key));
    this.#value = map;
  }

  array(item: (index: number) => void): void {
    const items = this.#value;
    if (!Array.isArray(items)) this.fail('an array', TYPES);
    for (const [index, value] of items.entries()) this.#below(index, value, () => item(index));
    this.#value = items;
  }

  uint(): number {
    const value = this.#value;
    if (isUint(value)) return value + 0;
    this.fail(UINT, 'give the exact number');
  }

  boolean(): boolean {
    const value = this.#value;
    if (typeof value === 'boolean') return value;
    this.fail('true or false', TYPES);
  }

  name(): Name {
    return nameFromBytes(this.bits());
  }

  hexName(): never {
    this.fail('no name in hexadecimal', 'names are binary here, so that any bytes fit');
  }

  extents(into: ExtentList): void {
    const numbers = this.#value;
    if (!Array.isArray(numbers) || numbers.length % 2 !== 0) {
      this.fail('a flat array of offsets and lengths, an even number of items', TYPES);
    }
    for (let i = 0; i < numbers.length; i += 2) into.push(this.#item(numbers, i), this.#item(numbers, i + 1));
  }

  bits(): Uint8Array {
    const value = this.#value;
    if (value instanceof Uint8Array) return value;
    this.fail('binary', TYPES);
  }

  skip(): void {}

  fail(expected: string, advice: string, place: Place = {}): never {
    throw documentError(pathText(this.#path, place.below), expected, place.found ?? describe(this.#value), advice);
  }

  #item(numbers: readonly unknown[], index: number): number {
    const value = numbers[index];
    if (isUint(value)) return value + 0;
    this.fail(UINT, 'give the exact number', { below: `[${index}]`, found: describe(value) });
  }

  #below(part: string | number, value: unknown, read: () => void): void {
    this.#path.push(part);
    this.#value = value;
    read();
    this.#path.pop();
  }
}

/** A map as it was decoded; a timestamp or another extension is an object of a class. */
function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function describe(value: unknown): string {
  if (value instanceof Uint8Array) return `binary of ${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length} items`;
  if (isMap(value)) return 'a map';
  return typeof value === 'object' && value !== null ? 'an extension' : printable(String(value));
}
