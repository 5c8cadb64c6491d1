import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { SetBitmap, SetNode } from './bitmap-set.js';

/** What is told of where a disk ends, in bytes: just there, or not before there. */
export interface DiskEnd {
  readonly bytes: number;
  readonly exact: boolean;
}

/** A stream covers whole sectors. */
const SECTOR = 512;
/** Only the end of a disk lies within so many granules. */
const UNIT = 64;

/** What a bitmap and its node tell of where the disk ends; undefined where they tell nothing. */
export function diskEnd(
  node: Pick<SetNode, 'size'>,
  { coveredBytes, diskEnd: told, bits }: Pick<SetBitmap, 'coveredBytes' | 'diskEnd' | 'bits'>,
): DiskEnd | undefined {
  if (node.size !== undefined) return { bytes: Math.ceil(node.size / SECTOR) * SECTOR, exact: true };
  if (coveredBytes === undefined) return undefined;
  return { bytes: coveredBytes, exact: told === true || coveredBytes % (UNIT * bits.granularity) !== 0 };
}

/**
 * Whether bitmaps can be of one disk: what is exact agrees, and nothing is known to go beyond.
 * @param ends each with the name of what tells it, for the message.
 * @returns the end, where one is exact.
 * @throws DirtyBitmapError `size-differs`.
 */
export function oneDiskEnd(ends: Iterable<readonly [label: string, end: DiskEnd | undefined]>): number | undefined {
  let exact: readonly [string, number] | undefined;
  let least: readonly [string, number] | undefined;
  for (const [label, end] of ends) {
    if (end === undefined) continue;
    if (!end.exact) {
      if (least === undefined || end.bytes > least[1]) least = [label, end.bytes];
    } else if (exact === undefined) exact = [label, end.bytes];
    else if (exact[1] !== end.bytes) throw differs(exact, [label, end.bytes], 'is of a disk of');
  }
  if (exact !== undefined && least !== undefined && least[1] > exact[1]) throw differs(exact, least, 'reaches to byte');
  return exact?.[1];
}

function differs(
  [one, bytes]: readonly [string, number],
  [other, otherBytes]: readonly [string, number],
  how: string,
): DirtyBitmapError {
  const message =
    `${quoted(one, 96)} is of a disk of ${bytes} bytes, and ${quoted(other, 96)} ${how} ${otherBytes}: they are not of ` +
    'one disk; give nodes of different disks different names';
  return new DirtyBitmapError('size-differs', message);
}
