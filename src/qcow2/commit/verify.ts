import type { Bitmap } from '../../bitmap/bitmap.js';
import { quoted, toHex } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import type { Qcow2Bitmap, Qcow2Image } from '../image.js';
import { type WantedBitmap, wantedName } from './wanted.js';

/**
 * Compares an image that was written with what it was to have. Source: qcow2-bitmaps.md section 9, P6.
 * @throws DirtyBitmapError `qcow2-verify-failed`.
 */
export function assertCommitted(image: Qcow2Image, list: readonly WantedBitmap[]): void {
  // Those that are void may be listed still, where an extension that cannot be taken away tells of them.
  const bitmaps = image.bitmaps.filter(({ trust }) => trust !== 'stale');
  if (bitmaps.length !== list.length) throw differs(`${list.length} bitmaps`, `${bitmaps.length}`);
  for (const [at, wanted] of list.entries()) assertSame(bitmaps[at] as Qcow2Bitmap, wanted);
}

function assertSame(found: Qcow2Bitmap, wanted: WantedBitmap): void {
  const name = wantedName(wanted);
  if (toHex(found.name.bytes) !== toHex(name.bytes)) {
    throw differs(`bitmap ${quoted(name.text)}`, quoted(found.name.text));
  }
  const say = (what: string, expected: unknown, is: unknown): void => {
    if (expected !== is) throw differs(`${what} ${expected} of bitmap ${quoted(name.text)}`, `${is}`);
  };
  const before = wanted.kind === 'keep' ? wanted.bitmap : undefined;
  const auto = wanted.auto ?? before?.auto ?? false;
  say('flag auto', auto, found.auto);
  // One that is in use stays so, whatever else is said of it.
  say('trust', before?.inUse ? before.trust : auto ? 'enabled' : 'disabled', found.trust);
  say('granularity', wanted.kind === 'keep' ? wanted.bitmap.granularity : wanted.granularity, found.granularity);
  const bits = wanted.kind === 'keep' ? wanted.bitmap.bits : wanted.bits;
  say('bits', true, sameBits(found.bits, bits));
}

function sameBits(found: Bitmap | undefined, wanted: Bitmap | 'all-dirty' | undefined): boolean {
  if (found === undefined || wanted === undefined) return found === wanted;
  if (wanted === 'all-dirty') return found.size === 0 || found.nextClean(0) < 0;
  return found.equals(wanted);
}

function differs(expected: string, found: string): DirtyBitmapError {
  const message =
    `the image was written and read again: expected ${expected}, found ${found}; do not trust its bitmaps, ` +
    'take a full backup, and tell us';
  return new DirtyBitmapError('qcow2-verify-failed', message);
}
