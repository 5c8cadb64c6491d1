import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import type { NewBitmap, WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { addBitmaps, putBitmaps, resetBitmap } from '../../src/qcow2/operations.js';
import { buildImage, type ImageForm } from '../qcow2/build-image.js';
import { padTo } from '../qcow2/crash-edits.js';
import { bitmapsOf, type Expected, expectedOf, look, whichOf } from '../qcow2/crash-judge.js';

/** Bytes of the disk. */
const SIZE = 1024 * 1024;

/** A bitmap to add. */
function fresh(name: string, granularity = 512): NewBitmap {
  const bits = new Bitmap(granularity, { size: SIZE });
  bits.set(4096, 70_000);
  return { kind: 'new', name: nameFromText(name), granularity, auto: true, bits };
}

const ONE = [{ name: 'one', dirty: [[3, 700]] }] as const;
type Change = (image: Qcow2Image) => readonly WantedBitmap[];
/** A commit, and the image that it is done to. */
interface Case {
  readonly what: string;
  readonly form: ImageForm;
  readonly change: Change;
  readonly edit?: (bytes: Uint8Array) => Uint8Array;
  readonly paranoid?: boolean;
}

/** Where the refcounts end that a table of one cluster has room for. */
const TABLE_END = (512 / 8) * 64 * 512;
/** Commits of which every phase is there in some. */
export const CASES: readonly Case[] = [
  { what: 'add, to an image without bitmaps', form: {}, change: (image) => addBitmaps(image, [fresh('new')]) },
  {
    what: 'add beside a backing name',
    form: { backing: 'base.raw' },
    change: (image) => addBitmaps(image, [fresh('new')]),
  },
  { what: 'replace', form: { bitmaps: ONE }, change: (image) => putBitmaps(image, [fresh('one')]) },
  {
    what: 'replace, paranoid',
    form: { bitmaps: ONE },
    change: (image) => putBitmaps(image, [fresh('one', 4096)]),
    paranoid: true,
  },
  { what: 'remove the last', form: { bitmaps: ONE, autoclear: 0xf1 }, change: () => [] },
  {
    what: 'reset',
    form: { bitmaps: [{ name: 'one', flags: 3 }] },
    change: (image) => resetBitmap(image, nameFromText('one')),
  },
  {
    what: 'add, with new refcount blocks',
    form: { refcountBits: 64 },
    change: (image) => addBitmaps(image, [fresh('new'), fresh('more')]),
    edit: (bytes) => padTo(bytes, 5 * 64 * 512 - 1024),
  },
  {
    what: 'add, with a larger refcount table',
    form: { refcountBits: 64, bitmaps: ONE },
    change: (image) => addBitmaps(image, [fresh('new')]),
    edit: (bytes) => padTo(bytes, TABLE_END - 1024),
  },
];

/** One of clusters so large that each takes some pages of a file system. */
export const LARGE: Case = {
  what: 'replace and add, in large clusters',
  form: { clusterBits: 14, bitmaps: ONE },
  change: (image) => putBitmaps(image, [fresh('one'), fresh('two')]),
};

/** An image, and the bitmaps that it has before and after a commit. */
export function prepare({ form, change, edit }: Case): {
  base: Uint8Array;
  old: readonly Expected[];
  wanted: readonly Expected[];
} {
  const { bytes } = buildImage({ size: SIZE, ...form });
  const base = edit?.(bytes) ?? bytes;
  const seen = look(base);
  if ('error' in seen) throw seen.error;
  return { base, old: bitmapsOf(seen.image), wanted: expectedOf(change(seen.image), seen.image) };
}

/** What an error says of the bitmaps, by the phase in which it came, and whether that is so. */
export function contradicts(message: string, which: string): boolean {
  if (message.includes('the bitmaps are as they were')) return which !== 'old';
  if (message.includes('the bitmaps are the new ones;')) return which !== 'new';
  return !message.includes('the bitmaps are the old ones, the new ones or none');
}

/** Which bitmaps an image has: the old ones, the new ones, none, or something that it may not have. */
export function which(file: Uint8Array, old: readonly Expected[], wanted: readonly Expected[]): string {
  const seen = look(file);
  if ('error' in seen) return seen.code;
  return ['old', 'new', 'none'][whichOf(bitmapsOf(seen.image), [old, wanted, []]) ?? 3] ?? 'a mix';
}
