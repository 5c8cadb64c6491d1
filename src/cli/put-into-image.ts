import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { NewBitmap, WantedBitmap } from '../qcow2/commit/wanted.js';
import type { Qcow2Image } from '../qcow2/image.js';
import { addBitmaps, putBitmaps } from '../qcow2/operations.js';
import { formatBytesExact } from '../report/text.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { entriesOf, nameKey } from '../set/rename-set.js';
import { changeImage, type ImageChangeOptions } from './change-image.js';
import { choice } from './change-names.js';
import { bitsForDisk, type Rest } from './fit-to-disk.js';
import { EXIT, type Terminal } from './terminal.js';

/** What is asked where bitmaps are put into an image. */
export interface PutOptions extends ImageChangeOptions {
  readonly output: string;
  /** In the place of those of the same names. */
  readonly force?: boolean;
  /** What becomes of the part of the disk that the input does not tell of. */
  readonly rest?: Rest;
}

/** How an image is changed, and what is said of it. */
export interface ImagePut {
  readonly change: (image: Qcow2Image) => readonly WantedBitmap[];
  readonly said: (image: Qcow2Image) => readonly string[];
}

/** `convert INPUT -O qcow2 -o IMAGE`: puts the bitmaps of a set into an image that is there. */
export async function putIntoImage(set: BitmapSet, options: PutOptions, terminal: Terminal): Promise<number> {
  const { change, said } = putOf(set, options);
  await changeImage(options.output, change, said, options, terminal);
  return EXIT.OK;
}

/**
 * What putting the bitmaps of a set into an image means.
 * @throws DirtyBitmapError `bitmap-not-found` where they are not of one node; what does not fit, when the image is read.
 */
export function putOf(set: BitmapSet, options: Pick<PutOptions, 'output' | 'force' | 'rest'>): ImagePut {
  const nodes = set.nodes.filter(({ bitmaps }) => bitmaps.length > 0);
  const [node] = nodes;
  if (node === undefined || nodes.length > 1) {
    const found = node === undefined ? 'no bitmap' : `bitmaps of ${nodes.length} nodes`;
    const message = `an image takes bitmaps of one disk, found ${found}; choose them with --select${choice(entriesOf(set))}`;
    throw new DirtyBitmapError('bitmap-not-found', message);
  }
  const added = (image: Qcow2Image): NewBitmap[] =>
    node.bitmaps.map((bitmap) => {
      const { name, recording, bits } = bitmap;
      const disk = { label: options.output, size: image.header.virtualSize };
      const own = bitsForDisk({ node, bitmap }, disk, options.rest);
      return { kind: 'new', name, granularity: bits.granularity, auto: recording, bits: own };
    });
  return {
    change: (image) => (options.force === true ? putBitmaps : addBitmaps)(image, added(image)),
    said: (image) =>
      node.bitmaps.map(({ name, recording, bits }) => {
        const there = image.bitmaps.some((one) => nameKey(one.name) === nameKey(name));
        const how = recording ? 'records writes' : 'disabled';
        return `bitmap ${quoted(name.text)} ${there ? 'replaced' : 'added'}: ${formatBytesExact(bits.count())} dirty, ${how}`;
      }),
  };
}
