import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { NodeBitmap, NodeFacts, Nodes } from './node-bitmaps.js';

/** What was read of nodes, and what was not told of them. */
export interface ParsedNodes {
  readonly nodes: Nodes;
  /** Checks that cannot be made, for want of what they look at. */
  readonly notes: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The nodes in what `query-named-block-nodes` returned: the array, or an object with it under `return`. Of each node only
 * `node-name` must be there; what else is missing is not checked.
 * @throws DirtyBitmapError `set-invalid`, with the place in `path`.
 */
export function parseNodes(json: unknown): ParsedNodes {
  const list = isObject(json) && 'return' in json ? json['return'] : json;
  if (!Array.isArray(list)) throw wrong('', 'an array of nodes, or an object with one under "return"', list);
  const nodes = new Map<string, NodeFacts>();
  for (const [at, value] of list.entries()) {
    const facts = parseNode(value, `[${at}]`);
    if (nodes.has(facts.node)) throw wrong(`[${at}]["node-name"]`, 'a name that no other node has', facts.node);
    nodes.set(facts.node, facts);
  }
  const without = (of: (facts: NodeFacts) => unknown): readonly string[] =>
    [...nodes.values()].filter((facts) => of(facts) === undefined).map(({ node }) => node);
  return {
    nodes,
    notes: [
      ...note(
        'sizes of disks are not compared',
        'image.virtual-size',
        without(({ virtualSize }) => virtualSize),
      ),
      ...note(
        'whether they hold bitmaps is not checked',
        'drv',
        without(({ format }) => format),
      ),
    ],
  };
}

function note(what: string, field: string, nodes: readonly string[]): string[] {
  if (nodes.length === 0) return [];
  const names = nodes.slice(0, 5).map((node) => quoted(node, 40));
  const more = nodes.length > names.length ? ` and ${nodes.length - names.length} more` : '';
  return [`${what} for ${names.join(', ')}${more}: "${field}" is not told`];
}

function parseNode(value: unknown, path: string): NodeFacts {
  if (!isObject(value)) throw wrong(path, 'an object', value);
  const node = text(value, 'node-name', path);
  if (node === undefined) throw wrong(`${path}["node-name"]`, 'a text', undefined);
  const image = object(value, 'image', path);
  const specific = image && object(image, 'format-specific', `${path}.image`);
  const data = specific && object(specific, 'data', `${path}.image["format-specific"]`);
  return {
    node,
    bitmaps: parseBitmaps(value['dirty-bitmaps'], `${path}["dirty-bitmaps"]`),
    virtualSize: image && size(image, 'virtual-size', `${path}.image`),
    format: text(value, 'drv', path),
    qcow2Compat: data && text(data, 'compat', `${path}.image["format-specific"].data`),
    readOnly: flag(value, 'ro', path),
  };
}

function parseBitmaps(value: unknown, path: string): NodeBitmap[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrong(path, 'an array', value);
  const bitmaps: NodeBitmap[] = [];
  for (const [at, bitmap] of value.entries()) {
    const own = `${path}[${at}]`;
    if (!isObject(bitmap)) throw wrong(own, 'an object', bitmap);
    const name = text(bitmap, 'name', own);
    // Those of jobs have none.
    if (name === undefined) continue;
    bitmaps.push({
      name,
      granularity: size(bitmap, 'granularity', own),
      recording: flag(bitmap, 'recording', own) ?? false,
      persistent: flag(bitmap, 'persistent', own) ?? false,
      busy: flag(bitmap, 'busy', own) ?? false,
      inconsistent: flag(bitmap, 'inconsistent', own) ?? false,
    });
  }
  return bitmaps;
}

function text(from: Json, key: string, path: string): string | undefined {
  return field(from, key, path, 'a text', (value) => typeof value === 'string') as string | undefined;
}

function flag(from: Json, key: string, path: string): boolean | undefined {
  return field(from, key, path, 'true or false', (value) => typeof value === 'boolean') as boolean | undefined;
}

function size(from: Json, key: string, path: string): number | undefined {
  const fits = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  return field(from, key, path, 'a whole number up to 2^53-1', fits) as number | undefined;
}

function object(from: Json, key: string, path: string): Json | undefined {
  return field(from, key, path, 'an object', isObject) as Json | undefined;
}

function field(from: Json, key: string, path: string, expected: string, fits: (value: unknown) => boolean): unknown {
  const value = from[key];
  if (value === undefined || fits(value)) return value;
  throw wrong(`${path}[${JSON.stringify(key)}]`, expected, value);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(path: string, expected: string, found: unknown): DirtyBitmapError {
  const shown = found === undefined ? 'nothing' : quoted(JSON.stringify(found) ?? '', 64);
  const message = `${path || 'the document'}: expected ${expected}, found ${shown}; give what query-named-block-nodes returned`;
  return new DirtyBitmapError('set-invalid', message, { path });
}
