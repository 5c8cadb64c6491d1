import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { NewBitmap } from '../qcow2/commit/wanted.js';
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

/** `convert INPUT -O qcow2 -o IMAGE`: puts the bitmaps of a set into an image that is there. */
export async function putIntoImage(set: BitmapSet, options: PutOptions, terminal: Terminal): Promise<number> {
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
  const change = (image: Qcow2Image) => (options.force === true ? putBitmaps : addBitmaps)(image, added(image));
  const said = (image: Qcow2Image): string[] =>
    node.bitmaps.map(({ name, recording, bits }) => {
      const there = image.bitmaps.some((one) => nameKey(one.name) === nameKey(name));
      const how = recording ? 'records writes' : 'disabled';
      return `bitmap ${quoted(name.text)} ${there ? 'replaced' : 'added'}: ${formatBytesExact(bits.count())} dirty, ${how}`;
    });
  await changeImage(options.output, change, said, options, terminal);
  return EXIT.OK;
}
