import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { RULES } from '../rules.js';
import { DESTINATION_TRANSITIONS, INCOMING_TRANSITIONS } from './destination-transitions.js';

/** Refuses a value that is not what belongs at `path`. */
type Shape = (value: unknown, path: string) => void;

const flag = shape('true or false', (value) => typeof value === 'boolean');
const text = shape('a text', (value) => typeof value === 'string');
const bytes = shape('bytes', (value) => value instanceof Uint8Array);
// 2^53 is the end of the largest disk, and exact.
const count = shape('a number from 0 to 2^53', (value) => isWhole(value) && value >= 0);
/** Where a thing stands among others, or -1 where there is none. */
const index = shape('a number from -1 up', (value) => isWhole(value) && value >= -1);
const nothing = shape('null', (value) => value === null);
const code = oneOf(Object.keys(RULES));

const BITMAP = {
  name: orNull(bytes),
  granularity: count,
  enabled: flag,
  busy: flag,
  persistent: flag,
  readOnly: flag,
  inconsistent: flag,
  skipStore: flag,
  loading: flag,
  bits: listOf(tuple(count, bytes)),
};

const GRAPH = map({
  nodes: listOf(
    map({
      name: text,
      size: count,
      readOnly: flag,
      canStore: flag,
      filtered: index,
      bitmaps: listOf(map({ ...BITMAP, successor: orNull(map({ ...BITMAP, successor: nothing })) })),
    }),
  ),
  backends: listOf(tuple(text, index)),
});

const FINDING = map({ code, message: text, offset: optional(count) });

const STREAM = map({
  dirtybitmap: oneOf(['destination']),
  version: shape('version 1', (value) => value === 1),
  destination: map({
    state: oneOf(Object.keys(DESTINATION_TRANSITIONS)),
    fault: orNull(map({ code, message: text, offset: optional(count), effect: oneOf(['fatal', 'cancel', 'report']) })),
    named: flag,
    flagless: count,
    findings: map({
      list: listOf(FINDING),
      total: count,
      counts: map({ error: count, warning: count, info: count }),
    }),
    reported: listOf(text),
    chunks: map({
      progress: map({
        into: index,
        range: map({ firstBit: count, endBit: count, needed: count }),
        size: count,
        offset: count,
        paddingDirty: flag,
      }),
      entries: listOf(
        map({
          target: count,
          nodeAlias: bytes,
          alias: bytes,
          node: index,
          bitmap: index,
          granularity: count,
          recording: flag,
          reused: orNull(flag),
          state: oneOf(Object.keys(INCOMING_TRANSITIONS)),
          edges: listOf(count),
          overflowed: flag,
        }),
      ),
    }),
  }),
  parser: map({
    names: map({ targets: listOf(tuple(bytes, bytes)), node: orNull(bytes), target: index }),
    dataLeft: count,
    dataSize: count,
    eos: flag,
  }),
  offset: count,
  unread: bytes,
  inside: flag,
});

/** @throws DirtyBitmapError `snapshot-invalid`, with the place in `path`, where it has not the form of one. */
export function checkGraphSnapshot(snapshot: unknown): void {
  GRAPH(snapshot, 'graph');
}

/** @throws DirtyBitmapError `snapshot-invalid`, with the place in `path`, where it has not the form of one. */
export function checkStreamSnapshot(snapshot: unknown): void {
  STREAM(snapshot, 'stream');
  const { destination, parser } = snapshot as {
    readonly destination: {
      readonly state: string;
      readonly fault: object | null;
      readonly chunks: { readonly entries: readonly { readonly target: number }[] };
    };
    readonly parser: { readonly names: { readonly targets: readonly unknown[] } };
  };
  const over = destination.state === 'failed' || destination.state === 'cancelled';
  if (over !== (destination.fault !== null))
    fail('a fault where it is over, and only there', 'stream.destination.fault');
  const { targets } = parser.names;
  destination.chunks.entries.forEach(({ target }, at) => {
    if (target >= targets.length) fail(`one of ${targets.length} bitmaps`, `stream.destination.chunks.entries[${at}]`);
  });
}

function fail(expected: string, path: string): never {
  const message = `${path}: expected ${expected}; give what snapshot() made, all of it`;
  throw new DirtyBitmapError('snapshot-invalid', message, { path });
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) <= 2 ** 53;
}

function shape(expected: string, fits: (value: unknown) => boolean): Shape {
  return (value, path) => {
    if (!fits(value)) fail(expected, path);
  };
}

function oneOf(names: readonly string[]): Shape {
  return shape(
    `one of ${names
      .slice(0, 6)
      .map((name) => quoted(name))
      .join(', ')}...`,
    (value) => names.includes(value as string),
  );
}

function orNull(inner: Shape): Shape {
  return (value, path) => {
    if (value !== null) inner(value, path);
  };
}

/** MessagePack has no undefined: it comes as null. */
function optional(inner: Shape): Shape {
  return (value, path) => {
    if (value !== null && value !== undefined) inner(value, path);
  };
}

function listOf(inner: Shape): Shape {
  return (value, path) => {
    if (!Array.isArray(value)) fail('an array', path);
    for (const [at, item] of value.entries()) inner(item, `${path}[${at}]`);
  };
}

function tuple(...parts: readonly Shape[]): Shape {
  return (value, path) => {
    if (!Array.isArray(value) || value.length !== parts.length) fail(`an array of ${parts.length}`, path);
    for (const [at, part] of parts.entries()) part(value[at], `${path}[${at}]`);
  };
}

function map(fields: Readonly<Record<string, Shape>>): Shape {
  return (value, path) => {
    if (typeof value !== 'object' || value === null) fail('a map', path);
    for (const [name, inner] of Object.entries(fields))
      inner((value as Record<string, unknown>)[name], `${path}.${name}`);
  };
}
