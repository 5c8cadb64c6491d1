import type { DirtyBitmapError } from '../../errors.js';
import type { Qcow2Bitmap, Qcow2Image } from '../image.js';
import type { ByteRange, Steps } from '../random-access.js';
import { ALL_ONES, WORD } from '../table.js';
import type { RefcountEditor } from './refcount-editor.js';
import type { WantedBitmap } from './wanted.js';

/** Bitmaps whose clusters may not be their own, and why. */
export type Doubts = ReadonlyMap<Qcow2Bitmap, DirtyBitmapError>;

/** Whether the bitmaps of an image are void: what they point at may be anybody's by now. */
export function isStale({ bitmaps }: Qcow2Image): boolean {
  return bitmaps.some(({ trust }) => trust === 'stale');
}

/**
 * Gives back the clusters that a new list of bitmaps has no use for. A refcount of 1 does not prove that a cluster is
 * nobody else's: without that proof it stays behind as a leak. Source: qcow2-bitmaps.md section 9, P0 and P5.
 * @param doubts undefined where nothing was proven.
 * @returns how many clusters were given back, and how many were left.
 */
export function* freeOld(
  image: Qcow2Image,
  list: readonly WantedBitmap[],
  refcounts: RefcountEditor,
  doubts: Doubts | undefined,
): Steps<{ readonly freed: number; readonly leaked: number }> {
  const count = { freed: 0, leaked: 0 };
  yield* giveBack(oldBitmaps(image, list, doubts), refcounts, count);
  const { oldTable } = refcounts;
  if (oldTable !== undefined) {
    yield* giveBack(clustersIn(oldTable, image.header.clusterSize, doubts !== undefined), refcounts, count);
  }
  return count;
}

/** A cluster that may go; `own` where it is proven that nobody else uses it. */
interface OldCluster {
  /** In bytes. */
  readonly offset: number;
  readonly own: boolean;
}

function* giveBack(
  clusters: Iterable<OldCluster>,
  refcounts: RefcountEditor,
  count: { freed: number; leaked: number },
): Steps<void> {
  for (const { offset, own } of clusters) {
    if (own && (yield* refcounts.free(offset))) count.freed++;
    else count.leaked++;
  }
}

/** What the directory takes, and the bitmaps that are not kept. */
function* oldBitmaps(
  image: Qcow2Image,
  list: readonly WantedBitmap[],
  doubts: Doubts | undefined,
): Generator<OldCluster, void, void> {
  const { clusterSize } = image.header;
  const { bitmapsExtension: extension } = image;
  if (extension === undefined || isStale(image)) return;
  const directory = { offset: extension.directoryOffset, length: extension.directorySize };
  yield* clustersIn(directory, clusterSize, doubts !== undefined);
  const kept = new Set(list.map((wanted) => (wanted.kind === 'keep' ? wanted.bitmap : undefined)));
  for (const bitmap of image.bitmaps) {
    const { table, entry } = bitmap;
    if (kept.has(bitmap)) continue;
    // What one with a broken table has besides it, nobody knows: all of it is left over.
    if (table === undefined) {
      yield* clustersIn({ offset: entry.tableOffset, length: entry.tableEntries * WORD }, clusterSize, false);
      continue;
    }
    const own = doubts !== undefined && !doubts.has(bitmap);
    yield* clustersIn({ offset: entry.tableOffset, length: entry.tableEntries * WORD }, clusterSize, own);
    for (const offset of table.words) if (offset > ALL_ONES) yield { offset, own };
  }
}

function* clustersIn(
  { offset, length }: ByteRange,
  clusterSize: number,
  own: boolean,
): Generator<OldCluster, void, void> {
  for (let at = 0; at < length; at += clusterSize) yield { offset: offset + at, own };
}
