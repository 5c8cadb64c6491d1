import { type Name, nameFromText, quoted, toHex } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { BitmapSet, SetBitmap, SetNode } from './bitmap-set.js';
import { diskEnd, oneDiskEnd } from './disk-end.js';

/** A bitmap of a set with its node. */
export interface SetEntry {
  readonly node: SetNode;
  readonly bitmap: SetBitmap;
}

/** Which names a bitmap gets; a name that is undefined stays. */
export interface NewNames {
  readonly node?: Name | undefined;
  readonly bitmap?: Name | undefined;
}

/** All bitmaps of a set, in its order. */
export function entriesOf(set: BitmapSet): SetEntry[] {
  return set.nodes.flatMap((node) => node.bitmaps.map((bitmap) => ({ node, bitmap })));
}

/** The name of an entry as `NODE/NAME`. */
export function entryLabel({ node, bitmap }: SetEntry): string {
  return `${node.node.text}/${bitmap.name.text}`;
}

/** Tells names apart, clean or not: for maps. */
export function nameKey(name: Name): string {
  return toHex(name.bytes);
}

/** The set with only some of its bitmaps. A node that is left without any goes, too. The bits are shared. */
export function selectFromSet(set: BitmapSet, wanted: (entry: SetEntry) => boolean): BitmapSet {
  const nodes = set.nodes.map((node) => ({
    ...node,
    bitmaps: node.bitmaps.filter((bitmap) => wanted({ node, bitmap })),
  }));
  return { nodes: nodes.filter((node) => node.bitmaps.length > 0) };
}

/**
 * The set with other names. Bitmaps whose nodes get the same name come together in one. The bits are shared.
 * @throws DirtyBitmapError `bitmap-exists` where two bitmaps of a node would have one name; `size-differs` where nodes of
 * different sizes would become one.
 */
export function renameInSet(set: BitmapSet, names: (entry: SetEntry) => NewNames): BitmapSet {
  const nodes = new Map<string, { node: Name; size: number | undefined; bitmaps: SetBitmap[] }>();
  const place = (name: Name, size: number | undefined): { bitmaps: SetBitmap[] } => {
    const key = nameKey(name);
    const found = nodes.get(key) ?? { node: name, size, bitmaps: [] };
    nodes.set(key, found);
    if (found.size === size) return found;
    const message = `node ${quoted(name.text)} would be of ${found.size ?? 'unknown'} and of ${size ?? 'unknown'} bytes`;
    throw new DirtyBitmapError('size-differs', `${message}; give its bitmaps nodes of their own`);
  };
  for (const node of set.nodes) {
    if (node.bitmaps.length === 0) place(node.node, node.size);
    for (const bitmap of node.bitmaps) {
      const to = names({ node, bitmap });
      const { bitmaps } = place(to.node ?? node.node, node.size);
      const name = to.bitmap ?? bitmap.name;
      if (bitmaps.some((other) => nameKey(other.name) === nameKey(name))) {
        const label = quoted(`${(to.node ?? node.node).text}/${name.text}`, 96);
        throw new DirtyBitmapError('bitmap-exists', `two bitmaps would be called ${label}; take another name for one`);
      }
      bitmaps.push({ ...pick(bitmap), name });
    }
  }
  const renamed = { nodes: [...nodes.values()] };
  for (const node of renamed.nodes) {
    oneDiskEnd(node.bitmaps.map((bitmap) => [entryLabel({ node, bitmap }), diskEnd(node, bitmap)]));
  }
  return renamed;
}

/** `NODE/NAME` as names: split at the first `/`, for a node's name cannot hold one. */
export function splitNames(text: string): { readonly node: Name; readonly bitmap: Name } | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  return { node: nameFromText(text.slice(0, slash)), bitmap: nameFromText(text.slice(slash + 1)) };
}

/** What belongs to a bitmap of a set, whatever else its object has. */
function pick({ name, recording, persistent, coveredBytes, diskEnd, bits }: SetBitmap): SetBitmap {
  const end = { ...(coveredBytes !== undefined && { coveredBytes }), ...(diskEnd === true && { diskEnd }) };
  return { name, recording, persistent, ...end, bits };
}
