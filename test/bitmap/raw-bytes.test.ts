import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { codeOf } from '../support/chunks.js';

/** Bytes of which stretches are zero, as in real bitmaps. */
const stretches: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc
      .tuple(fc.integer({ min: 0, max: 1500 }), fc.constantFrom(0, 0, 1, 0x80, 0xff))
      .map(([length, byte]) => ({ length, byte })),
    { maxLength: 8 },
  )
  .map((list) => Uint8Array.from(list.flatMap(({ length, byte }) => new Array<number>(length).fill(byte))));

function read(bitmap: Bitmap, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(0xaa);
  bitmap.readBytes(at, bytes);
  return bytes;
}

describe('raw bytes', () => {
  test('in pieces of any split are the same as in one', () => {
    fc.assert(
      fc.property(stretches, fc.integer({ min: 0, max: 3000 }), fc.array(fc.nat(2000)), (bytes, at, cuts) => {
        const whole = new Bitmap(512);
        whole.writeBytes(at, bytes);
        const parts = new Bitmap(512);
        // Each piece inside a larger buffer, at another alignment, with garbage on both sides.
        for (let start = 0, i = 0; start < bytes.length; i++) {
          const end = Math.min(bytes.length, start + 1 + (cuts[i % Math.max(1, cuts.length)] ?? 700));
          const buffer = new Uint8Array(end - start + 9).fill(0x55);
          buffer.set(bytes.subarray(start, end), i % 8);
          parts.writeBytes(at + start, buffer, i % 8, (i % 8) + end - start);
          start = end;
        }
        expect(parts.equals(whole)).toBe(true);
        expect(read(parts, at, bytes.length)).toEqual(bytes);
        expect(parts.dirtyGranules()).toBe(
          bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0),
        );
      }),
      { numRuns: 150 },
    );
  });

  test('replace what is there, in pieces of any split', () => {
    fc.assert(
      fc.property(
        stretches,
        fc.nat(3000),
        fc.integer({ min: 1, max: 1500 }),
        fc.nat(7),
        (bytes, at, length, before) => {
          const bitmap = new Bitmap(512);
          bitmap.set(0, 20 * 8192 * 512);
          const buffer = new Uint8Array(bytes.length + 16).fill(0x55);
          buffer.set(bytes, before);
          const piece = buffer.subarray(before);
          for (let start = 0; start < bytes.length; start += length) {
            bitmap.writeBytes(at + start, piece, start, Math.min(bytes.length, start + length));
          }
          const expected = new Uint8Array(20 * 1024).fill(0xff);
          expected.set(bytes, at);
          expect(read(bitmap, 0, expected.length)).toEqual(expected);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('positions that make no sense are refused, with pages there and without', () => {
    const full = new Bitmap(512, { size: 8192 * 512 });
    full.set(0, 8192 * 512);
    const source = new Uint8Array(100);
    for (const bitmap of [full, new Bitmap(512)]) {
      for (const [at, start, end] of [
        [-1, 0, 50],
        [0.5, 0, 50],
        [0, -1, 50],
        [0, 0.5, 50],
        [0, 0, 101],
        [0, 60, 10],
        [Number.NaN, 0, 50],
        [2 ** 53, 0, 50],
      ] as const) {
        expect(codeOf(() => bitmap.writeBytes(at, source, start, end))).toBe('argument');
      }
    }
    expect(full.dirtyGranules()).toBe(8192);
  });

  test('a place before the bitmap is refused, however far the bitmap reaches', () => {
    const far = new Bitmap(512);
    // So many pages that the last one before 2^32 bytes has a place in the same table.
    const pages = new Uint8Array(40 * 2 ** 20).fill(1);
    far.writeBytes(0, pages);
    far.writeBytes(2 ** 32 - 1024, pages, 0, 1024);
    const before = far.dirtyGranules();
    expect(codeOf(() => far.writeBytes(-64, new Uint8Array(64).fill(255)))).toBe('argument');
    expect(far.dirtyGranules()).toBe(before);
  });

  test('replace what is there, zeroes too', () => {
    const bitmap = new Bitmap(512);
    bitmap.set(0, 5 * 8192 * 512);
    bitmap.writeBytes(100, new Uint8Array(3000));
    expect(bitmap.dirtyGranules()).toBe((5 * 1024 - 3000) * 8);
    expect(bitmap.anyBits(800, 800 + 24_000)).toBe(false);
    expect([bitmap.get(799 * 512), bitmap.get((800 + 24_000) * 512)]).toEqual([true, true]);
  });

  test('are read across absent pages, without touching what is around', () => {
    const bitmap = new Bitmap(512);
    bitmap.writeBytes(10 * 1024, Uint8Array.of(1, 2, 3));
    const target = new Uint8Array(30_000).fill(9);
    bitmap.readBytes(5, target, 2, 29_000);
    const expected = new Uint8Array(30_000).fill(9);
    expected.fill(0, 2, 29_000);
    expected.set([1, 2, 3], 10 * 1024 - 5 + 2);
    expect(target).toEqual(expected);
  });

  test('of a Buffer in a pool are read from where it lies', () => {
    const bytes = Buffer.from('the quick brown fox jumps over the lazy dog, twice over, and over');
    const bitmap = new Bitmap(512);
    bitmap.writeBytes(7, bytes);
    expect(Buffer.from(read(bitmap, 7, bytes.length)).toString()).toBe(bytes.toString());
  });

  test('bits past the end of the disk stay until they are cleared, and are no extent', () => {
    const bitmap = new Bitmap(512, { size: 10 * 512 });
    bitmap.writeBytes(0, Uint8Array.of(0, 0xfe));
    expect(bitmap.anyBits(10, 64)).toBe(true);
    expect([...bitmap.extents()]).toEqual([[9 * 512, 512]]);
    expect(bitmap.nextDirty(10 * 512)).toBe(-1);
    expect(bitmap.dirtyGranules()).toBe(7);
    bitmap.clearBits(10, 64);
    expect([bitmap.anyBits(10, 64), bitmap.dirtyGranules()]).toEqual([false, 1]);
  });

  test('cleared give pages up that lie inside wholly', () => {
    const bitmap = new Bitmap(512);
    bitmap.set(0, 4 * 8192 * 512);
    bitmap.zeroBytes(1000, 2 * 1024);
    expect([bitmap.nextUsedPage(0), bitmap.nextUsedPage(1), bitmap.nextUsedPage(3)]).toEqual([0, 2, 3]);
    expect([bitmap.pageIsZero(0), bitmap.pageIsZero(1), bitmap.pageIsZero(2)]).toEqual([false, true, false]);
    expect(bitmap.dirtyGranules()).toBe(4 * 8192 - 2 * 8192);
  });
});
