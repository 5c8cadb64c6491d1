import { asSpeed, assertSame, asTime, type Case, type Context, type Goal, type Measured } from '../case.js';
import { BYTES, bitmapOf, bytesOf, CHUNKS, GiB, KiB, type Kind, MiB } from '../data/bitmaps.js';
import { randomBits } from '../data/random.js';
import { assertAsQemu, collect, encoderOf, lengthOf } from '../data/streams.js';
import { loadCore } from '../library.js';
import { averaged, type Contestant, compare, timed } from '../measure.js';

const GROUP = 'encode';
/**
 * How often in a row what takes a tenth of a millisecond is done, and the memcpy with it: after a memcpy of 64 MB no line
 * of its code or window is left in the cache, and once would measure that.
 */
const SHORT_TIMES = 16;
const PiB = 1024 * 1024 * GiB;

/**
 * One memcpy of a bitmap, from memory to memory that is there: what was never written to is one page of zeroes to the
 * kernel, however large, and that is read from the first cache.
 */
export function memcpy(bytes: Uint8Array, times = 1): Contestant {
  const source = new Uint8Array(bytes.length).fill(1);
  source.set(bytes);
  const target = new Uint8Array(bytes.length).fill(1);
  return { name: 'memcpy', round: averaged(() => target.set(source), times) };
}

async function encode(context: Context, kind: Kind, times: number): Promise<Measured> {
  const bytes = bytesOf(kind);
  return race(context, bytes, await bitmapOf(context.dist, bytes), times);
}

async function race(
  context: Context,
  bytes: Uint8Array,
  bits: Awaited<ReturnType<typeof bitmapOf>>,
  times = 1,
): Promise<Measured> {
  const window = new Uint8Array(MiB);
  const work = await encoderOf(context.dist, bits, 'qemu');
  assertAsQemu(collect(work, window), bytes);
  const ours = { name: 'Source', round: averaged(() => lengthOf(work, window), times) };
  const comparison = await compare(ours, [memcpy(bytes, times)], context.pace);
  return asSpeed(comparison, { chunks: CHUNKS, bytes: BYTES });
}

function encodeCase(name: string, kind: Kind, goal: Goal, times = 1): Case {
  const often = times > 1 ? `, ${times} times in a row` : '';
  return {
    name,
    group: GROUP,
    title: `encode ${kind}, profile qemu, into a reused window${often}`,
    against: 'memcpy of the bitmap',
    goal,
    run: (context) => encode(context, kind, times),
  };
}

/** Bits that were set one by one, at random, so that the bitmap keeps them in one buffer of its own. */
const encodeOwn: Case = {
  name: 'encode-dense-own',
  group: GROUP,
  title: 'encode dense, the bitmap in one buffer of its own',
  against: 'memcpy of the bitmap',
  goal: { atLeast: 1 },
  run: async (context) => {
    const bytes = bytesOf('dense');
    const bits = await bitmapOf(context.dist, bytes);
    // It looks for a better place only while single bits are set.
    const dirty = Array.from(randomBits(2, 200_000, BYTES * 8)).filter(
      (bit) => ((bytes[bit >>> 3] as number) >>> (bit & 7)) % 2 === 1,
    );
    bits.setEach(dirty.map((bit) => bit * bits.granularity));
    return race(context, bytes, bits);
  },
};

/** An empty disk of any size costs the same. */
const encodeHuge: Case = {
  name: 'encode-8-pib',
  group: GROUP,
  title: 'encode an empty bitmap of 8 PiB, profile compact (time)',
  against: 'an empty one of 1 GiB',
  goal: { atMost: 2 },
  run: async ({ dist, pace }) => {
    const { Bitmap } = await loadCore(dist);
    const times = 1000;
    const window = new Uint8Array(64 * KiB);
    const contestant = async (size: number): Promise<Contestant> => {
      const bits = new Bitmap(64 * KiB, { size });
      const work = await encoderOf(dist, bits, 'compact', size);
      assertSame('bytes', lengthOf(work, window) < 100, true);
      const many = timed(() => {
        for (let time = 0; time < times; time++) lengthOf(work, window);
      });
      return { name: `${size} bytes`, round: many };
    };
    const comparison = await compare(await contestant(8 * PiB), [await contestant(GiB)], pace);
    return { ...asTime(comparison), against: undefined };
  },
};

export const ENCODE: readonly Case[] = [
  encodeCase('encode-dense', 'dense', { atLeast: 0.75 }),
  encodeOwn,
  encodeCase('encode-empty', 'empty', { atLeast: 20 }, SHORT_TIMES),
  encodeCase('encode-268-bits', '268 bits', { atLeast: 10 }, SHORT_TIMES),
  encodeHuge,
];
