import type { Bitmap } from '../bitmap/bitmap.js';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { knownEnd } from '../set/bitmap-set.js';
import { diskEnd, oneDiskEnd } from '../set/disk-end.js';
import { entryLabel, type SetEntry } from '../set/rename-set.js';

/** What becomes of the part of a disk that nothing is known of. */
export type Rest = 'clean' | 'dirty';

/** The disk that a bitmap is for. */
export interface FittedDisk {
  /** What it is called. */
  readonly label: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * The bits of a bitmap as those of a disk, as a copy. What nobody told of would read as clean, which loses changes: it is
 * refused, unless it is said what to make of it.
 * @throws DirtyBitmapError `size-differs` where it is of another disk; `size-unknown`.
 */
export function bitsForDisk(entry: SetEntry, { label, size }: FittedDisk, rest: Rest | undefined): Bitmap {
  const { node, bitmap } = entry;
  const told = diskEnd(node, bitmap);
  oneDiskEnd([
    [label, { bytes: size, exact: true }],
    [entryLabel(entry), told],
  ]);
  const end = knownEnd(node, bitmap) ?? 0;
  const all = end >= size || (node.size === undefined && told?.exact === true);
  const bits = bitmap.bits.clone();
  bits.resize(size);
  if (all || rest === 'clean') return bits;
  if (rest === 'dirty') {
    bits.set(end, size - end);
    return bits;
  }
  const message =
    `bitmap ${quoted(entryLabel(entry), 96)} is known up to byte ${end} of the ${size} of the disk; say --rest clean where ` +
    'its sender left out what is clean (profile compact), or --rest dirty';
  throw new DirtyBitmapError('size-unknown', message);
}
