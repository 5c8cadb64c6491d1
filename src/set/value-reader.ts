import { MAX_DISK_BYTES } from '../bitmap/granularity.js';
import { type Name, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { ExtentList } from './extent-list.js';

/**
 * Reads a document one value after the other, whatever it is written in; each method takes the next value and refuses
 * it where it is something else. So the fields of a bitmap set are known in one place, and no document becomes a tree
 * of objects that may be many times its size.
 */
export interface ValueReader {
  /** An object: calls back for each field, which must then take its value. No field comes twice. */
  object(field: (key: string) => void): void;
  /** An array: calls back for each item, which must then take its value. */
  array(item: (index: number) => void): void;
  /** A whole number from 0 to 2^53, the largest disk, in bytes. */
  uint(): number;
  boolean(): boolean;
  /** A name in the form that is usual here: text, or binary. */
  name(): Name;
  /** A name that text cannot hold. */
  hexName(): Name;
  /** Dirty extents as this form lists them. */
  extents(into: ExtentList): void;
  /** A bitmap's bytes; a view of the document. */
  bits(): Uint8Array;
  /** Passes over any value. */
  skip(): void;
  /** Where the value taken last (or the object or array just left) begins, in bytes; undefined where nobody knows. */
  readonly offset: number | undefined;
  /** Refuses the value taken last: `expected` completes "expected ...", `advice` says what to do. */
  fail(expected: string, advice: string, place?: Place): never;
}

/** What a refusal is about, where that is not the whole value taken last. */
export interface Place {
  /** A field or an item below it: `dirty[17]`. */
  readonly below?: string;
  /** What was found there. */
  readonly found?: string;
  /** Where it is, in bytes from the start of the document. */
  readonly offset?: number | undefined;
}

/** What every number is expected to be. */
export const UINT = 'a whole number from 0 to 2^53';

/** Whether a value is {@link UINT}. Beyond 2^53 not every whole number is a Number, and the nearest is taken silently. */
export function isUint(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_DISK_BYTES;
}

const IDENTIFIER = /^[a-z_]\w*$/i;

/** Fields and indexes as a path: `nodes[3].bitmaps[0].dirty[17]`. Field names may come from anybody. */
export function pathText(parts: readonly (string | number)[], below?: string): string {
  let text = '';
  for (const part of parts) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!IDENTIFIER.test(part) || part.length > 64) text += `[${quoted(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  if (below === undefined) return text;
  return text === '' || below.startsWith('[') ? text + below : `${text}.${below}`;
}

/** The `set-invalid` error of a document; `offset` is in bytes from its start. */
export function documentError(
  path: string,
  expected: string,
  found: string,
  advice: string,
  offset?: number,
): DirtyBitmapError {
  const message = `${path === '' ? 'the document' : path}: expected ${expected}, found ${found}; ${advice}`;
  return new DirtyBitmapError('set-invalid', message, { path, ...(offset !== undefined && { offset }) });
}
