import { type Name, nameFromText, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import {
  entriesOf,
  entryLabel,
  type NewNames,
  renameInSet,
  type SetEntry,
  selectFromSet,
  splitNames,
} from '../set/rename-set.js';
import type { LoadedSet } from './load-set.js';

const EXPECTED = 'NODE/NAME=NODE/NAME or NODE=NODE, no name empty';

/**
 * The bitmaps that `--select` lists, each as NODE/NAME, or as NAME where only one bitmap has it.
 * @throws DirtyBitmapError `bitmap-not-found`, with what there is to choose from.
 */
export function selected(set: BitmapSet, wanted: readonly string[] | undefined): BitmapSet {
  if (wanted === undefined) return set;
  const entries = entriesOf(set);
  const chosen = new Set(wanted.map((text) => entryOf(entries, text).bitmap));
  return selectFromSet(set, ({ bitmap }) => chosen.has(bitmap));
}

/**
 * The one bitmap that a text means: an exact NAME of one bitmap wins, else NODE/NAME.
 * @throws DirtyBitmapError `bitmap-not-found`, with what there is to choose from.
 */
export function entryOf(entries: readonly SetEntry[], text: string): SetEntry {
  const named = entries.filter(({ bitmap }) => bitmap.name.text === text);
  const labelled = entries.filter((entry) => entryLabel(entry) === text);
  const found = named.length === 1 ? named : labelled;
  if (found.length === 1) return found[0] as SetEntry;
  const several = named.length > 1 || found.length > 1;
  const what = several ? `${quoted(text)} is the name of several bitmaps` : `there is no bitmap ${quoted(text)}`;
  throw new DirtyBitmapError('bitmap-not-found', `${what}${choice(entries)}`);
}

/** What there is to choose from, for a message. */
export function choice(entries: readonly SetEntry[]): string {
  const names = entries.slice(0, 20).map((entry) => quoted(entryLabel(entry), 80));
  const more = entries.length > 20 ? `, and ${entries.length - 20} more` : '';
  return names.length > 0 ? ` (there are ${names.join(', ')}${more})` : '';
}

/**
 * The set with the names that `--rename OLD=NEW` asks for: OLD and NEW are both NODE/NAME, or both the name of a node.
 * @throws DirtyBitmapError `argument`; `bitmap-not-found` for what is not there; `bitmap-exists`, `size-differs`.
 */
export function renamed(set: BitmapSet, changes: readonly string[] | undefined): BitmapSet {
  if (changes === undefined || changes.length === 0) return set;
  const entries = entriesOf(set);
  const byEntry = new Map<SetEntry['bitmap'], NewNames>();
  for (const change of changes) {
    const { found, names } = parseRename(change, entries);
    for (const { bitmap } of found) {
      if (byEntry.has(bitmap)) throw argument(change, 'something that no other --rename renames');
      byEntry.set(bitmap, names);
    }
  }
  return renameInSet(set, ({ bitmap }) => byEntry.get(bitmap) ?? {});
}

/** The bitmaps that OLD=NEW renames. Names may hold `=`, so the first of these that makes OLD a name counts. */
function parseRename(
  change: string,
  entries: readonly SetEntry[],
): { readonly found: readonly SetEntry[]; readonly names: NewNames } {
  let first: ReturnType<typeof splitRename> | undefined;
  for (let equals = change.indexOf('='); equals >= 0; equals = change.indexOf('=', equals + 1)) {
    const rename = splitRename(change, equals);
    if (rename === undefined) continue;
    first ??= rename;
    const { old, names } = rename;
    const found = entries.filter((entry) => (old.includes('/') ? entryLabel(entry) : entry.node.node.text) === old);
    if (found.length > 0) return { found, names };
  }
  if (first === undefined) throw argument(change, EXPECTED);
  const what = first.old.includes('/') ? 'bitmap' : 'node with bitmaps called';
  throw new DirtyBitmapError(
    'bitmap-not-found',
    `--rename: there is no ${what} ${quoted(first.old)}${choice(entries)}`,
  );
}

/**
 * The new names of `--rename OLD=NEW` for bitmaps that are not known beforehand: by node and name, undefined where it does
 * not mean them.
 * @throws DirtyBitmapError `argument`.
 */
export function renaming(change: string): (node: string, bitmap: string) => NewNames | undefined {
  const byOld = new Map<string, NewNames>();
  for (let equals = change.indexOf('='); equals >= 0; equals = change.indexOf('=', equals + 1)) {
    const rename = splitRename(change, equals);
    if (rename !== undefined) byOld.set(rename.old, rename.names);
  }
  if (byOld.size === 0) throw argument(change, EXPECTED);
  return (node, bitmap) => byOld.get(`${node}/${bitmap}`) ?? byOld.get(node);
}

/** OLD and NEW around an `=`, where both are the name of a node or of a bitmap. */
function splitRename(change: string, equals: number): { readonly old: string; readonly names: NewNames } | undefined {
  const old = change.slice(0, equals);
  const text = change.slice(equals + 1);
  const names = splitNames(text);
  if (old === '' || text === '' || old.includes('/') !== (names !== undefined)) return undefined;
  if (names !== undefined && Math.min(names.node.bytes.length, names.bitmap.bytes.length) === 0) return undefined;
  return { old, names: names ?? { node: nameFromText(text) } };
}

function argument(change: string, expected: string): DirtyBitmapError {
  return new DirtyBitmapError('argument', `--rename ${quoted(change)}: expected ${expected}`);
}

/**
 * The set of an input, with the names of `--node NODE/NAME` where the input has none (nbdinfo).
 * @param needed whether the output has names.
 * @throws DirtyBitmapError `argument` where names are missing, or given to an input that has its own.
 */
export function withNode({ input, format, set }: LoadedSet, node: string | undefined, needed: boolean): BitmapSet {
  if (format === 'qcow2') return node === undefined ? set : renameInSet(set, () => ({ node: imageNode(node) }));
  if (format !== 'nbdinfo') {
    if (node === undefined) return set;
    const message = `--node names what has no name; ${quoted(input, 256)} is a ${format} and has names: use --rename`;
    throw new DirtyBitmapError('argument', message);
  }
  if (node === undefined) {
    if (!needed) return set;
    const message = `${quoted(input, 256)} is a map of nbdinfo, which tells no names: give --node NODE/NAME`;
    throw new DirtyBitmapError('argument', message);
  }
  const names = splitNames(node);
  if (names === undefined || names.node.bytes.length === 0 || names.bitmap.bytes.length === 0) {
    throw new DirtyBitmapError('argument', `--node ${quoted(node)}: expected NODE/NAME`);
  }
  return renameInSet(set, () => names);
}

/** The node that an image is to belong to. */
function imageNode(text: string): Name {
  if (text !== '' && !text.includes('/')) return nameFromText(text);
  throw new DirtyBitmapError(
    'argument',
    `--node ${quoted(text)}: expected the name of a node; an image tells its bitmaps`,
  );
}
