import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { CompactCutter } from '../../src/migration/cut-compact.js';
import type { Profile } from '../../src/migration/cutter.js';
import { Destination } from '../../src/migration/destination.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { Feed } from '../support/chunks.js';
import { sectionBytes } from '../support/reencode.js';

/** Bytes of a BITS chunk without names, beside its data. */
const HEADER = 21;
/** COMPLETE and EOS. */
const TAIL = 2;

/** The END section of a bitmap, which names nothing again, in windows of so many bytes. */
function endOf(bits: Bitmap, size: number, profile: Profile, window?: number): Uint8Array {
  const graph = new MemoryGraph();
  graph.addNode({ name: 'd', size }).create({ name: 'b', granularity: bits.granularity, bits });
  const source = new Source(graph, { profile });
  source.setup();
  sectionBytes(source);
  source.complete();
  return sectionBytes(source, window === undefined ? undefined : new Uint8Array(window));
}

/** What a receiver with QEMU's rules has after a source sent these bits. */
function received(bits: Bitmap, size: number): Bitmap | undefined {
  const from = new MemoryGraph();
  const to = new MemoryGraph();
  from.addNode({ name: 'd', size }).create({ name: 'b', granularity: bits.granularity, bits });
  const there = to.addNode({ name: 'd', size });
  const destination = new Destination(to, { strict: true, holes: 'accept' });
  const feed = new Feed(destination);
  destination.section(1);
  for (const part of new Source(from, { profile: 'compact' }).sections()) feed.pushPart(part.slice());
  expect(destination.end()).toEqual([]);
  return there.find('b')?.bits;
}

/** A bitmap in 64-bit words, and its disk. */
interface Case {
  readonly granularity: number;
  /** Which words hold a bit. */
  readonly used: readonly boolean[];
  /** Bytes of the disk. */
  readonly size: number;
}

/** The fewest bytes of chunks: at each word from the end on, every chunk is tried that the format and a QEMU allow. */
function fewestBytes({ granularity, used, size }: Case): number {
  const unit = (64 * granularity) / 512;
  const sectors = Math.ceil(size / 512);
  const fewest = new Array<number>(used.length + 1).fill(0);
  for (let word = used.length - 1; word >= 0; word--) {
    let best = used[word] === true ? Number.POSITIVE_INFINITY : (fewest[word + 1] as number);
    for (let end = word + 1; end <= used.length; end++) {
      const data = 8 * (end - word);
      const count = Math.min(sectors, end * unit) - word * unit;
      if (data > 10_240 || count >= 2 ** 32) break;
      best = Math.min(best, HEADER + data + (fewest[end] as number));
    }
    fewest[word] = best;
  }
  return fewest[0] as number;
}

/** The bitmap of a case: a bit in each used word, the words in this order; and bits past the end of the disk. */
function bitmapOf({ granularity, used, size }: Case, bitOf: (word: number) => number, backwards: boolean): Bitmap {
  const bits = new Bitmap(granularity);
  const granules = Math.ceil(size / granularity);
  const words = used.flatMap((is, word) => (is ? [word] : []));
  for (const word of backwards ? words.reverse() : words) {
    bits.set(Math.min(granules - 1, word * 64 + bitOf(word)) * granularity);
  }
  bits.set(granules * granularity, 5000 * granularity);
  return bits;
}

/** Used words and words that are not, by turns; the first number is one of used words. */
function usedOf(lengths: readonly number[]): boolean[] {
  return lengths.flatMap((length, at) => new Array<boolean>(length).fill(at % 2 === 0));
}

const turns = (run: fc.Arbitrary<number>, gap: fc.Arbitrary<number>, max: number): fc.Arbitrary<boolean[]> =>
  fc.array(fc.tuple(run, gap), { minLength: 1, maxLength: max }).map((pairs) => usedOf(pairs.flat()));
const shortGap = fc.constantFrom(1, 1, 1, 2, 2, 3, 4);

/** Granularities whose chunks hold 1280, 127 and 15 words, and words that reach those limits. */
const disks = fc.oneof(
  fc.tuple(fc.constantFrom(512, 65_536), turns(fc.integer({ min: 0, max: 5 }), fc.nat(6), 100)),
  fc.tuple(fc.constant(512), turns(fc.constantFrom(1, 2, 400, 1279, 1280, 1281, 2600), shortGap, 4)),
  fc.tuple(fc.constant(512), turns(fc.integer({ min: 1, max: 300 }), fc.constantFrom(1, 1, 1, 2, 2, 150), 20)),
  fc.tuple(fc.constantFrom(2 ** 28, 2 ** 31), turns(fc.integer({ min: 1, max: 40 }), shortGap, 40)),
  fc.tuple(fc.constant(2 ** 31), turns(fc.integer({ min: 1, max: 6 }), fc.constantFrom(1, 2), 60)),
);

/** Disks that end anywhere, and some that end with a page of the bitmap. */
const cases: fc.Arbitrary<Case> = fc
  .tuple(disks, fc.integer({ min: 1, max: 64 }), fc.constantFrom(0, 511, 512), fc.boolean())
  .map(([[granularity, words], lastGranules, missing, whole]) => {
    const used = words.length === 0 ? [true] : words;
    while (whole && used.length % 128 !== 0) used.push(used.length % 3 === 0);
    const size = ((used.length - 1) * 64 + lastGranules) * granularity - (granularity > 512 ? missing : 0);
    return { granularity, used, size };
  });

describe('compact takes the fewest bytes', () => {
  test('that a search through all ways to cut finds, and the receiver has the same bits', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 0, max: 63 }), fc.boolean(), (one, bit, backwards) => {
        const bits = bitmapOf(one, (word) => (bit * (word + 1)) % 64, backwards);
        const end = endOf(bits, one.size, 'compact');
        expect(end.length).toBe(fewestBytes(one) + TAIL);
        expect(endOf(bits, one.size, 'compact', 16_384)).toEqual(end);
        const got = received(bits, one.size);
        bits.clearBits(Math.ceil(one.size / one.granularity), 2 ** 44);
        expect(got?.equals(bits)).toBe(true);
      }),
      { numRuns: 300, seed: 1, endOnFailure: true },
    );
  });

  test('what is left is measured rightly after any chunk', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 1, max: 2000 }), (one, budget) => {
        const graph = new MemoryGraph();
        const bits = bitmapOf(one, () => 63, false);
        graph.addNode({ name: 'd', size: one.size }).create({ name: 'b', granularity: one.granularity, bits });
        const source = new Source(graph, { profile: 'compact' });
        source.setup();
        sectionBytes(source);
        source.switchover();
        let left = source.pendingBytes();
        expect(left).toBe(fewestBytes(one) + TAIL);
        while (source.pending().granules > 0) {
          source.iterate(budget);
          const section = sectionBytes(source).length;
          expect(source.pendingBytes()).toBe(left - (section - 1));
          left -= section - 1;
        }
        expect(left).toBe(TAIL);
      }),
      { numRuns: 100, seed: 1, endOnFailure: true },
    );
  });

  test('a page of many lone words is one chunk for each, however many there are', () => {
    const size = 8192 * 512;
    const bits = new Bitmap(512, { size });
    for (let word = 0; word < 128; word += 4) bits.set(word * 64 * 512);
    expect(endOf(bits, size, 'compact').length).toBe(32 * (HEADER + 8) + TAIL);
    bits.clearAll();
    for (let word = 0; word < 128; word += 3) bits.set(word * 64 * 512);
    expect(endOf(bits, size, 'compact').length).toBe(HEADER + 8 * 127 + TAIL);
  });

  test('every fourth word of 1 MiB of bitmap', () => {
    const words = 2 ** 17;
    const bits = new Bitmap(512, { size: words * 64 * 512 });
    for (let word = 0; word < words; word += 4) bits.set((word * 64 + 63) * 512);
    expect(endOf(bits, words * 64 * 512, 'compact').length).toBe((words / 4) * (HEADER + 8) + TAIL);
  });

  test('a section ends with the chunk that reaches its budget', () => {
    const size = 8192 * 512;
    const graph = new MemoryGraph();
    const { bits } = graph.addNode({ name: 'd', size }).create({ name: 'b', granularity: 512 });
    for (let word = 0; word < 128; word += 4) bits.set(word * 64 * 512);
    const source = new Source(graph, { profile: 'compact' });
    source.setup();
    sectionBytes(source);
    source.switchover();
    for (const [budget, chunks] of [
      [1, 1],
      [2 * 29, 2],
      [4 * 29 + 1, 5],
      [10_000, 24],
    ] as const) {
      source.iterate(budget);
      expect(sectionBytes(source).length).toBe(chunks * (HEADER + 8) + 1);
    }
  });

  test('a dense bitmap is cut at 10240 bytes, and two pages that touch are one chunk', () => {
    const size = 2 ** 24 * 512;
    const bits = new Bitmap(512, { size });
    bits.set(0, size);
    expect(endOf(bits, size, 'compact').length).toBe(205 * HEADER + 2 ** 21 + TAIL);
  });

  test('a long stretch that ends with its page, and pages that are absent behind it', () => {
    const size = 2 ** 24 * 512;
    const bits = new Bitmap(512, { size });
    bits.set(0, 11 * 8192 * 512);
    bits.set(13 * 8192 * 512);
    expect(endOf(bits, size, 'compact').length).toBe(2 * HEADER + 11 * 1024 + HEADER + 8 + TAIL);
  });

  test('a chunk is cut where zeroes are saved, even into more chunks than are needed', () => {
    // Chunks of 15 words: three of them would do, and send all the zeroes.
    const used = usedOf([8, 2, 13, 2, 13, 2, 5]);
    const one = { granularity: 2 ** 31, used, size: used.length * 64 * 2 ** 31 };
    const bits = bitmapOf(one, () => 0, false);
    expect(endOf(bits, one.size, 'compact').length).toBe(4 * HEADER + 8 * 39 + TAIL);
  });
});

test.each([3, 9000])('nothing is left at the end, with %i bits past the end of the disk', (past) => {
  const granules = 8192 - 3;
  const bits = new Bitmap(512);
  bits.set(0);
  bits.set(granules * 512, past * 512);
  const cutter = new CompactCutter({ bits, granularity: 512, granules, sectors: granules });
  expect([cutter.next(), cutter.position, cutter.clone().next()]).toEqual([true, 64, false]);
  expect([cutter.next(), cutter.position, cutter.clone().next()]).toEqual([false, granules, false]);
});

describe('sizes', () => {
  // Another draw gives a little more or less: in the mean of many they are 43.9, 29.3 and 7.86 times smaller.
  test.each([
    [100, 127_762, 2902, 44],
    [1000, 834_682, 28_770, 29],
    [10_000, 2_124_682, 270_763, 7.8],
  ])('%i random bits of 2^24', (count, qemu, compact, times) => {
    const granularity = 65_536;
    const size = 2 ** 24 * granularity;
    const bits = new Bitmap(granularity, { size });
    const dirty = new Set<number>();
    for (let random = 1; dirty.size < count; dirty.add(random >>> 8)) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    }
    for (const bit of dirty) bits.set(bit * granularity);
    expect(endOf(bits, size, 'qemu').length).toBe(qemu);
    expect(endOf(bits, size, 'compact').length).toBe(compact);
    expect(qemu / compact).toBeGreaterThanOrEqual(times);
  });

  test('a clean bitmap of 8 PiB is looked at in no time, and so is one bit at its end', () => {
    const size = 2 ** 53;
    const bits = new Bitmap(65_536, { size });
    expect(endOf(bits, size, 'compact')).toEqual(Uint8Array.of(0x20, 0x01));
    bits.set(size - 1);
    expect(endOf(bits, size, 'compact').length).toBe(HEADER + 8 + TAIL);
  });
});
