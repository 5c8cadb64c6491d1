import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import type { NewBitmap, WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Bitmap, Qcow2Image } from '../../src/qcow2/image.js';
import {
  addBitmaps,
  keepBitmaps,
  mergeIntoBitmap,
  putBitmaps,
  removeBitmap,
  renameBitmap,
  resetBitmap,
  setRecording,
} from '../../src/qcow2/operations.js';
import type { Dice } from '../differential/dice.js';

/** Something to do to an image: which bitmaps it is to have; undefined where there is nothing to do it to. */
export type Operation = (image: Qcow2Image, dice: Dice) => readonly WantedBitmap[] | undefined;

const GRANULARITIES = [512, 512, 512, 1024, 4096, 65_536];

/** Bits of every kind of cluster: all clean, all dirty, and some of both. */
export function randomBits(size: number, granularity: number, cluster: number, dice: Dice): Bitmap {
  const bits = new Bitmap(granularity, { size });
  const covered = cluster * 8 * granularity;
  for (let start = 0; start < size; start += covered) {
    const length = Math.min(covered, size - start);
    const kind = dice.below(6);
    if (kind === 0) continue;
    if (kind === 1) bits.set(start, length);
    for (let count = kind === 1 ? 0 : dice.between(1, 6); count > 0; count--) {
      const at = dice.below(length);
      bits.set(start + at, 1 + dice.spread(length - at - 1));
    }
  }
  return bits;
}

/** A bitmap that is in no image yet. */
function fresh({ header }: Qcow2Image, dice: Dice, form: Partial<NewBitmap> = {}): NewBitmap {
  const granularity = form.granularity ?? dice.pick(GRANULARITIES);
  const name = nameFromText(`new ${dice.below(2 ** 32)}`);
  const bits = randomBits(header.virtualSize, granularity, header.clusterSize, dice);
  return { kind: 'new', name, granularity, auto: dice.chance(50), bits, ...form };
}

/** An operation on one of the bitmaps that pass. */
function onOne(
  passes: (bitmap: Qcow2Bitmap) => boolean,
  work: (image: Qcow2Image, bitmap: Qcow2Bitmap, dice: Dice) => readonly WantedBitmap[],
): Operation {
  return (image, dice) => {
    const those = image.bitmaps.filter(passes);
    return those.length === 0 ? undefined : work(image, dice.pick(those), dice);
  };
}

const clean = ({ bits }: Qcow2Bitmap): boolean => bits !== undefined;
const lost = ({ bits, trust }: Qcow2Bitmap): boolean => bits === undefined && trust !== 'unsupported';

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'add some bits': (image, dice) => addBitmaps(image, [fresh(image, dice)]),
  'add clean': (image, dice) =>
    addBitmaps(image, [
      fresh(image, dice, { granularity: 512, bits: new Bitmap(512, { size: image.header.virtualSize }) }),
    ]),
  'add all dirty': (image, dice) => addBitmaps(image, [fresh(image, dice, { bits: 'all-dirty' })]),
  'add five with long names': (image, dice) => {
    const name = (at: number) => nameFromText(`${at} ${'\u00e4'.repeat(510)}`);
    return addBitmaps(
      image,
      [1, 2, 3, 4, 5].map((at) => fresh(image, dice, { name: name(at), granularity: 512 })),
    );
  },
  'add many': (image, dice) =>
    addBitmaps(
      image,
      Array.from({ length: dice.between(2, 24) }, (_, at) =>
        fresh(image, dice, { name: nameFromText(`${at}`), granularity: 512 }),
      ),
    ),
  replace: onOne(clean, (image, { name, granularity }, dice) =>
    putBitmaps(image, [fresh(image, dice, { name, granularity })]),
  ),
  'replace with all dirty': onOne(
    () => true,
    (image, { name }, dice) => putBitmaps(image, [fresh(image, dice, { name, bits: 'all-dirty' })]),
  ),
  remove: onOne(
    () => true,
    (image, { name }) => removeBitmap(image, name),
  ),
  'remove all': ({ bitmaps }) => (bitmaps.length === 0 ? undefined : []),
  rename: onOne(clean, (image, { name }, dice) =>
    renameBitmap(image, name, nameFromText(`renamed${'!'.repeat(dice.below(600))}`)),
  ),
  'enable or disable': onOne(clean, (image, { name, auto }) => setRecording(image, name, !auto)),
  'merge into': onOne(clean, (image, { name, granularity }, dice) => {
    const { virtualSize, clusterSize } = image.header;
    const other = dice.pick(GRANULARITIES);
    const sources = [randomBits(virtualSize, other, clusterSize, dice), new Bitmap(granularity, { size: virtualSize })];
    return mergeIntoBitmap(image, name, sources);
  }),
  reset: onOne(lost, (image, { name }) => resetBitmap(image, name)),
  'keep as it is': (image) => (image.bitmaps.some(clean) ? keepBitmaps(image) : undefined),
};
