import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { cellLength, densityOf, dirtyBytes, percentText } from '../../src/report/density.js';
import { extentHistogram } from '../../src/report/extent-histogram.js';
import { anyBitmap } from './any-bitmap.js';

describe('the density of a bitmap', () => {
  it('is what counting granule by granule gives', () => {
    fc.assert(
      fc.property(anyBitmap(), fc.integer({ min: 1, max: 300 }), ({ bits, size }, maxCells) => {
        const density = densityOf(bits, size, maxCells);
        const cells = density.dirty.map(() => 0);
        for (const [offset, length] of bits.extents()) {
          for (let at = offset; at < Math.min(size, offset + length); at += bits.granularity) {
            const cell = Math.floor(at / density.cellBytes);
            cells[cell] = (cells[cell] ?? 0) + Math.min(bits.granularity, size - at);
          }
        }
        expect(density.dirty).toEqual(cells);
        expect(density.dirty.length).toBeLessThanOrEqual(maxCells);
        expect(Math.log2(density.cellBytes / bits.granularity) % 1).toBe(0);
        const covered = density.dirty.reduce((sum, _, cell) => sum + cellLength(density, cell), 0);
        expect(covered).toBe(size);
      }),
    );
  });

  it('takes the finest cells that fit', () => {
    const bits = new Bitmap(512, { size: 512 * 100 });
    expect(densityOf(bits, 512 * 100, 100).cellBytes).toBe(512);
    expect(densityOf(bits, 512 * 100, 99).cellBytes).toBe(1024);
  });

  it('counts no bit behind the end, and of the last granule what lies before it', () => {
    const bits = new Bitmap(4096);
    bits.set(0, 8 * 4096);
    expect(densityOf(bits, 2 * 4096 + 100, 10).dirty).toEqual([4096, 4096, 100]);
  });

  it('of a disk without bytes has no cells', () => {
    expect(densityOf(new Bitmap(512, { size: 0 }), 0, 10).dirty).toEqual([]);
  });

  it('of 2^28 granules takes a moment, whatever is dirty', () => {
    const size = 2 ** 44;
    const bits = new Bitmap(65536, { size });
    const piece = new Uint8Array(2 ** 20).fill(0x55);
    for (let at = 0; at < 2 ** 25; at += piece.length) bits.writeBytes(at, piece);
    const density = densityOf(bits, size, 2048);
    expect(dirtyBytes(density)).toBe(size / 2);
    expect(extentHistogram(bits, size)).toMatchObject({ extents: 2 ** 27, longest: 65536 });
  }, 20_000);
});

describe('the histogram of extents', () => {
  it('is what the extents give', () => {
    fc.assert(
      fc.property(anyBitmap(), ({ bits, size }) => {
        const { extents, longest, buckets } = extentHistogram(bits, size);
        const lengths = [...bits.extents()]
          .filter(([offset]) => offset < size)
          .map(([offset, length]) => Math.min(length, size - offset));
        expect(extents).toBe(lengths.length);
        expect(longest).toBe(Math.max(0, ...lengths));
        for (const { from, extents: count, bytes } of buckets) {
          const there = lengths.filter((length) => length >= from && length < 2 * from);
          expect([count, bytes]).toEqual([there.length, there.reduce((sum, length) => sum + length, 0)]);
        }
        expect(buckets.reduce((sum, bucket) => sum + bucket.extents, 0)).toBe(lengths.length);
        expect(buckets[0]?.extents).not.toBe(0);
      }),
    );
  });

  it('joins what goes on over words and pages', () => {
    const bits = new Bitmap(512);
    bits.set(31 * 512, 512 * 9000);
    expect(extentHistogram(bits, 2 ** 30)).toMatchObject({ extents: 1, longest: 9000 * 512 });
  });
});

describe('percent for people', () => {
  it('says nothing and all only where that is so', () => {
    expect([0, 1, 500, 5000, 99_999, 100_000].map((part) => percentText(part, 100_000))).toEqual([
      ...['0 %', '<0.01 %', '0.50 %', '5.00 %', '>99.99 %', '100 %'],
    ]);
  });
});
