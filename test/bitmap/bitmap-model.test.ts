import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { NaiveBitmap } from './naive-bitmap.js';
import { apply, expectSame, operations } from './operations.js';

const PAGE = 8192;

describe('a bitmap does what a set of granule numbers does', () => {
  test('on a small disk, with the window that many single granules open', () => {
    const places = [0, 64, PAGE, 2 * PAGE, 11 * PAGE, 12 * PAGE - 3];
    fc.assert(
      fc.property(operations(places, 3 * PAGE), fc.boolean(), (list, sized) => {
        const size = sized ? (12 * PAGE - 5) * 4096 + 17 : undefined;
        const bitmap = new Bitmap(4096, { size });
        const naive = new NaiveBitmap(4096, size);
        for (const operation of list) apply(operation, bitmap, naive);
        expectSame(bitmap, naive, places);
      }),
      { numRuns: 100 },
    );
  });

  test('on a huge disk: table, block and 32-bit boundaries, and pages far apart', () => {
    const places = [0, 4 * PAGE, 1024 * PAGE, 1280 * PAGE, 2 ** 31, 2 ** 32, 2 ** 37, 2 ** 41, 2 ** 44 - 5000];
    fc.assert(
      fc.property(operations(places, 2 * PAGE), (list) => {
        const bitmap = new Bitmap(512);
        const naive = new NaiveBitmap(512);
        for (const operation of list) apply(operation, bitmap, naive);
        expectSame(bitmap, naive, places);
      }),
      { numRuns: 100 },
    );
  });

  test('when pages come in any order and go again', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 6000 }), { minLength: 20, maxLength: 400 }), (pages) => {
        const bitmap = new Bitmap(512);
        const naive = new NaiveBitmap(512);
        for (const [index, page] of pages.entries()) {
          if (index % 5 === 4) apply({ do: 'clearBits', bit: page * PAGE, bits: 3 * PAGE }, bitmap, naive);
          else apply({ do: 'set', bit: page * PAGE + (index % PAGE), bits: 1, inside: 0, less: 0 }, bitmap, naive);
        }
        expectSame(
          bitmap,
          naive,
          pages.slice(0, 3).map((page) => page * PAGE),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('the window for single granules', () => {
  const size = 64 * PAGE * 512;
  const some = Array.from({ length: 4000 }, (_, i) => ((i * 7919) % (24 * PAGE)) * 512);

  test.each(['set', 'setEach'] as const)('opens after many calls of %s, and all pages are one array then', (how) => {
    const bitmap = new Bitmap(512, { size });
    const naive = new NaiveBitmap(512, size);
    if (how === 'setEach') bitmap.setEach(some);
    else for (const offset of some) bitmap.set(offset);
    for (const offset of some) naive.set(offset, 1);
    expect(bitmap.allocatedBytes).toBeGreaterThanOrEqual(64 * 1024);
    expectSame(bitmap, naive, [0, PAGE, 24 * PAGE]);
  });

  test('stays right when pages are cleared in it and the disk grows and shrinks', () => {
    const bitmap = new Bitmap(512, { size });
    bitmap.setEach(some);
    bitmap.clear(0, 2 * PAGE * 512);
    expect(bitmap.nextUsedPage(0)).toBe(2);
    bitmap.set(5 * 512);
    expect([...bitmap.extents()][0]).toEqual([5 * 512, 512]);
    bitmap.resize(10 * PAGE * 512);
    expect(() => bitmap.set(10 * PAGE * 512)).toThrow(/past the last granule/);
    bitmap.resize(2 * size);
    expect(bitmap.get(11 * PAGE * 512)).toBe(false);
    const before = bitmap.dirtyGranules();
    bitmap.setEach(Array.from({ length: 5000 }, (_, i) => (100 * PAGE + i) * 512));
    expect(bitmap.dirtyGranules()).toBe(before + 5000);
    expect([...bitmap.extents()].at(-1)).toEqual([100 * PAGE * 512, 5000 * 512]);
  });

  test('ends with a disk that shrinks within its last page', () => {
    const bitmap = new Bitmap(512, { size });
    bitmap.setEach(some);
    bitmap.resize(size - 10 * 512);
    bitmap.set(size - 11 * 512);
    expect(() => bitmap.set(size - 10 * 512)).toThrow(/past the last granule/);
    expect(bitmap.nextDirty(size - 20 * 512)).toBe(size - 11 * 512);
  });

  test('does not lose raw bytes past the end of the disk', () => {
    const bitmap = new Bitmap(512, { size });
    bitmap.writeBytes(70 * 1024, Uint8Array.of(0xff));
    bitmap.setEach(some);
    expect(bitmap.anyBits(70 * PAGE, 70 * PAGE + 8)).toBe(true);
    expect(bitmap.dirtyGranules()).toBe(new Set(some).size + 8);
  });

  test('is not opened where memory does not hold both copies', () => {
    const memory = { used: 0, max: 90 * 1024 };
    const bitmap = new Bitmap(512, { size, memory });
    bitmap.setEach(some);
    expect(bitmap.dirtyGranules()).toBe(new Set(some).size);
    expect(memory.used).toBeLessThan(64 * 1024);
  });

  test('is not opened for granules far apart', () => {
    const bitmap = new Bitmap(512, { size: 2 ** 40 });
    for (let i = 0; i < 3000; i++) bitmap.set((i % 30) * 2 ** 32);
    expect(bitmap.allocatedBytes).toBeLessThan(100 * 1024);
    expect(bitmap.dirtyGranules()).toBe(30);
  });
});
