import fc from 'fast-check';
import { expect } from 'vitest';
import type { Bitmap } from '../../src/bitmap/bitmap.js';
import type { NaiveBitmap } from './naive-bitmap.js';

/** Something that is done to a bitmap and to its model. */
export type Operation =
  | {
      readonly do: 'set' | 'clear';
      readonly bit: number;
      readonly bits: number;
      readonly inside: number;
      readonly less: number;
    }
  | { readonly do: 'single' | 'each'; readonly bit: number; readonly step: number; readonly times: number }
  | { readonly do: 'write'; readonly bit: number; readonly bytes: Uint8Array }
  | { readonly do: 'zero' | 'clearBits'; readonly bit: number; readonly bits: number };

/** Operations near one of the bits in `places`. */
export function operations(places: readonly number[], maxBits: number): fc.Arbitrary<Operation[]> {
  const bit = fc
    .tuple(fc.constantFrom(...places), fc.integer({ min: -70, max: 70 }))
    .map(([place, delta]) => Math.max(0, place + delta));
  // Nothing at all, too: an empty range is easily taken for one that ends before it begins.
  const bits = fc.oneof(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 0, max: maxBits }), fc.constant(0));
  const inside = fc.constantFrom(0, 0, 1, 100, 511);
  const less = fc.constantFrom(0, 0, 1, 412, 511);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 1, max: 2500 }).map((length) => new Uint8Array(length)),
    fc.integer({ min: 1, max: 2500 }).map((length) => new Uint8Array(length).fill(0xff)),
    fc.integer({ min: 1, max: 2500 }).map((length) => new Uint8Array(length).map((_, i) => (i % 97 === 0 ? i : 0))),
  );
  const step = fc.integer({ min: 1, max: 90 });
  const times = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(1500));
  return fc.array(
    fc.oneof(
      fc.record({ do: fc.constantFrom('set' as const, 'clear' as const), bit, bits, inside, less }),
      fc.record({ do: fc.constantFrom('single' as const, 'each' as const), bit, step, times }),
      fc.record({ do: fc.constant('write' as const), bit, bytes }),
      fc.record({ do: fc.constantFrom('zero' as const, 'clearBits' as const), bit, bits }),
    ),
    { minLength: 1, maxLength: 12 },
  );
}

/** Does it to both. What would go past the end of the disk is cut there, or left out. */
export function apply(operation: Operation, bitmap: Bitmap, naive: NaiveBitmap): void {
  const { granularity } = naive;
  const end = Math.min(naive.end, 2 ** 53 / granularity);
  const { bit } = operation;
  if (bit >= end) return;
  switch (operation.do) {
    case 'set':
    case 'clear': {
      const offset = bit * granularity + operation.inside;
      const length = Math.max(0, Math.min(operation.bits * granularity - operation.less, end * granularity - offset));
      bitmap[operation.do](offset, length);
      naive[operation.do](offset, length);
      return;
    }
    case 'single':
    case 'each': {
      const offsets = Array.from({ length: operation.times }, (_, i) => (bit + i * operation.step) * granularity);
      const inside = offsets.filter((offset) => offset < end * granularity);
      if (operation.do === 'each') bitmap.setEach(Float64Array.from(inside));
      else for (const offset of inside) bitmap.set(offset);
      for (const offset of inside) naive.set(offset, 1);
      return;
    }
    case 'write': {
      const at = Math.floor(bit / 8);
      const bytes = operation.bytes.subarray(
        0,
        Math.min(operation.bytes.length, Math.max(0, Math.floor(end / 8) - at)),
      );
      bitmap.writeBytes(at, bytes);
      naive.writeBytes(at, bytes);
      return;
    }
    case 'zero': {
      const at = Math.floor(bit / 8);
      const length = Math.ceil(operation.bits / 8);
      bitmap.zeroBytes(at, length);
      naive.clearBits(at * 8, (at + length) * 8);
      return;
    }
    case 'clearBits':
      bitmap.clearBits(bit, bit + operation.bits);
      naive.clearBits(bit, bit + operation.bits);
  }
}

/** Everything that can be asked of a bitmap, near the bits in `places`. */
export function expectSame(bitmap: Bitmap, naive: NaiveBitmap, places: readonly number[]): void {
  const { granularity } = naive;
  expect(bitmap.dirtyGranules()).toBe(naive.bits.size);
  expect(bitmap.count()).toBe(naive.bits.size * granularity);
  expect(bitmap.isEmpty()).toBe(naive.bits.size === 0);
  expectSameList([...bitmap.extents()].flat(), naive.extents().flat());
  expectSameList([...bitmap.extents({ clip: false })].flat(), naive.extents(false).flat());
  const called: number[] = [];
  bitmap.forEachExtent((offset, length) => called.push(offset, length));
  expectSameList(called, naive.extents().flat());
  for (const place of places) {
    const bytes = new Uint8Array(40);
    const at = Math.max(0, Math.floor(place / 8) - 20);
    bitmap.readBytes(at, bytes);
    expect(bytes).toEqual(naive.bytes(at, 40));
    for (const bit of [place - 65, place - 1, place, place + 1, place + 64]) {
      if (bit < 0 || bit >= naive.end) continue;
      const offset = bit * granularity + 1;
      expect(bitmap.get(offset)).toBe(naive.bits.has(bit));
      expect(bitmap.nextDirty(offset)).toBe(naive.nextDirty(offset));
      expect(bitmap.nextClean(offset)).toBe(naive.nextClean(offset));
      expect(bitmap.anyBits(bit, bit + 70)).toBe(naive.sorted().some((each) => each >= bit && each < bit + 70));
    }
  }
  expectPages(bitmap, naive);
}

/** As toEqual, which takes its time for thousands of numbers. */
export function expectSameList(found: readonly number[], expected: readonly number[]): void {
  const first = expected.findIndex((value, index) => value !== found[index]);
  expect({ length: found.length, first, value: found[first] }).toEqual({
    length: expected.length,
    first: -1,
    value: undefined,
  });
}

/** Pages that are not listed as used are clean, and those that are not zero hold something. */
function expectPages(bitmap: Bitmap, naive: NaiveBitmap): void {
  const dirty = new Set([...naive.bits].map((bit) => Math.floor(bit / 8192)));
  const used: number[] = [];
  for (let page = bitmap.nextUsedPage(0); page >= 0; page = bitmap.nextUsedPage(page + 1)) used.push(page);
  expectSameList(
    used.filter((page) => !bitmap.pageIsZero(page)),
    [...dirty].sort((a, b) => a - b),
  );
}
