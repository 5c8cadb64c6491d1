import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkHeads } from '../../src/msgpack/check-heads.js';
import { errorOf, resultOf } from '../set/arbitrary.js';

const ENOUGH = { maxNumbers: 100_000, maxObjects: 100_000, maxDepth: 20 };

describe('checkHeads', () => {
  const value = fc.oneof(
    fc.object({ withDate: true, withTypedArray: true, maxDepth: 3 }),
    fc.bigInt({ min: 0n, max: 2n ** 53n }),
    fc.string({ maxLength: 300, size: 'max' }),
    fc.array(fc.double(), { maxLength: 100, size: 'max' }),
  );

  it('finds the end of any value where the decoder finds it', () => {
    fc.assert(
      fc.property(value, fc.nat(), (item, at) => {
        const bytes = encode(item, { useBigInt64: typeof item === 'bigint' });
        const result = resultOf(() => checkHeads(bytes, ENOUGH));
        // Numbers below -2^31 are the other thing that it looks at.
        if (result instanceof Error && result.message.includes('found another')) return;
        expect(result).toBeUndefined();
        const cut = bytes.slice(0, at % bytes.length);
        expect(errorOf(() => checkHeads(cut, ENOUGH)).code).toBe('set-invalid');
        expect(errorOf(() => checkHeads(Uint8Array.of(...bytes, 0), ENOUGH)).offset).toBe(bytes.length);
      }),
    );
  });

  it('takes all bytes that the decoder takes', () => {
    const byte = fc.oneof(fc.nat({ max: 255 }), fc.integer({ min: 0xc0, max: 0xdf }), fc.nat({ max: 4 }));
    fc.assert(
      fc.property(fc.array(byte, { minLength: 1, maxLength: 40 }), (all) => {
        const bytes = Uint8Array.from(all);
        let taken = true;
        try {
          decode(bytes, { mapKeyConverter: String });
        } catch {
          taken = false;
        }
        // Large numbers are the other thing that it looks at.
        if (taken && !all.some((head) => head === 0xcf || head === 0xd3))
          expect(resultOf(() => checkHeads(bytes, ENOUGH))).toBeUndefined();
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['an array', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a map', [0xdf, 0x7f, 0xff, 0xff, 0xff]],
    ['a binary', [0xc6, 0xff, 0xff, 0xff, 0xff]],
    ['a text', [0xdb, 0xff, 0xff, 0xff, 0xff]],
    ['an extension', [0xc9, 0xff, 0xff, 0xff, 0xff]],
    ['arrays in arrays', Array.from({ length: 40 }, () => [0xdd, 0x00, 0x00, 0x00, 0xff]).flat()],
    ['nothing', []],
  ])('refuses %s that is not there, before it is decoded', (_, bytes) => {
    const error = errorOf(() => checkHeads(Uint8Array.from(bytes), ENOUGH));
    expect(error.code).toBe('set-invalid');
    expect(error.message).toMatch(/expected a whole value, found the end of the document in it/);
  });

  it('refuses 64-bit numbers that a decoder would round, and negative ones', () => {
    const check = (value: bigint) => () => checkHeads(encode(value, { useBigInt64: true }), ENOUGH);
    for (const value of [0n, 2n ** 53n - 1n, 2n ** 53n]) check(value)();
    for (const value of [2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, -1n, -(2n ** 63n)]) {
      const error = errorOf(check(value));
      expect(error).toMatchObject({ code: 'set-invalid', offset: 0 });
      expect(error.message).toMatch(/a whole number from 0 to 2\^53, found another/);
    }
  });

  it('counts numbers, objects and levels', () => {
    const check = (item: unknown, limits: object) => () => checkHeads(encode(item), { ...ENOUGH, ...limits });
    check([1, null, true], { maxNumbers: 3, maxObjects: 1, maxDepth: 2 })();
    expect(errorOf(check([1, null, true], { maxNumbers: 2 }))).toMatchObject({ code: 'limit', offset: 3 });
    expect(errorOf(check([[], {}, '', new Uint8Array(1)], { maxObjects: 4 }))).toMatchObject({
      code: 'limit',
      offset: 4,
    });
    expect(errorOf(check([[1]], { maxDepth: 2 }))).toMatchObject({ code: 'set-invalid', offset: 1 });
    const deep = new Uint8Array(1_000_000).fill(0x91);
    expect(errorOf(() => checkHeads(deep, ENOUGH)).message).toMatch(/at most 20 levels/);
  });
});
