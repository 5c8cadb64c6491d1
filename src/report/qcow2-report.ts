import { BITMAP_FLAG } from '../qcow2/directory.js';
import { AUTOCLEAR, INCOMPATIBLE } from '../qcow2/header.js';
import type { Qcow2Bitmap, Qcow2Image } from '../qcow2/image.js';
import type { Qcow2Summary, ReportBitmap } from './input-report.js';

/** What `info` says of an image. */
export function qcow2Summary({ header, backing, dataFile }: Qcow2Image): Qcow2Summary {
  const { version, virtualSize, clusterSize, refcountBits, encryption, incompatible, autoclear } = header;
  return {
    ...{ version, virtualSize, clusterSize, refcountBits, encryption },
    extendedL2: (incompatible & INCOMPATIBLE.EXTENDED_L2) !== 0n,
    backing: backing === undefined ? null : { name: backing.name.text, format: backing.format?.text ?? null },
    dataFile: dataFile === undefined ? null : { name: dataFile.name?.text ?? null, raw: dataFile.raw },
    dirty: (incompatible & INCOMPATIBLE.DIRTY) !== 0n,
    corrupt: (incompatible & INCOMPATIBLE.CORRUPT) !== 0n,
    bitmapsValid: (autoclear & AUTOCLEAR.BITMAPS) !== 0n,
  };
}

/** A bitmap of an image as `info` shows it: it belongs to no node, and what is stored is persistent. */
export function qcow2Bitmap(bitmap: Qcow2Bitmap, { header }: Qcow2Image): ReportBitmap {
  const { name, granularity, auto, trust, bits } = bitmap;
  return {
    ...{ node: undefined, name, granularity, recording: auto, persistent: true },
    ...{ complete: bits !== undefined, coveredBytes: bits === undefined ? 0 : header.virtualSize, diskEnd: true },
    ...{ trust, flags: flagNames(bitmap), bits },
  };
}

function flagNames({ entry, auto, inUse }: Qcow2Bitmap): string[] {
  const extra = (entry.flags & BITMAP_FLAG.EXTRA_DATA_COMPATIBLE) !== 0;
  return [...(inUse ? ['in-use'] : []), ...(auto ? ['auto'] : []), ...(extra ? ['extra-data-compatible'] : [])];
}
