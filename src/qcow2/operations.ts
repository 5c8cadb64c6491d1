import type { Bitmap } from '../bitmap/bitmap.js';
import { type Name, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { nameKey } from '../set/rename-set.js';
import type { NewBitmap, WantedBitmap } from './commit/wanted.js';
import type { Qcow2Bitmap, Qcow2Image } from './image.js';
import { carriesBits } from './trust.js';

// Each operation makes the list of bitmaps that an image is to have of the one it has, for `commitSteps`; names are told
// apart by their bytes. Source: qcow2-bitmaps.md section 10.

/** All bitmaps as they are. Stale ones are void, and left out. */
export function keepBitmaps({ bitmaps }: Qcow2Image): WantedBitmap[] {
  return bitmaps.filter(({ trust }) => trust !== 'stale').map((bitmap) => ({ kind: 'keep', bitmap }));
}

/**
 * The bitmap of a name.
 * @throws DirtyBitmapError `bitmap-not-found`, with what there is.
 */
export function bitmapNamed({ bitmaps }: Qcow2Image, name: Name): Qcow2Bitmap {
  const found = bitmaps.find((bitmap) => isSame(bitmap.name, name));
  if (found !== undefined) return found;
  // A name that no text can hold is meant by how it is shown.
  const shown = bitmaps.filter((bitmap) => bitmap.name.text === name.text);
  if (shown.length === 1) return shown[0] as Qcow2Bitmap;
  const names = bitmaps.slice(0, 20).map((bitmap) => quoted(bitmap.name.text, 80));
  const there = names.length > 0 ? ` (there are ${names.join(', ')}${bitmaps.length > 20 ? ', ...' : ''})` : '';
  throw new DirtyBitmapError('bitmap-not-found', `the image has no bitmap ${quoted(name.text)}${there}`);
}

/** Adds bitmaps behind the others; a name that is there already is refused when the commit is planned. */
export function addBitmaps(image: Qcow2Image, added: readonly NewBitmap[]): WantedBitmap[] {
  return [...keepBitmaps(image), ...added];
}

/** Puts bitmaps in the place of those of their names, and adds the others. */
export function putBitmaps(image: Qcow2Image, put: readonly NewBitmap[]): WantedBitmap[] {
  const rest = new Set(put);
  const list = keepBitmaps(image).map((kept): WantedBitmap => {
    const name = kept.kind === 'keep' ? kept.bitmap.name : kept.name;
    const other = put.find((one) => isSame(one.name, name));
    if (other !== undefined) rest.delete(other);
    return other ?? kept;
  });
  return [...list, ...rest];
}

/** @throws DirtyBitmapError `bitmap-not-found`. */
export function removeBitmap(image: Qcow2Image, name: Name): WantedBitmap[] {
  const gone = bitmapNamed(image, name);
  return keepBitmaps(image).filter((kept) => kept.kind !== 'keep' || kept.bitmap !== gone);
}

/** @throws DirtyBitmapError `bitmap-not-found`; that the new name is free is checked when the commit is planned. */
export function renameBitmap(image: Qcow2Image, from: Name, to: Name): WantedBitmap[] {
  return change(image, bitmapNamed(image, from), (bitmap) => ({ kind: 'keep', bitmap, name: to }));
}

/** Makes QEMU record writes in a bitmap, or not. @throws DirtyBitmapError `bitmap-not-found`. */
export function setRecording(image: Qcow2Image, name: Name, auto: boolean): WantedBitmap[] {
  return change(image, bitmapNamed(image, name), (bitmap) => ({ kind: 'keep', bitmap, auto }));
}

/**
 * Makes dirty in a bitmap what is dirty in any of `sources`, whose granularities may differ.
 * @throws DirtyBitmapError `bitmap-not-found`; `bitmap-inconsistent` where its own bits cannot be read; `argument` where
 * a source is of a disk of another size; `limit`.
 */
export function mergeIntoBitmap(image: Qcow2Image, name: Name, sources: readonly Bitmap[]): WantedBitmap[] {
  const target = bitmapNamed(image, name);
  const merged = bitsOf(target).clone();
  for (const source of sources) merged.or(source);
  return change(image, target, ({ granularity, auto, name: own }) => ({
    kind: 'new',
    name: own,
    granularity,
    auto,
    bits: merged,
  }));
}

/**
 * Makes all of a bitmap dirty whose bits are lost: a superset of what was lost, so that the next incremental backup is a
 * full one, and those after it are incremental again.
 * @throws DirtyBitmapError `bitmap-not-found`; `argument` where its bits are there.
 */
export function resetBitmap(image: Qcow2Image, name: Name): WantedBitmap[] {
  const lost = bitmapNamed(image, name);
  if (carriesBits(lost.trust)) {
    const message = `bitmap ${quoted(name.text)} is ${lost.trust}, and nothing of it is lost; there is nothing to reset`;
    throw new DirtyBitmapError('argument', message);
  }
  return change(image, lost, ({ granularity, auto, name: own }) => ({
    ...{ kind: 'new', name: own, granularity, auto, bits: 'all-dirty' },
  }));
}

/**
 * The bits of a bitmap.
 * @throws DirtyBitmapError `bitmap-inconsistent`, or its fault, where they cannot be believed.
 */
export function bitsOf({ name, bits, fault, trust, entry }: Qcow2Bitmap): Bitmap {
  if (bits !== undefined) return bits;
  if (fault !== undefined) throw fault;
  const message = `bitmap ${quoted(name.text)} is ${trust}: its bits are not in the image (see \`dirtybitmap check\`)`;
  throw new DirtyBitmapError('bitmap-inconsistent', message, { offset: entry.offset });
}

/** The list with another entry for one bitmap; one that is void comes back in its old place. */
function change(image: Qcow2Image, one: Qcow2Bitmap, make: (bitmap: Qcow2Bitmap) => WantedBitmap): WantedBitmap[] {
  return image.bitmaps
    .filter((bitmap) => bitmap === one || bitmap.trust !== 'stale')
    .map((bitmap): WantedBitmap => (bitmap === one ? make(bitmap) : { kind: 'keep', bitmap }));
}

function isSame(a: Name, b: Name): boolean {
  return nameKey(a) === nameKey(b);
}
