import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';

/** An object of an answer. */
export type Json = Readonly<Record<string, unknown>>;

/**
 * Reads fields of what a QMP command returned, which may be anything. A field that is not there is undefined; one of
 * another type is refused with its path.
 */
export class AnswerFields {
  readonly #command: string;

  /** @param command whose answer it is, for messages. */
  constructor(command: string) {
    this.#command = command;
  }

  text(from: Json, key: string, path: string): string | undefined {
    return this.#field(from, key, path, 'a text', (value) => typeof value === 'string') as string | undefined;
  }

  flag(from: Json, key: string, path: string): boolean | undefined {
    return this.#field(from, key, path, 'true or false', (value) => typeof value === 'boolean') as boolean | undefined;
  }

  size(from: Json, key: string, path: string): number | undefined {
    const fits = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
    return this.#field(from, key, path, 'a whole number up to 2^53-1', fits) as number | undefined;
  }

  /** Such as a rate: any number from 0 up. */
  number(from: Json, key: string, path: string): number | undefined {
    const fits = (value: unknown): boolean => Number.isFinite(value) && (value as number) >= 0;
    return this.#field(from, key, path, 'a number from 0 up', fits) as number | undefined;
  }

  object(from: Json, key: string, path: string): Json | undefined {
    return this.#field(from, key, path, 'an object', isObject) as Json | undefined;
  }

  /** Objects of an array. */
  objects(from: Json, key: string, path: string): readonly Json[] | undefined {
    const fits = (value: unknown): boolean => Array.isArray(value) && value.every(isObject);
    return this.#field(from, key, path, 'an array of objects', fits) as readonly Json[] | undefined;
  }

  /** @throws DirtyBitmapError `set-invalid` unless there is a value. */
  needed<T>(value: T | undefined, key: string, path: string, expected: string): T {
    if (value === undefined) throw this.wrong(pathOf(path, key), expected, undefined);
    return value;
  }

  wrong(path: string, expected: string, found: unknown): DirtyBitmapError {
    const shown = found === undefined ? 'nothing' : quoted(JSON.stringify(found) ?? '', 64);
    const message = `${path || 'the document'}: expected ${expected}, found ${shown}; give what ${this.#command} returned`;
    return new DirtyBitmapError('set-invalid', message, { path });
  }

  #field(from: Json, key: string, path: string, expected: string, fits: (value: unknown) => boolean): unknown {
    const value = from[key];
    if (value === undefined || fits(value)) return value;
    throw this.wrong(pathOf(path, key), expected, value);
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** As QEMU answers on the wire, what it returned is under `return`. */
export function returned(answer: unknown): unknown {
  return isObject(answer) && 'return' in answer ? answer['return'] : answer;
}

function pathOf(path: string, key: string): string {
  return `${path}[${JSON.stringify(key)}]`;
}
