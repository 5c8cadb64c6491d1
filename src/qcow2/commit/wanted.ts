import { isGranularity } from '../../bitmap/granularity.js';
import { type Name, quoted } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { MAX_NAME_BYTES, NameIndex } from '../../set/names.js';
import { INCOMPATIBLE } from '../header.js';
import type { Qcow2Bitmap, Qcow2Image } from '../image.js';
import type { BitsToStore } from './layout-bits.js';

/** A bitmap that stays where it is: its table and its bits are not touched. */
export interface KeptBitmap {
  readonly kind: 'keep';
  readonly bitmap: Qcow2Bitmap;
  /** Another name. */
  readonly name?: Name | undefined;
  /** Whether QEMU is to record writes in it; default as it is. */
  readonly auto?: boolean | undefined;
}

/** A bitmap that is written. */
export interface NewBitmap {
  readonly kind: 'new';
  readonly name: Name;
  /** In bytes. */
  readonly granularity: number;
  /** Whether QEMU records writes in it. */
  readonly auto: boolean;
  readonly bits: BitsToStore;
}

/** An entry of the list of bitmaps that an image is to have. */
export type WantedBitmap = KeptBitmap | NewBitmap;

export function wantedName(wanted: WantedBitmap): Name {
  return wanted.kind === 'new' ? wanted.name : (wanted.name ?? wanted.bitmap.name);
}

const MAX_BITMAPS = 65_535;
const REPAIR = 'run `qemu-img check -r all` on it first';

/**
 * Refuses an image that nobody but QEMU should write, and a list of bitmaps that it cannot have, before anything is
 * read or written for it. Source: qcow2-bitmaps.md section 6.
 * @throws DirtyBitmapError `qcow2-not-writable`, `qcow2-bitmap-unsupported`, `bitmap-exists`, `bitmap-inconsistent`,
 * `granularity-invalid`, `argument` for bits of another disk or granularity, or the fault of a bitmap that would be kept.
 */
export function assertWritable({ header, bitmaps }: Qcow2Image, list: readonly WantedBitmap[]): void {
  const { version, incompatible, virtualSize } = header;
  if (version === 2)
    throw refused('an image of version 2 has no bitmaps; run `qemu-img amend -o compat=1.1` on it first', 4);
  if ((incompatible & INCOMPATIBLE.DIRTY) !== 0n) throw refused(`the dirty bit is set; ${REPAIR}`, 72);
  if ((incompatible & INCOMPATIBLE.CORRUPT) !== 0n) throw refused(`the corrupt bit is set; ${REPAIR}`, 72);
  if (virtualSize === 0) throw refused('its disk has no bytes, and QEMU stores no bitmap of such a disk', 24);
  const unsupported = bitmaps.find(({ trust }) => trust === 'unsupported');
  if (unsupported !== undefined) {
    const message = `bitmap ${label(unsupported)} is of a kind that QEMU does not open; nothing here writes such an image`;
    throw new DirtyBitmapError('qcow2-bitmap-unsupported', message, { offset: unsupported.entry.offset });
  }
  if (list.length > MAX_BITMAPS) throw new DirtyBitmapError('limit', `an image has ${MAX_BITMAPS} bitmaps at most`);
  const names = new NameIndex();
  for (const wanted of list) {
    assertName(wantedName(wanted), names);
    if (wanted.kind === 'new') assertBits(wanted, virtualSize);
    else assertKeepable(wanted);
  }
}

function assertName(name: Name, names: NameIndex): void {
  const { length } = name.bytes;
  if (length < 1 || length > MAX_NAME_BYTES || name.bytes.includes(0)) {
    const message = `bitmap name ${quoted(name.text)}: expected 1 to ${MAX_NAME_BYTES} bytes without NUL, found ${length}`;
    throw new DirtyBitmapError('qcow2-name-size', message);
  }
  if (names.add(name)) return;
  const message = `the image would have two bitmaps ${quoted(name.text)}; remove the old one first, or take another name`;
  throw new DirtyBitmapError('bitmap-exists', message);
}

function assertBits({ name, granularity, bits }: NewBitmap, virtualSize: number): void {
  const path = `bitmap ${quoted(name.text)}`;
  if (!isGranularity(granularity)) {
    const message = `${path}: a granularity of ${granularity} bytes; QEMU's are powers of two from 512 to 2 GiB`;
    throw new DirtyBitmapError('granularity-invalid', message);
  }
  if (bits === 'all-dirty' || (bits.granularity === granularity && bits.size === virtualSize)) return;
  const expected = `bits of granularity ${granularity} for a disk of ${virtualSize} bytes`;
  const message = `${path}: expected ${expected}, found ${bits.granularity} and ${bits.size ?? 'no size'}`;
  throw new DirtyBitmapError('argument', message);
}

function assertKeepable({ bitmap, name, auto }: KeptBitmap): void {
  const { trust, fault, entry } = bitmap;
  if (trust === 'stale') {
    const message = `bitmap ${label(bitmap)} is void: a program without bitmaps wrote the image; it can only be left out`;
    throw new DirtyBitmapError('bitmap-inconsistent', message, { offset: entry.offset });
  }
  if (fault !== undefined) {
    throw new DirtyBitmapError(fault.code, `${fault.message}; until then nothing else in the image is changed`, {
      ...(fault.offset !== undefined && { offset: fault.offset }),
    });
  }
  if (bitmap.inUse && (name !== undefined || auto !== undefined)) {
    const message = `bitmap ${label(bitmap)} was not saved: remove it, or reset it so that all of it is dirty`;
    throw new DirtyBitmapError('bitmap-inconsistent', message, { offset: entry.offset });
  }
}

function label({ name }: Qcow2Bitmap): string {
  return quoted(name.text);
}

function refused(why: string, offset: number): DirtyBitmapError {
  return new DirtyBitmapError('qcow2-not-writable', `the image cannot be written: ${why}`, { offset });
}
