import { Bitmap, type MemoryBudget } from '../bitmap/bitmap.js';
import { granulesIn } from '../bitmap/granularity.js';
import { type Name, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { BitmapSet, SetBitmap } from './bitmap-set.js';
import { diskEnd, oneDiskEnd } from './disk-end.js';
import { entriesOf, entryLabel, nameKey, type SetEntry } from './rename-set.js';

/** What became of the bitmaps of one name. */
export interface MergedBitmap {
  readonly node: Name;
  readonly name: Name;
  /** How many inputs have it. */
  readonly inputs: number;
  /** Those of the inputs, in bytes, each once. The result has the smallest, which loses nothing. */
  readonly granularities: readonly number[];
  /** Which flags were not the same everywhere; the result has them set. */
  readonly mixedFlags: readonly ('recording' | 'persistent')[];
  /** Of the result, in bytes. */
  readonly count: number;
}

/** The union of sets, and what was done for it. */
export interface MergedSets {
  /** The union. */
  readonly set: BitmapSet;
  /** How each bitmap of it came about. */
  readonly bitmaps: readonly MergedBitmap[];
}

/**
 * The union of bitmap sets, by node and name: a byte is dirty where it is in any of them. Granularities may differ; the
 * result has the smallest. It records, and is persistent, where any of them does or is: too much loses no change.
 * @param memory what all bitmaps of the result together may occupy.
 * @throws DirtyBitmapError `size-differs` where the disks of a node are of different sizes, or a bitmap reaches beyond;
 * `limit`.
 */
export function mergeSets(sets: readonly BitmapSet[], memory: MemoryBudget): MergedSets {
  const nodes = new Map<string, { name: Name; size: number | undefined; bitmaps: Map<string, SetEntry[]> }>();
  for (const set of sets) {
    for (const node of set.nodes) {
      const key = nameKey(node.node);
      const place = nodes.get(key) ?? { name: node.node, size: node.size, bitmaps: new Map() };
      nodes.set(key, place);
      if (place.size !== undefined && node.size !== undefined && place.size !== node.size) {
        const message = `node ${quoted(node.node.text)} has ${place.size} bytes in one input and ${node.size} in another`;
        throw new DirtyBitmapError('size-differs', `${message}; only bitmaps of one disk can be merged`);
      }
      place.size ??= node.size;
    }
    for (const entry of entriesOf(set)) {
      const { bitmaps } = nodes.get(nameKey(entry.node.node)) as { bitmaps: Map<string, SetEntry[]> };
      const key = nameKey(entry.bitmap.name);
      bitmaps.set(key, [...(bitmaps.get(key) ?? []), entry]);
    }
  }
  for (const { bitmaps } of nodes.values()) {
    const entries = [...bitmaps.values()].flat();
    oneDiskEnd(entries.map((entry) => [entryLabel(entry), diskEnd(entry.node, entry.bitmap)]));
  }
  const told: MergedBitmap[] = [];
  const merged = [...nodes.values()].map(({ name, size, bitmaps }) => ({
    node: name,
    size,
    bitmaps: [...bitmaps.values()].map((entries) => {
      const bitmap = union(entries, size, memory);
      told.push(tell(entries, bitmap));
      return bitmap;
    }),
  }));
  return { set: { nodes: merged }, bitmaps: told };
}

function union(entries: readonly SetEntry[], size: number | undefined, memory: MemoryBudget): SetBitmap {
  const granularity = Math.min(...entries.map(({ bitmap }) => bitmap.bits.granularity));
  const bits = new Bitmap(granularity, { memory });
  let covered: number | undefined;
  let whole = false;
  for (const entry of entries) {
    if (entry.bitmap.coveredBytes === undefined) whole ||= entry.node.size !== undefined || !isEmpty(entry);
    else covered = Math.max(covered ?? 0, entry.bitmap.coveredBytes);
    bits.or(entry.bitmap.bits);
  }
  // What one input knows in full is known: what another stream left out, it said to be clean. Nothing dirty on a disk
  // of unknown size says nothing of where it ends.
  if (whole) covered = undefined;
  else if (covered !== undefined && size !== undefined && covered >= size) covered = undefined;
  if (size !== undefined) bits.resize(size);
  // The last granule of a coarser bitmap may reach beyond the disk, where a finer one has granules of its own.
  else if (covered !== undefined) bits.clearBits(granulesIn(covered, granularity), Number.MAX_SAFE_INTEGER);
  const [first] = entries as readonly [SetEntry];
  return {
    name: first.bitmap.name,
    recording: entries.some(({ bitmap }) => bitmap.recording),
    persistent: entries.some(({ bitmap }) => bitmap.persistent),
    ...(covered !== undefined && { coveredBytes: covered }),
    ...(entries.some(({ bitmap }) => bitmap.diskEnd === true && bitmap.coveredBytes === covered) && { diskEnd: true }),
    bits,
  };
}

function isEmpty({ bitmap }: SetEntry): boolean {
  return bitmap.bits.nextUsedPage(0) < 0 || bitmap.bits.count() === 0;
}

function tell(entries: readonly SetEntry[], result: SetBitmap): MergedBitmap {
  const [first] = entries as readonly [SetEntry];
  const mixed = (['recording', 'persistent'] as const).filter((flag) =>
    entries.some(({ bitmap }) => bitmap[flag] !== first.bitmap[flag]),
  );
  return {
    node: first.node.node,
    name: result.name,
    inputs: entries.length,
    granularities: [...new Set(entries.map(({ bitmap }) => bitmap.bits.granularity))],
    mixedFlags: mixed,
    count: result.bits.count(),
  };
}
