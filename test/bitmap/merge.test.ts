import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { NaiveBitmap } from './naive-bitmap.js';
import { expectSameList } from './operations.js';

const SIZE = 12 * 8192 * 512 - 777;

type Ranges = readonly (readonly [offset: number, length: number])[];

const ranges: fc.Arbitrary<Ranges> = fc.array(
  fc
    .tuple(
      fc.integer({ min: 0, max: SIZE - 1 }),
      fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 1, max: SIZE >> 2 })),
    )
    .map(([offset, length]) => [offset, Math.min(length, SIZE - offset)] as const),
  { maxLength: 8 },
);
const granularity = fc.constantFrom(512, 1024, 4096, 65_536, 2 ** 20, 2 ** 31);

function both(gran: number, list: Ranges, size?: number): [Bitmap, NaiveBitmap] {
  const bitmap = new Bitmap(gran, { size });
  const naive = new NaiveBitmap(gran, size);
  for (const [offset, length] of list) {
    bitmap.set(offset, length);
    naive.set(offset, length);
  }
  return [bitmap, naive];
}

function expectExtents(bitmap: Bitmap, naive: NaiveBitmap): void {
  expectSameList([...bitmap.extents()].flat(), naive.extents().flat());
  expect(bitmap.count()).toBe(naive.bits.size * naive.granularity);
}

describe('or', () => {
  test('of any granularities is dirty where either is', () => {
    fc.assert(
      fc.property(granularity, ranges, granularity, ranges, fc.boolean(), (to, some, from, others, sized) => {
        const size = sized ? SIZE : undefined;
        const [bitmap, naive] = both(to, some, size);
        const [other, naiveOther] = both(from, others, size);
        const before = other.clone();
        bitmap.or(other);
        for (const [offset, length] of naiveOther.extents()) naive.set(offset, length);
        expectExtents(bitmap, naive);
        expect(other.equals(before)).toBe(true);
      }),
      { numRuns: 80 },
    );
  });

  test('of long runs and of runs that lie differently in memory', () => {
    const first = new Bitmap(512);
    for (let page = 99; page >= 0; page--) first.set(page * 8192 * 512, 512);
    const second = new Bitmap(512);
    second.set(512, 100 * 8192 * 512);
    const third = second.clone();
    second.or(first);
    expect(second.dirtyGranules()).toBe(100 * 8192 + 1);
    first.or(third);
    expect(first.equals(second)).toBe(true);
  });

  test('with itself changes nothing, with an empty one neither', () => {
    const [bitmap] = both(512, [[0, 5000]]);
    const memory = bitmap.allocatedBytes;
    bitmap.or(bitmap);
    const zeroes = new Bitmap(512);
    zeroes.set(2 ** 30, 4096);
    zeroes.writeBytes(0, new Uint8Array(2 ** 19).fill(1));
    zeroes.writeBytes(0, new Uint8Array(2 ** 19));
    expect(zeroes.nextUsedPage(0)).toBe(0);
    bitmap.or(zeroes);
    expect([bitmap.count(), bitmap.allocatedBytes]).toEqual([5120, memory]);
  });

  test('refuses disks of different sizes, and what lies past the end', () => {
    const sized = new Bitmap(512, { size: 5120 });
    expect(() => sized.or(new Bitmap(512, { size: 5121 }))).toThrow(/same disk only, found one of 5121 bytes/);
    const [free] = both(1024, [[5120, 1]]);
    expect(() => sized.or(free)).toThrow(/dirty past its end/);
    free.clearAll();
    free.set(4096, 1024);
    sized.or(free);
    expect([...sized.extents()]).toEqual([[4096, 1024]]);
  });
});

describe('a copy of another granularity', () => {
  test('is what the extents make of it', () => {
    fc.assert(
      fc.property(granularity, granularity, ranges, fc.boolean(), (from, to, list, sized) => {
        const [bitmap, naive] = both(from, list, sized ? SIZE : undefined);
        const expected = new NaiveBitmap(to, naive.size);
        // A granule of 2 GiB is 4 million of 512 bytes; one per range will do.
        fc.pre(from / to < 2 ** 12 || (sized && list.length > 0));
        for (const [offset, length] of naive.extents()) expected.set(offset, length);
        const copy = bitmap.withGranularity(to);
        expect([copy.granularity, copy.size]).toEqual([to, bitmap.size]);
        expectExtents(copy, expected);
      }),
      { numRuns: 80 },
    );
  });

  test('of the same one is a copy that lives on its own', () => {
    const [bitmap] = both(512, [[0, 5000]], SIZE);
    const copy = bitmap.clone();
    expect([copy.equals(bitmap), copy.size]).toEqual([true, SIZE]);
    copy.set(8192);
    expect([copy.equals(bitmap), bitmap.get(8192)]).toEqual([false, false]);
  });
});

describe('equals', () => {
  test('sees one bit, and takes pages that are zero for absent ones', () => {
    const bit = fc.constantFrom(0, 31, 32, 8191, 8192, 8192 * 1024, 8192 * 1024 - 1, 2 ** 40);
    fc.assert(
      fc.property(fc.array(bit), bit, (bits, one) => {
        const first = new Bitmap(512);
        const second = new Bitmap(512);
        for (const each of bits) first.set(each * 512);
        for (const each of bits.toReversed()) second.set(each * 512);
        second.set(5 * 8192 * 512);
        second.clear(5 * 8192 * 512, 512);
        expect(first.equals(second) && second.equals(first)).toBe(true);
        if (second.get(one * 512)) second.clear(one * 512, 512);
        else second.set(one * 512);
        expect(first.equals(second) || second.equals(first)).toBe(false);
      }),
    );
  });

  test('asks for the same granularity, not for the same size', () => {
    expect(new Bitmap(512).equals(new Bitmap(1024))).toBe(false);
    expect(new Bitmap(512, { size: 5 }).equals(new Bitmap(512))).toBe(true);
  });
});
