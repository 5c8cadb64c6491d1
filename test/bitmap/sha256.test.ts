import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { granulesIn } from '../../src/bitmap/granularity.js';
import { bitmapSha256, hashWords } from '../../src/bitmap/sha256.js';
import { NaiveBitmap } from './naive-bitmap.js';
import { QEMU_BITMAPS } from './qemu-bitmaps.js';

describe('bitmaps of a real QEMU', () => {
  test.each(QEMU_BITMAPS)('$name: same sha256, count and extents', ({ size, granularity, count, sha256, extents }) => {
    const bitmap = new Bitmap(granularity, { size });
    bitmap.setExtents(extents);
    expect(bitmapSha256(bitmap, granulesIn(size, granularity))).toBe(sha256);
    expect(bitmap.count()).toBe(count);
    expect([...bitmap.extents({ clip: false })]).toEqual(extents);
  });
});

/** SHA-256 by Node, over bytes that are made bit by bit. */
function naiveSha256(naive: NaiveBitmap, granules: number): string {
  naive.clearBits(granules, Number.POSITIVE_INFINITY);
  const bytes = naive.bytes(0, Math.max(1, Math.ceil(granules / 64)) * 8);
  return createHash('sha256').update(bytes).digest('hex');
}

describe('any bitmap', () => {
  test('hashes as its naive bytes do, also past what is stored and short of it', () => {
    const bit = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 1_100_000 }));
    const granules = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 1_200_000 }));
    fc.assert(
      fc.property(fc.array(bit, { maxLength: 20 }), granules, (bits, end) => {
        const bitmap = new Bitmap(512);
        const naive = new NaiveBitmap(512);
        for (const each of bits) {
          bitmap.set(each * 512);
          naive.set(each * 512, 1);
        }
        expect(bitmapSha256(bitmap, end)).toBe(naiveSha256(naive, end));
      }),
      { numRuns: 60 },
    );
  });

  test('feeds another hash the same bytes, which are the words filled up with zeroes', () => {
    const bitmap = new Bitmap(512);
    bitmap.set(0, 512 * 600_000);
    const pieces: Uint8Array[] = [];
    hashWords(bitmap, 599_999, { update: (bytes) => pieces.push(bytes.slice()) });
    const bytes = Buffer.concat(pieces);
    expect(bytes.length).toBe(75_000);
    expect(bytes.subarray(0, 74_999).every((byte) => byte === 0xff)).toBe(true);
    expect(bytes[74_999]).toBe(0x7f);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(bitmapSha256(bitmap, 599_999));
    expect(bitmap.dirtyGranules()).toBe(600_000);
  });
});
