import type { Bitmap, Profile } from '../../src/index.js';
import { asTime, type Case, type Context, type Measured } from '../case.js';
import { KiB, MiB } from '../data/bitmaps.js';
import { randomBits } from '../data/random.js';
import { encoderOf, lengthOf } from '../data/streams.js';
import { loadCore } from '../library.js';
import { type Contestant, compare, timed } from '../measure.js';
import { spreadOf } from '../statistics.js';

const GROUP = 'compact';
/** Bits of the bitmap, of 64 KiB each. */
const BITS = 2 ** 24;
const GRANULARITY = 64 * KiB;
/** How many bitmaps are drawn for a size. */
const DRAWS = 25;

async function randomBitmap(dist: string, seed: number, dirty: number): Promise<Bitmap> {
  const { Bitmap } = await loadCore(dist);
  const bits = new Bitmap(GRANULARITY, { size: BITS * GRANULARITY });
  bits.setEach(randomBits(seed, dirty, BITS).map((bit) => bit * GRANULARITY));
  return bits;
}

/** Bytes of the BITS chunks of a bitmap: what START, COMPLETE and EOS take is the same for both profiles. */
async function chunkBytes(dist: string, bits: Bitmap, profile: Profile): Promise<number> {
  const window = new Uint8Array(MiB);
  const size = BITS * GRANULARITY;
  const { Bitmap } = await loadCore(dist);
  const around = lengthOf(await encoderOf(dist, new Bitmap(GRANULARITY, { size }), 'compact', size), window);
  return lengthOf(await encoderOf(dist, bits, profile, size), window) - around;
}

/** How many times smaller than QEMU's; the draws of random bits differ, so several are told. */
async function sizes({ dist }: Context, dirty: number): Promise<Measured> {
  const ratios: number[] = [];
  for (let seed = 1; seed <= DRAWS; seed++) {
    const bits = await randomBitmap(dist, seed, dirty);
    ratios.push((await chunkBytes(dist, bits, 'qemu')) / (await chunkBytes(dist, bits, 'compact')));
  }
  return { value: spreadOf(ratios) };
}

function sizeCase(dirty: number, atLeast: number): Case {
  return {
    name: `compact-size-${dirty}`,
    group: GROUP,
    title: `compact, 2^24 bits, ${dirty.toLocaleString('en')} random dirty: times smaller`,
    against: "QEMU's stream",
    goal: { atLeast },
    run: (context) => sizes(context, dirty),
  };
}

const compactTime: Case = {
  name: 'compact-time',
  group: GROUP,
  title: 'compact at 100,000 random bits of 2^24 (time)',
  against: 'profile qemu',
  goal: { atMost: 3 },
  run: async ({ dist, pace }) => {
    const bits = await randomBitmap(dist, 1, 100_000);
    const window = new Uint8Array(MiB);
    const contestant = async (profile: Profile): Promise<Contestant> => {
      const encode = await encoderOf(dist, bits, profile, BITS * GRANULARITY);
      return { name: profile, round: timed(() => lengthOf(encode, window)) };
    };
    const comparison = await compare(await contestant('compact'), [await contestant('qemu')], pace);
    const amount = { chunks: BITS / 8 / KiB, bytes: BITS / 8 };
    return { ...asTime(comparison, amount), against: undefined };
  },
};

export const COMPACT: readonly Case[] = [sizeCase(100, 44), sizeCase(1000, 29), sizeCase(10_000, 7.8), compactTime];
