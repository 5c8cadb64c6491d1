import { fromHex, nameFromBytes, nameFromText, toHex } from '../bytes/text.js';
import { DEVIATIONS } from '../chunk/deviation.js';
import { DirtyBitmapError } from '../errors.js';
import { RULES } from '../rules.js';
import type { TraceChunk, TraceItem } from './trace.js';

type Json = Record<string, unknown>;

/** A chunk in a line of `trace --json`. */
interface ChunkLine extends Omit<TraceChunk, 'node' | 'bitmap' | 'data'> {
  readonly node?: string;
  /** Instead of `node`, where that is not clean UTF-8. */
  readonly nodeHex?: string;
  readonly bitmap?: string;
  /** Instead of `bitmap`, where that is not clean UTF-8. */
  readonly bitmapHex?: string;
  /** Base64. */
  readonly data?: string;
}

/** What a line that {@link traceLine} makes holds: the item, with data in base64. */
export type TraceLine =
  | ChunkLine
  | Exclude<TraceItem, TraceChunk | { readonly data: Uint8Array }>
  | WithText<Extract<TraceItem, { readonly type: 'command' }>>
  | WithText<Extract<TraceItem, { readonly type: 'bytes' }>>;

type WithText<T> = Omit<T, 'data'> & { readonly data: string };

/**
 * An item of a trace as one line of JSON: names as text (or, where that is not clean, as `nodeHex` and `bitmapHex`), data
 * as base64. {@link parseTraceLine} makes the same item of it.
 */
export function traceLine(item: TraceItem): string {
  const json: Json = {};
  for (const [key, value] of Object.entries(item)) {
    if (!(value instanceof Uint8Array)) json[key] = value;
    else if (key === 'data') json[key] = toBase64(value);
    else Object.assign(json, nameFields(key, value));
  }
  return JSON.stringify(json);
}

/**
 * The item of a line that {@link traceLine} made.
 * @throws DirtyBitmapError `set-invalid` for any other line.
 */
export function parseTraceLine(line: string): TraceItem {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw bad('a line of JSON was expected', cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw bad('an object was expected');
  const item: Json = {};
  for (const [key, value] of Object.entries(json)) {
    if (key === 'data') item[key] = fromBase64(value);
    else if (key === 'node' || key === 'bitmap') item[key] = nameFromText(textOf(key, value)).bytes;
    else if (key === 'nodeHex' || key === 'bitmapHex') item[key.slice(0, -3)] = hexOf(key, value);
    else item[key] = value;
  }
  return checkTraceItem(item);
}

function nameFields(key: string, bytes: Uint8Array): Json {
  const name = nameFromBytes(bytes);
  return name.clean ? { [key]: name.text } : { [`${key}Hex`]: toHex(bytes) };
}

const isUint = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isBytes = (value: unknown): boolean => value instanceof Uint8Array;
const isText = (value: unknown): boolean => typeof value === 'string';
const oneOf =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const optional =
  (check: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || check(value);

type Check = (value: unknown) => boolean;
const PLACE: Readonly<Record<string, Check>> = { offset: isUint, length: isUint };

/** What each type of item has. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  chunk: {
    ...PLACE,
    kind: oneOf('start', 'complete', 'bits', 'zeroes', 'bare'),
    flags: isUint,
    flagsWidth: oneOf(1, 2, 4),
    node: optional(isBytes),
    bitmap: optional(isBytes),
    granularity: optional(isUint),
    startFlags: optional(isUint),
    firstSector: optional(isUint),
    sectorCount: optional(isUint),
    data: optional(isBytes),
    deviations: optional((value) => Array.isArray(value) && value.every(oneOf(...DEVIATIONS))),
  },
  header: { ...PLACE, version: isUint },
  section: {
    ...PLACE,
    sectionType: oneOf('start', 'part', 'end', 'full'),
    id: isUint,
    name: isText,
    instance: isUint,
    version: isUint,
  },
  footer: { ...PLACE, id: isUint },
  command: { ...PLACE, id: isUint, name: isText, data: isBytes },
  end: PLACE,
  bytes: { ...PLACE, data: isBytes },
  finding: {
    severity: oneOf('error', 'warning', 'info'),
    code: (value) => isText(value) && Object.hasOwn(RULES, value as string),
    offset: optional(isUint),
    message: isText,
  },
};

/**
 * The value as an item of a trace, where it has the form of one.
 * @throws DirtyBitmapError `set-invalid`.
 */
export function checkTraceItem(value: unknown): TraceItem {
  const item = value as Json;
  const type = item?.['type'];
  const shape = typeof type === 'string' && Object.hasOwn(SHAPES, type) ? SHAPES[type] : undefined;
  if (shape === undefined) throw bad(`no item of a trace has the type ${JSON.stringify(type)}`);
  for (const [key, check] of Object.entries(shape)) {
    if (!check(item[key])) throw bad(`${key} of a ${String(type)} item is not what it should be`);
  }
  return item as unknown as TraceItem;
}

function textOf(key: string, value: unknown): string {
  if (typeof value !== 'string') throw bad(`${key} is no text`);
  return value;
}

function hexOf(key: string, value: unknown): Uint8Array {
  const bytes = fromHex(textOf(key, value));
  if (bytes === undefined) throw bad(`${key} is not hexadecimal`);
  return bytes;
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x2000) text += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  return btoa(text);
}

function fromBase64(value: unknown): Uint8Array {
  try {
    return Uint8Array.from(atob(String(value)), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw bad('data is not base64', cause);
  }
}

function bad(what: string, cause?: unknown): DirtyBitmapError {
  return new DirtyBitmapError('set-invalid', `trace: ${what}; give lines that \`dirtybitmap trace --json\` wrote`, {
    cause,
  });
}
