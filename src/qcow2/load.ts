import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { MemoryNode } from '../migration/memory-graph.js';
import type { TrackedBitmap } from '../migration/tracked-bitmap.js';
import { nameKey } from '../set/rename-set.js';
import { encodeDirectory } from './commit/encode-directory.js';
import type { PlanStep } from './commit/plan.js';
import { markDirectory } from './commit/switch-header.js';
import type { WantedBitmap } from './commit/wanted.js';
import { BITMAP_FLAG } from './directory.js';
import type { Qcow2Bitmap, Qcow2Image } from './image.js';
import { bitsOf } from './operations.js';
import { carriesBits } from './trust.js';

/**
 * Which stored bitmaps become a node's: `merged` is QEMU since 4.0, all that are clean, those without AUTO disabled, and
 * what is in use as an inconsistent placeholder that can only be removed. `patch-2017` is the seed of autoloading: AUTO
 * and not in use, all others left alone, and one that cannot be read fails the load.
 * Source: qcow2-bitmaps.md section 8.
 */
export type LoadPolicy = 'merged' | 'patch-2017';

/** How bitmaps are loaded. */
export interface LoadOptions {
  /** Default `merged`. */
  readonly policy?: LoadPolicy | undefined;
}

/** What loading did. */
export interface Loaded {
  readonly bitmaps: readonly TrackedBitmap[];
  /** What is to be written to the image before the guest writes to the disk; none for a node that is read-only. */
  readonly steps: readonly PlanStep[];
}

/**
 * Makes the bitmaps of an image those of a node of a block graph, as QEMU does when it opens one. While the node is
 * writable they are marked in use in the image: `steps` says how.
 * @throws DirtyBitmapError `size-differs` where the node is of another size; `qcow2-bitmap-unsupported`; `limit`; with `patch-2017` why a bitmap that
 * would be loaded cannot be.
 */
export function loadBitmaps(node: MemoryNode, image: Qcow2Image, options: LoadOptions = {}): Loaded {
  const { virtualSize } = image.header;
  if (node.size !== virtualSize) {
    const message = `node ${quoted(node.name)} has ${node.size} bytes, and the disk of the image ${virtualSize}`;
    throw new DirtyBitmapError('size-differs', message);
  }
  const odd = image.bitmaps.find(({ trust }) => trust === 'unsupported');
  if (odd !== undefined) {
    const message = `the image has a bitmap ${quoted(odd.name.text)} of a kind that QEMU does not open, nor anything beside it`;
    throw new DirtyBitmapError('qcow2-bitmap-unsupported', message, { offset: odd.entry.offset });
  }
  const bitmaps = options.policy === 'patch-2017' ? loadSeed(node, image) : loadMerged(node, image);
  const clean = bitmaps.filter(({ inconsistent }) => !inconsistent).map(({ name }) => name && nameKey(name));
  const marked = image.bitmaps.filter(({ name, inUse }) => !inUse && clean.includes(nameKey(name)));
  return { bitmaps, steps: node.readOnly ? [] : markInUse(image, marked) };
}

/**
 * The list of bitmaps that the image is to have when a node is closed: those that are persistent and not read-only are
 * written, but for those that a migration took along, which stay in use in the file. Source: section 8.4.
 * @throws DirtyBitmapError `bitmap-exists` where the image has one of that name that is not in use: somebody else's.
 */
export function storeBitmaps(node: MemoryNode, image: Qcow2Image): WantedBitmap[] {
  const stored = node.bitmaps.filter(
    ({ name, persistent, readOnly, inconsistent, skipStore }) =>
      name !== undefined && persistent && !readOnly && !inconsistent && !skipStore,
  );
  const rest = new Map(stored.map((bitmap) => [bitmap.name && nameKey(bitmap.name), bitmap]));
  const list = image.bitmaps
    .filter(({ trust }) => trust !== 'stale')
    .map((bitmap): WantedBitmap => {
      const own = rest.get(nameKey(bitmap.name));
      if (own === undefined) return { kind: 'keep', bitmap };
      rest.delete(nameKey(bitmap.name));
      if (!bitmap.inUse) {
        const message = `the image has a bitmap ${quoted(bitmap.name.text)} that is not in use, so it is not that of the node`;
        throw new DirtyBitmapError('bitmap-exists', `${message}; remove one of them`, { offset: bitmap.entry.offset });
      }
      return toStore(own);
    });
  return [...list, ...[...rest.values()].map(toStore)];
}

function toStore(bitmap: TrackedBitmap): WantedBitmap {
  const { granularity, enabled, bits } = bitmap;
  // Only named ones are stored.
  return { kind: 'new', name: bitmap.name as NonNullable<typeof bitmap.name>, granularity, auto: enabled, bits };
}

function loadMerged(node: MemoryNode, { bitmaps }: Qcow2Image): TrackedBitmap[] {
  const loaded: TrackedBitmap[] = [];
  for (const bitmap of bitmaps) {
    const inUse = bitmap.trust.startsWith('in-use');
    // One that came through a migration goes before what was left in the file.
    if (inUse && node.find(bitmap.name) !== undefined) continue;
    if (inUse) loaded.push(create(node, bitmap, undefined));
    else if (carriesBits(bitmap.trust)) loaded.push(create(node, bitmap, bitmap.bits));
    else if (bitmap.trust === 'damaged') bitsOf(bitmap);
  }
  return loaded;
}

function loadSeed(node: MemoryNode, { bitmaps }: Qcow2Image): TrackedBitmap[] {
  return bitmaps
    .filter(({ auto, inUse, trust }) => auto && !inUse && trust !== 'stale')
    .map((bitmap) => create(node, bitmap, bitsOf(bitmap)));
}

function create(node: MemoryNode, { name, granularity, auto }: Qcow2Bitmap, bits: Qcow2Bitmap['bits']): TrackedBitmap {
  const inconsistent = bits === undefined;
  const creation = { name, granularity, recording: auto, persistent: true, readOnly: node.readOnly && !inconsistent };
  return node.create({ ...creation, inconsistent, bits });
}

/** The directory again, in its place, with the flag for these bitmaps; the autoclear bit is off meanwhile. */
function markInUse({ header, bitmaps, bitmapsExtension }: Qcow2Image, marked: readonly Qcow2Bitmap[]): PlanStep[] {
  if (marked.length === 0 || bitmapsExtension === undefined) return [];
  const entries = bitmaps.map((bitmap) => {
    const { name, tableOffset, tableEntries, flags, granularityBits } = bitmap.entry;
    const inUse = marked.includes(bitmap) ? BITMAP_FLAG.IN_USE : 0;
    return { name, tableOffset, tableEntries, granularityBits, flags: flags | inUse };
  });
  return markDirectory(header, bitmapsExtension.directoryOffset, encodeDirectory(entries));
}
