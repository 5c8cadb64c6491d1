import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';

const TiB = 2 ** 40;

function codeOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'no error';
}

describe('ranges in bytes', () => {
  test('setting touches granules, clearing needs all of them', () => {
    const bitmap = new Bitmap(4096, { size: 10_000 });
    bitmap.set(4095, 2);
    expect([...bitmap.extents()]).toEqual([[0, 8192]]);
    bitmap.clear(1, 4095);
    expect([...bitmap.extents()]).toEqual([[0, 8192]]);
    bitmap.clear(0, 8191);
    expect([...bitmap.extents()]).toEqual([[4096, 4096]]);
    bitmap.set(8192);
    expect([...bitmap.extents()]).toEqual([[4096, 5904]]);
    expect([...bitmap.extents({ clip: false })]).toEqual([[4096, 8192]]);
    bitmap.clear(8192, 1808);
    expect([...bitmap.extents()]).toEqual([[4096, 4096]]);
    bitmap.set(0, 0);
    expect(bitmap.count()).toBe(4096);
  });

  test('an extent may reach to the end of the last granule, not further', () => {
    const bitmap = new Bitmap(2 ** 31, { size: 512 });
    bitmap.setExtents([[0, 2 ** 31]]);
    expect([...bitmap.extents()]).toEqual([[0, 512]]);
    expect(bitmap.count()).toBe(2 ** 31);
    expect(codeOf(() => bitmap.set(0, 2 ** 31 + 1))).toBe('argument');
    expect(codeOf(() => bitmap.set(2 ** 31))).toBe('argument');
    expect(bitmap.get(2 ** 33)).toBe(false);
    expect(bitmap.nextClean(0)).toBe(-1);
  });

  test('a disk of no bytes has no granule', () => {
    const bitmap = new Bitmap(65_536, { size: 0 });
    expect([bitmap.count(), bitmap.nextDirty(0), bitmap.nextClean(0), bitmap.isEmpty()]).toEqual([0, -1, -1, true]);
    expect(codeOf(() => bitmap.set(0))).toBe('argument');
  });

  test('the last granule of the largest disk, which ends at 2^53, is a granule like any other', () => {
    const bitmap = new Bitmap(512, { size: 2 ** 53 });
    bitmap.set(2 ** 53 - 1);
    expect(bitmap.get(2 ** 53 - 512)).toBe(true);
    expect([...bitmap.extents()]).toEqual([[2 ** 53 - 512, 512]]);
    expect([bitmap.nextDirty(1), bitmap.nextClean(2 ** 53 - 1)]).toEqual([2 ** 53 - 512, -1]);
    bitmap.clear(0, 2 ** 53);
    expect(bitmap.isEmpty()).toBe(true);
    const coarse = new Bitmap(2 ** 31, { size: 2 ** 53 });
    coarse.set(0, 2 ** 53);
    expect(coarse.count()).toBe(2 ** 53);
  });

  test('the size: growing keeps bits, shrinking clears what is past the end', () => {
    const bitmap = new Bitmap(512);
    expect(bitmap.size).toBeUndefined();
    bitmap.set(0, 100 * 512);
    bitmap.resize(99 * 512 - 1);
    expect([...bitmap.extents({ clip: false })]).toEqual([[0, 99 * 512]]);
    bitmap.resize(200 * 512);
    expect(bitmap.size).toBe(200 * 512);
    expect([...bitmap.extents()]).toEqual([[0, 99 * 512]]);
    bitmap.resize(0);
    expect(bitmap.isEmpty()).toBe(true);
  });

  test.each([
    ['a negative offset', (b: Bitmap) => b.set(-1)],
    ['a fraction', (b: Bitmap) => b.set(0.5, 2)],
    ['no number', (b: Bitmap) => b.setEach([Number.NaN])],
    ['a negative length', (b: Bitmap) => b.set(0, -1)],
    ['an end past 2^53', (b: Bitmap) => b.set(2 ** 53 - 1, 2)],
    ['the same when clearing', (b: Bitmap) => b.clear(2 ** 53 - 1, 2)],
    ['a bad offset to look at', (b: Bitmap) => b.get(-1)],
    ['a bad offset to look from', (b: Bitmap) => b.nextDirty(Number.POSITIVE_INFINITY)],
    ['a bad size', (b: Bitmap) => b.resize(-1)],
    ['a piece past its bytes', (b: Bitmap) => b.writeBytes(0, new Uint8Array(4), 0, 5)],
    ['a piece that ends before it begins', (b: Bitmap) => b.readBytes(0, new Uint8Array(4), 3, 2)],
    ['a piece past the largest bitmap', (b: Bitmap) => b.writeBytes(2 ** 41, new Uint8Array(1))],
    ['bits that are no numbers', (b: Bitmap) => b.clearBits(Number.NaN, 3)],
    ['a granularity that is none', (b: Bitmap) => b.withGranularity(1000)],
  ])('refuses %s', (_, action) => {
    const bitmap = new Bitmap(512);
    expect(codeOf(() => action(bitmap))).toBe('argument');
    expect(bitmap.isEmpty()).toBe(true);
  });
});

describe('memory', () => {
  test('follows what is dirty, not the size of the disk', () => {
    const empty = new Bitmap(65_536, { size: 8192 * TiB });
    expect([empty.count(), empty.nextDirty(0), empty.isEmpty(), empty.allocatedBytes]).toEqual([0, -1, true, 0]);
    const sparse = new Bitmap(65_536, { size: 16 * TiB });
    for (const offset of [0, 7 * TiB, 16 * TiB - 1]) sparse.set(offset);
    expect(sparse.count()).toBe(3 * 65_536);
    expect(sparse.allocatedBytes).toBeGreaterThan(3 * 1024);
    expect(sparse.allocatedBytes).toBeLessThan(12 * 1024);
  });

  test('zeroes that are stored, in parts or not, take none', () => {
    const bitmap = new Bitmap(512);
    bitmap.writeBytes(3, new Uint8Array(100_000));
    for (let at = 0; at < 5000; at += 7) bitmap.writeBytes(at, new Uint8Array(7));
    expect(bitmap.allocatedBytes).toBe(0);
    bitmap.writeBytes(1023, Uint8Array.of(0, 1, 0));
    expect(bitmap.nextUsedPage(0)).toBe(1);
    expect(bitmap.nextUsedPage(2)).toBe(-1);
  });

  test('is used again after clearing, and given back by clearAll', () => {
    const memory = { used: 0, max: 2 ** 20 };
    const bitmap = new Bitmap(512, { memory });
    bitmap.set(0, 64 * 8192 * 512);
    const most = bitmap.allocatedBytes;
    expect(memory.used).toBe(most);
    for (let i = 0; i < 10; i++) {
      bitmap.clear(0, 64 * 8192 * 512);
      expect(bitmap.nextUsedPage(0)).toBe(-1);
      bitmap.set(i * 512, 63 * 8192 * 512);
    }
    expect(bitmap.allocatedBytes).toBe(most);
    bitmap.clearAll();
    expect([memory.used, bitmap.allocatedBytes, bitmap.isEmpty()]).toEqual([0, 0, true]);
    bitmap.set(512);
    expect([...bitmap.extents()]).toEqual([[512, 512]]);
    bitmap.clearAll();
    expect(memory.used).toBe(0);
  });

  test('of the table follows the pages there are, not those there were', () => {
    const bitmap = new Bitmap(512);
    for (let i = 0; i < 1000; i++) {
      bitmap.set(0, 512);
      bitmap.clear(0, 8192 * 512);
    }
    bitmap.set(9000 * 8192 * 512);
    expect(bitmap.allocatedBytes).toBeLessThan(8 * 1024);
  });

  test('that is far apart costs a table each, not the way there', () => {
    const bitmap = new Bitmap(512);
    for (let i = 0; i < 200; i++) bitmap.set(((i * 7919) % 200) * 2 ** 45);
    expect(bitmap.dirtyGranules()).toBe(200);
    expect(bitmap.allocatedBytes / 200).toBeLessThan(29 * 100);
  });

  test('has a limit that bitmaps share and that is checked first', () => {
    const memory = { used: 0, max: 64 * 1024 };
    const first = new Bitmap(512, { memory });
    const second = new Bitmap(512, { memory });
    expect(codeOf(() => first.set(0, 8192 * TiB))).toBe('limit');
    expect(memory.used).toBe(0);
    first.set(0, 30 * 8192 * 512);
    expect(() => second.set(0, 40 * 8192 * 512)).toThrow(/maxBitmapMemory/);
    expect(codeOf(() => second.writeBytes(0, new Uint8Array(60_000).fill(1)))).toBe('limit');
    expect(memory.used).toBeLessThanOrEqual(memory.max);
    second.clearAll();
    expect(codeOf(() => first.withGranularity(2 ** 20))).toBe('no error');
  });

  test('is filled up to the limit, and what was given up counts as free', () => {
    const memory = { used: 0, max: 101 * 1024 };
    const bitmap = new Bitmap(512, { memory });
    const page = 8192 * 512;
    bitmap.set(0, 40 * page);
    bitmap.clear(0, 40 * page);
    expect(codeOf(() => bitmap.set(0, 102 * page))).toBe('limit');
    expect(bitmap.isEmpty()).toBe(true);
    bitmap.set(0, 100 * page);
    expect(bitmap.count()).toBe(100 * page);
    expect(codeOf(() => bitmap.set(200 * page))).toBe('limit');
    expect([bitmap.count(), memory.used <= memory.max]).toEqual([100 * page, true]);
  });

  test('a copy that does not fit leaves none behind', () => {
    const memory = { used: 0, max: 50 * 1024 };
    const bitmap = new Bitmap(4096, { memory });
    bitmap.set(0, 20 * 8192 * 4096);
    const used = memory.used;
    expect(codeOf(() => bitmap.clone())).toBe('limit');
    expect(codeOf(() => bitmap.withGranularity(512))).toBe('limit');
    expect(memory.used).toBe(used);
  });
});
