import { type Name, nameFromText, quoted, toHex } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { MAX_NAME_BYTES } from '../set/names.js';
import { MAX_NODE_NAME_BYTES } from './memory-graph.js';

/** A bitmap of a mapping, as QMP's `BitmapMigrationBitmapAlias`. */
export interface MappedBitmap {
  /** The name here. */
  readonly name: string;
  /** The name in the stream. */
  readonly alias: string;
  /** What becomes of it on the way. */
  readonly transform?: { readonly persistent?: boolean | undefined } | undefined;
}

/** A node of a mapping, as QMP's `BitmapMigrationNodeAlias`. */
export interface MappedNode {
  /** The name here. */
  readonly 'node-name': string;
  /** The name in the stream. */
  readonly alias: string;
  readonly bitmaps: readonly MappedBitmap[];
}

/** Bytes of an alias at most: what a counted string holds. */
const MAX_ALIAS_BYTES = 255;
/** First a letter, then letters, digits, `-._`. */
const WELL_FORMED = /^[A-Za-z][-A-Za-z0-9._]*$/;

interface NodeIndex {
  readonly node: MappedNode;
  readonly byName: ReadonlyMap<string, MappedBitmap>;
  readonly byAlias: ReadonlyMap<string, MappedBitmap>;
}

/**
 * The parameter `block-bitmap-mapping`: names here and names in the stream. Both directions are checked, whichever side
 * uses it. Source: dirty-bitmap-states.md section 4.
 */
export class BlockBitmapMapping {
  readonly #byName = new Map<string, NodeIndex>();
  readonly #byAlias = new Map<string, NodeIndex>();

  /** @throws DirtyBitmapError `mapping-invalid`, with the path of the entry. */
  constructor(nodes: readonly MappedNode[]) {
    nodes.forEach((node, at) => {
      const path = `block-bitmap-mapping[${at}]`;
      const { alias, 'node-name': name } = node;
      if (!WELL_FORMED.test(alias))
        refuse(path, `alias ${quoted(alias)} is no letter followed by letters, digits, -._`);
      limit(path, 'alias', alias, MAX_ALIAS_BYTES);
      limit(path, 'node-name', name, MAX_NODE_NAME_BYTES);
      const byName = new Map<string, MappedBitmap>();
      const byAlias = new Map<string, MappedBitmap>();
      const index = { node, byName, byAlias };
      put(this.#byName, name, index, path, 'node-name');
      put(this.#byAlias, alias, index, path, 'alias');
      node.bitmaps.forEach((bitmap, i) => {
        const inner = `${path}.bitmaps[${i}]`;
        limit(inner, 'alias', bitmap.alias, MAX_ALIAS_BYTES);
        limit(inner, 'name', bitmap.name, MAX_NAME_BYTES);
        put(byName, bitmap.name, bitmap, inner, 'name');
        put(byAlias, bitmap.alias, bitmap, inner, 'alias');
      });
    });
  }

  /** The entry of a node of this side, or undefined. */
  nodeByName(name: string): MappedNode | undefined {
    return this.#byName.get(keyOf(nameFromText(name)))?.node;
  }

  /** The entry of a node alias from the stream, or undefined. */
  nodeByAlias(alias: Name): MappedNode | undefined {
    return this.#byAlias.get(keyOf(alias))?.node;
  }

  /** The entry of a bitmap of this side, or undefined. */
  bitmapByName(node: string, name: Name): MappedBitmap | undefined {
    return this.#byName.get(keyOf(nameFromText(node)))?.byName.get(keyOf(name));
  }

  /** The entry of a bitmap alias from the stream, or undefined. */
  bitmapByAlias(nodeAlias: Name, alias: Name): MappedBitmap | undefined {
    return this.#byAlias.get(keyOf(nodeAlias))?.byAlias.get(keyOf(alias));
  }
}

function keyOf(name: Name): string {
  return toHex(name.bytes);
}

function put<T>(map: Map<string, T>, name: string, value: T, path: string, what: string): void {
  const key = keyOf(nameFromText(name));
  if (map.has(key)) refuse(path, `${what} ${quoted(name)} comes twice; each may be mapped once`);
  map.set(key, value);
}

function limit(path: string, what: string, name: string, max: number): void {
  const { length } = nameFromText(name).bytes;
  if (length > max) refuse(path, `${what} ${quoted(name)} has ${length} bytes; at most ${max}`);
}

function refuse(path: string, message: string): never {
  throw new DirtyBitmapError('mapping-invalid', `${path}: ${message}`, { path });
}
