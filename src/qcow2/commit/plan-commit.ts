import type { DirtyBitmapError } from '../../errors.js';
import { type Limits, resolveLimits } from '../../limits.js';
import { BITMAP_FLAG } from '../directory.js';
import type { Qcow2Bitmap, Qcow2Image } from '../image.js';
import { headSteps, type ImageHead } from '../image-head.js';
import { ownershipSteps } from '../ownership.js';
import type { Steps } from '../random-access.js';
import type { ScannedImage } from '../references.js';
import { assertReadable, type StoredSize } from './assert-readable.js';
import { assertUnused } from './assert-unused.js';
import { type EntryToWrite, encodeDirectory } from './encode-directory.js';
import { type Doubts, freeOld, isStale } from './free-old.js';
import { type BitsLayout, dataWrites, encodeTable, layoutBits } from './layout-bits.js';
import { type CommitPlan, type PlannedBitmap, type PlannedWrite, type PlanStep, sync, write } from './plan.js';
import { RefcountEditor } from './refcount-editor.js';
import { clearUnknownAutoclear, type DirectoryPlace, switchHeader } from './switch-header.js';
import { assertWritable, type NewBitmap, type WantedBitmap, wantedName } from './wanted.js';

/** How a commit is planned. */
export interface CommitOptions {
  readonly limits?: Partial<Limits> | undefined;
  /**
   * Whether all tables of the image are read, to prove that nobody else uses the clusters that are given back, or those
   * that are written. Without the proof the old ones are left over as leaks. Default true.
   */
  readonly proveOwnership?: boolean | undefined;
  /** Never relies on a write of 24 bytes within a sector being all or nothing. Default false. */
  readonly paranoid?: boolean | undefined;
}

/**
 * Plans how an image gets a new list of bitmaps so that no crash can hurt: nothing that is in use is changed but pointers
 * of 8 to 24 bytes, the new bitmaps are visible only when all of them is on the disk, and what they took the place of is
 * given back only after that. Source: qcow2-bitmaps.md section 9.
 * @param image as it is now, read under the lock under which the plan will be done.
 * @param list all bitmaps that it is to have.
 * @throws DirtyBitmapError as `assertWritable`, `assertReadable` and `assertUnused`; `qcow2-no-room`; where a table or a
 * cluster is in doubt that would be kept, the reason.
 */
export function* commitSteps(
  image: Qcow2Image,
  list: readonly WantedBitmap[],
  options: CommitOptions = {},
): Steps<CommitPlan> {
  assertWritable(image, list);
  const head = yield* headSteps(image.fileSize);
  const limits = resolveLimits(options.limits);
  const doubts = yield* doubtsAbout(image, head, limits, options.proveOwnership ?? true);
  for (const wanted of list) {
    const doubt = wanted.kind === 'keep' ? doubts.get(wanted.bitmap) : undefined;
    if (doubt !== undefined) throw doubt;
  }
  const { header } = head;
  const file = { clusterSize: header.clusterSize, fileSize: image.fileSize };
  const refcounts = yield* RefcountEditor.open(header, file);
  const writes: PlannedWrite[] = [];
  const entries: EntryToWrite[] = [];
  const sizes: StoredSize[] = [];
  for (const wanted of list) {
    if (wanted.kind === 'keep') {
      entries.push(keptEntry(wanted));
      sizes.push(keptSize(wanted.bitmap));
    } else {
      const layout = layoutBits(wanted.bits, wanted.granularity, header);
      entries.push(yield* storeBitmap(wanted, layout, refcounts, writes));
      sizes.push(layout);
    }
  }
  assertReadable(sizes, header.clusterSize, limits);
  const place = entries.length === 0 ? undefined : yield* storeDirectory(entries, head, refcounts, writes);
  yield* refcounts.settle();
  const allocated = [...writes, ...refcounts.changes('allocate')];
  const steps: PlanStep[] = [...clearUnknownAutoclear(header), ...allocated];
  if (allocated.length > 0) steps.push(sync('allocate'));
  steps.push(...refcounts.hooks(), ...switchHeader(head, place, options.paranoid ?? false));
  const proven = options.proveOwnership ?? true;
  const { freed, leaked } = yield* freeOld(image, list, refcounts, proven ? doubts : undefined);
  const given = [...refcounts.changes('free')];
  steps.push(...given);
  if (given.length > 0) steps.push(sync('free'));
  if (proven) yield* assertUnused(scannedImage(image, head), steps, refcounts.oldTable, limits);
  return { steps, bitmaps: list.map(planned), clusters: { taken: refcounts.taken, freed, leaked } };
}

/** Why the clusters of a bitmap may not be its own, for each that this is said of. */
function* doubtsAbout(image: Qcow2Image, head: ImageHead, limits: Limits, scan: boolean): Steps<Doubts> {
  const doubts = new Map<Qcow2Bitmap, DirtyBitmapError>();
  const { bitmaps, bitmapsExtension: extension } = image;
  if (extension === undefined || isStale(image)) return doubts;
  const tables = new Map(bitmaps.flatMap(({ table }, index) => (table === undefined ? [] : [[index, table] as const])));
  const stored = { extension, entries: bitmaps.map(({ entry }) => entry), tables };
  const found = yield* ownershipSteps(scannedImage(image, head), stored, limits, scan);
  for (const [index, error] of found) doubts.set(bitmaps[index] as Qcow2Bitmap, error);
  return doubts;
}

function scannedImage({ fileSize }: Qcow2Image, { header, cryptoHeader }: ImageHead): ScannedImage {
  return { header, fileSize, cryptoHeader };
}

function keptEntry(wanted: WantedBitmap & { readonly kind: 'keep' }): EntryToWrite {
  const { entry, auto, inUse } = wanted.bitmap;
  const { tableOffset, tableEntries, granularityBits } = entry;
  const flags = (inUse ? BITMAP_FLAG.IN_USE : 0) | ((wanted.auto ?? auto) ? BITMAP_FLAG.AUTO : 0);
  return { name: wantedName(wanted), tableOffset, tableEntries, flags, granularityBits };
}

function keptSize({ entry, table, bits }: Qcow2Bitmap): StoredSize {
  const { ones = 0, data = 0 } = bits === undefined ? {} : (table?.kinds ?? {});
  return { words: entry.tableEntries, ones, data };
}

/** Takes clusters for a bitmap, and plans its data and its table. */
function* storeBitmap(
  { name, granularity, auto }: NewBitmap,
  layout: BitsLayout,
  refcounts: RefcountEditor,
  writes: PlannedWrite[],
): Steps<EntryToWrite> {
  const dataAt = layout.data === 0 ? 0 : yield* refcounts.take(layout.data);
  const tableOffset = yield* refcounts.take(layout.tableClusters);
  writes.push(...dataWrites(layout, dataAt, `bits of ${name.text}`));
  writes.push(write('allocate', tableOffset, `table of ${name.text}`, encodeTable(layout, dataAt)));
  const granularityBits = Math.log2(granularity);
  const flags = auto ? BITMAP_FLAG.AUTO : 0;
  return { name, tableOffset, tableEntries: layout.words, flags, granularityBits };
}

/** Takes clusters for the directory, and plans it; as all that is new, in whole clusters. */
function* storeDirectory(
  entries: readonly EntryToWrite[],
  { header }: ImageHead,
  refcounts: RefcountEditor,
  writes: PlannedWrite[],
): Steps<DirectoryPlace> {
  const bytes = encodeDirectory(entries);
  const clusters = Math.ceil(bytes.length / header.clusterSize);
  const offset = yield* refcounts.take(clusters);
  const padded = new Uint8Array(clusters * header.clusterSize);
  padded.set(bytes);
  writes.push(write('allocate', offset, 'directory of the bitmaps', padded));
  return { bitmapCount: entries.length, size: bytes.length, offset };
}

function planned(wanted: WantedBitmap): PlannedBitmap {
  const name = wantedName(wanted);
  if (wanted.kind === 'new') return { name, granularity: wanted.granularity, auto: wanted.auto, inUse: false };
  const { granularity, auto, inUse } = wanted.bitmap;
  return { name, granularity, auto: wanted.auto ?? auto, inUse };
}
