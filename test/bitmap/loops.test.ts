import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';

// As in an engine that is not V8: the loops over 32-bit words do all the work.
const engine = vi.hoisted(() => ({ native: true }));
vi.mock(import('../../src/bitmap/quads.js'), async (original) => ({
  ...(await original()),
  quadsAreNative: () => engine.native,
}));

const { Bitmap } = await import('../../src/bitmap/bitmap.js');
const { NaiveBitmap } = await import('./naive-bitmap.js');
const { apply, expectSame, operations } = await import('./operations.js');
const { countQuads, orQuads, quadsAreNative } =
  await vi.importActual<typeof import('../../src/bitmap/quads.js')>('../../src/bitmap/quads.js');
const { countWords, orWords, popcount } = await import('../../src/bitmap/words.js');

function random(words: number, seed: number): Int32Array {
  let state = seed;
  return Int32Array.from({ length: words }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state ^ (state >>> 15);
  });
}

function naiveCount(words: Int32Array): number {
  return words.reduce((sum, word) => sum + (word >>> 0).toString(2).replaceAll('0', '').length, 0);
}

describe('the loops over words', () => {
  test.each([0, 1, -1, 0x7fffffff, -2147483648, 0x12345678])('popcount of %i', (word) => {
    expect(popcount(word)).toBe(naiveCount(Int32Array.of(word)));
  });

  test.each([1, 2, 31, 32, 33, 70])('both count and OR %i pages alike', (pages) => {
    for (const words of [
      random(pages * 256, pages),
      new Int32Array(pages * 256),
      new Int32Array(pages * 256).fill(-1),
    ]) {
      const quads = new BigUint64Array(words.buffer);
      const expected = naiveCount(words);
      expect(countWords(words, 0, words.length)).toBe(expected);
      expect(countQuads(quads, 0, quads.length)).toBe(expected);
      expect(countQuads(quads, 128, quads.length)).toBe(naiveCount(words.subarray(256)));
      const others = random(pages * 256 + 256, pages + 1);
      const byQuads = others.slice();
      orQuads(new BigUint64Array(byQuads.buffer), 128, quads, 0, quads.length);
      const byWords = others.slice();
      orWords(byWords, 256, words, 0, words.length);
      const or = others.map((word, index) => word | (index < 256 ? 0 : (words[index - 256] ?? 0)));
      expect(byQuads).toEqual(or);
      expect(byWords).toEqual(or);
    }
  });

  test('Node is known to have 64-bit words', () => {
    expect(quadsAreNative()).toBe(true);
  });
});

describe.each([true, false])('with 64-bit words: %s', (native) => {
  test('a bitmap does what a set of granule numbers does', () => {
    engine.native = native;
    const places = [0, 8192, 3 * 8192 - 700, 9 * 8192];
    fc.assert(
      fc.property(operations(places, 10 * 8192), (list) => {
        const bitmap = new Bitmap(512);
        const naive = new NaiveBitmap(512);
        for (const operation of list) apply(operation, bitmap, naive);
        expectSame(bitmap, naive, places);
      }),
      { numRuns: 40 },
    );
  });

  test('one bit alone is found and counted wherever it is, and so is one clear bit', () => {
    engine.native = native;
    for (const bit of [0, 7, 31, 32, 63, 64, 511, 512, 1023, 1024, 8191, 8192, 20_000, 30 * 8192 - 1]) {
      const one = new Bitmap(512);
      one.set(0, 30 * 8192 * 512);
      one.writeBytes(0, new Uint8Array(30 * 1024));
      one.set(bit * 512);
      expect([one.nextDirty(0), one.dirtyGranules()]).toEqual([bit * 512, 1]);
      const full = new Bitmap(512, { size: 30 * 8192 * 512 });
      full.set(0, 30 * 8192 * 512);
      full.clear(bit * 512, 512);
      expect([full.nextClean(0), full.dirtyGranules()]).toEqual([bit * 512, 30 * 8192 - 1]);
      one.or(full);
      expect([one.nextClean(0), one.dirtyGranules()]).toEqual([30 * 8192 * 512, 30 * 8192]);
    }
  });
});
