import { Bitmap } from '../../src/bitmap/bitmap.js';
import { type DirtyBitmapError, isDirtyBitmapError } from '../../src/errors.js';
import type { WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Bitmap, Qcow2Image } from '../../src/qcow2/image.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';

/** What a reader sees of an image. */
export type Seen = { readonly image: Qcow2Image } | { readonly error: DirtyBitmapError; readonly code: string };

/** A bitmap as it has to be; without bits where they are lost. */
export type Expected = Pick<Qcow2Bitmap, 'granularity' | 'auto' | 'inUse' | 'bits' | 'name'>;

/** Everything that our reader says of an image, or why it refuses it. */
export function look(file: Uint8Array): Seen {
  try {
    return { image: decodeQcow2(file, { writerPresent: false }) };
  } catch (error) {
    if (isDirtyBitmapError(error)) return { error, code: error.code };
    throw error;
  }
}

/** Extensions that may come and go: that of the bitmaps, and what is left of it. */
const OF_BITMAPS = [0x23852875, 0x766f6964];

/** All that the header says but for bitmaps and refcounts: no commit may change it. */
export function headOf({ header, extensions, backing, dataFile }: Qcow2Image): string {
  const others = extensions.list
    .filter(({ type }) => !OF_BITMAPS.includes(type))
    .map(({ type, length }) => [type, length]);
  return JSON.stringify([
    [header.version, header.clusterBits, header.virtualSize, header.l1Entries, header.l1Offset, header.refcountBits],
    [header.snapshotCount, header.snapshotsOffset, header.headerLength, header.encryption, header.compressionType],
    [`${header.incompatible}`, `${header.compatible}`, `${header.autoclear & 2n}`],
    [others, backing?.name.text, backing?.format?.text, dataFile?.name?.text, dataFile?.raw],
  ]);
}

/** The bitmaps that an image has; those that are stale are none. */
export function bitmapsOf({ bitmaps }: Qcow2Image): readonly Expected[] {
  return bitmaps.filter(({ trust }) => trust !== 'stale');
}

/** What becomes of a list that is written. */
export function expectedOf(list: readonly WantedBitmap[], { header }: Qcow2Image): readonly Expected[] {
  return list.map((wanted) => {
    if (wanted.kind === 'keep') {
      const { bitmap } = wanted;
      return { ...bitmap, name: wanted.name ?? bitmap.name, auto: wanted.auto ?? bitmap.auto };
    }
    const { name, granularity, auto, bits } = wanted;
    return { name, granularity, auto, inUse: false, bits: bits === 'all-dirty' ? allOf(header, granularity) : bits };
  });
}

function allOf({ virtualSize }: Qcow2Image['header'], granularity: number): Bitmap {
  const bits = new Bitmap(granularity, { size: virtualSize });
  bits.set(0, virtualSize);
  return bits;
}

/** Which of the lists an image has: the first that is the same in everything; undefined for a mix of them. */
export function whichOf(seen: readonly Expected[], lists: readonly (readonly Expected[])[]): number | undefined {
  const found = lists.findIndex((list) => list.length === seen.length && list.every((one, at) => same(one, seen[at])));
  return found < 0 ? undefined : found;
}

function same(a: Expected, b: Expected | undefined): boolean {
  if (b === undefined || a.granularity !== b.granularity || a.auto !== b.auto || a.inUse !== b.inUse) return false;
  if (Buffer.compare(a.name.bytes, b.name.bytes) !== 0) return false;
  return a.bits === undefined ? b.bits === undefined : b.bits !== undefined && a.bits.equals(b.bits);
}
