import type { Bitmap } from '../../src/index.js';
import { asSpeed, assertSame, type Case, type Context, type Goal, type Measured } from '../case.js';
import { BITS, BYTES, bitmapOf, bytesOf, DISK, GRANULARITY } from '../data/bitmaps.js';
import { randomBits, randomNumbers } from '../data/random.js';
import { loadCore } from '../library.js';
import { compare, timed } from '../measure.js';
import { memcpy } from './encode.js';

const GROUP = 'bitmap';

function againstMemcpy(
  name: string,
  title: string,
  goal: Goal,
  prepare: (context: Context) => Promise<() => void>,
): Case {
  return {
    name,
    group: GROUP,
    title,
    against: 'memcpy of the bitmap',
    goal,
    run: async (context) => {
      const ours = { name: 'Bitmap', round: timed(await prepare(context)) };
      return asSpeed(await compare(ours, [memcpy(bytesOf('dense'))], context.pace), { bytes: BYTES });
    },
  };
}

async function or({ dist }: Context): Promise<() => void> {
  const bytes = bytesOf('dense');
  const reversed = bytes.toReversed();
  const target = await bitmapOf(dist, bytes);
  const source = await bitmapOf(dist, reversed);
  target.or(source);
  const both = bytes.map((byte, at) => byte | (reversed[at] as number));
  assertSame('OR', target.equals(await bitmapOf(dist, both)), true);
  return () => target.or(source);
}

async function count({ dist }: Context): Promise<() => void> {
  const bytes = bytesOf('dense');
  const bits = await bitmapOf(dist, bytes);
  let expected = 0;
  for (let byte of bytes) for (; byte !== 0; byte &= byte - 1) expected++;
  assertSame('count', bits.dirtyGranules(), expected);
  return () => void bits.dirtyGranules();
}

/** All of it dirty but 1,000 granules: every byte has to be looked at. */
async function extents({ dist }: Context): Promise<() => void> {
  const { Bitmap } = await loadCore(dist);
  const bits = new Bitmap(GRANULARITY, { size: DISK });
  bits.set(0, DISK);
  const clean = randomBits(3, 1000, BITS);
  for (const bit of clean) bits.clear(bit * GRANULARITY, GRANULARITY);
  const walk = (): number => {
    let sum = 0;
    for (const [, length] of bits.extents()) sum += length;
    return sum;
  };
  assertSame('extents', walk(), DISK - clean.length * GRANULARITY);
  return () => void walk();
}

/** Sets a million granules at random, in a bitmap that is there, from offsets in bytes. */
async function randomSets(
  context: Context,
  set: (bits: Bitmap, offsets: readonly number[]) => void,
): Promise<Measured> {
  const { Bitmap } = await loadCore(context.dist);
  const random = randomNumbers(4);
  const offsets = Array.from({ length: 1_000_000 }, () => Math.floor((random() / 2 ** 32) * BITS) * GRANULARITY);
  const bits = new Bitmap(GRANULARITY, { size: DISK });
  const plain = new Uint8Array(BYTES).fill(0);
  const setPlain = (): void => {
    for (let at = 0; at < offsets.length; at++) {
      const bit = (offsets[at] as number) / GRANULARITY;
      plain[bit >>> 3] = (plain[bit >>> 3] as number) | (1 << (bit & 7));
    }
  };
  set(bits, offsets);
  setPlain();
  const ours = new Uint8Array(BYTES);
  bits.readBytes(0, ours);
  assertSame('bits', Buffer.compare(ours, plain), 0);
  const contestant = { name: 'Bitmap', round: timed(() => set(bits, offsets)) };
  const other = { name: 'Uint8Array', round: timed(setPlain) };
  const comparison = await compare(contestant, [other], context.pace);
  const note = `${((comparison.ours * 1e6) / offsets.length).toFixed(1)} ns a set`;
  return { ...asSpeed(comparison), against: undefined, note };
}

function setsCase(name: string, title: string, set: (bits: Bitmap, offsets: readonly number[]) => void): Case {
  const against = 'a plain Uint8Array without summary';
  return { name, group: GROUP, title, against, goal: { atLeast: 0.8 }, run: (context) => randomSets(context, set) };
}

export const BITMAP: readonly Case[] = [
  againstMemcpy('bitmap-or', 'OR of two dense bitmaps', { atLeast: 0.6 }, or),
  againstMemcpy('bitmap-count', 'count of a dense bitmap', { atLeast: 0.4 }, count),
  againstMemcpy('bitmap-extents', 'extents of a bitmap, dirty but for 1,000 granules', { atLeast: 0.5 }, extents),
  setsCase('bitmap-set', '10^6 random single-granule sets by set()', (bits, offsets) => {
    for (let at = 0; at < offsets.length; at++) bits.set(offsets[at] as number);
  }),
  setsCase('bitmap-set-each', '10^6 random single-granule sets by setEach()', (bits, offsets) => bits.setEach(offsets)),
];
