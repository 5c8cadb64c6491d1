import { describe, expect, test } from 'vitest';
import {
  assertGranularity,
  granulesIn,
  isGranularity,
  MAX_GRANULARITY,
  MIN_GRANULARITY,
} from '../../src/bitmap/granularity.js';
import { paddedSize, serializedSize } from '../../src/bitmap/serialize.js';

describe('granularity', () => {
  test('is a power of two from 512 bytes to 2 GiB', () => {
    const all = Array.from({ length: 40 }, (_, i) => 2 ** i).filter(isGranularity);
    expect(all).toEqual(Array.from({ length: 23 }, (_, i) => 2 ** (i + 9)));
    expect([MIN_GRANULARITY, MAX_GRANULARITY]).toEqual([512, 2_147_483_648]);
  });

  test.each([0, -512, 256, 513, 768, 1000, 2 ** 32, 512.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (n) => {
    expect(isGranularity(n)).toBe(false);
    expect(() => assertGranularity(n)).toThrow(expect.objectContaining({ code: 'argument' }));
  });

  test.each([
    [0, 512, 0],
    [1, 512, 1],
    [512, 512, 1],
    [513, 512, 2],
    [2 ** 53 - 1, 512, 2 ** 44],
    [2 ** 53 - 512, 512, 2 ** 44 - 1],
    [2 ** 53 - 511, 512, 2 ** 44],
    [2 ** 53, 2 ** 31, 2 ** 22],
  ])('%d bytes at %d are %d granules', (bytes, granularity, granules) => {
    expect(granulesIn(bytes, granularity)).toBe(granules);
  });
});

describe('serialised size', () => {
  // 1600 bits: 100 MiB at 64 KiB; 131 bits: 16641 sectors. Both from dirty-bitmap-states.md, section 2.
  test.each([
    [0, 0, 0],
    [1, 8, 32],
    [64, 8, 32],
    [65, 16, 32],
    [131, 24, 32],
    [256, 32, 32],
    [257, 40, 64],
    [1600, 200, 224],
    [8192, 1024, 1024],
    [2 ** 41, 2 ** 38, 2 ** 38],
  ])('%d granules need %d bytes, %d with padding', (granules, bytes, padded) => {
    expect([serializedSize(granules), paddedSize(granules)]).toEqual([bytes, padded]);
  });
});
