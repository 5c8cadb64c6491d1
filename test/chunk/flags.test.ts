import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/bytes/byte-writer.js';
import { toHex } from '../../src/bytes/text.js';
import { decodeFlags, type FlagsWidth, shortestWidth, writeFlags } from '../../src/chunk/flags.js';
import { errorOf } from '../bytes/error-of.js';
import { hex, join } from '../support/stream-builder.js';

const WIDTHS = [1, 2, 4] as const;

/** The bits that a field of this width can hold, as wire-format.md lists them. */
const USABLE: Record<FlagsWidth, readonly [number, number][]> = {
  1: [[0, 6]],
  2: [
    [0, 6],
    [8, 14],
  ],
  4: [
    [0, 15],
    [16, 22],
    [24, 30],
  ],
};

function holds(width: FlagsWidth, value: number): boolean {
  for (let bit = 0; bit < 32; bit++) {
    if (Math.floor(value / 2 ** bit) % 2 === 0) continue;
    if (!USABLE[width].some(([low, high]) => bit >= low && bit <= high)) return false;
  }
  return value < 2 ** 32;
}

function written(value: number, width?: FlagsWidth): Uint8Array {
  const out = new ByteWriter();
  writeFlags(out, value, width);
  return out.finish();
}

describe('the flags field', () => {
  it.each([
    ['11', 0x11, 1],
    ['00', 0, 1],
    ['7f', 0x7f, 1],
    ['8011', 0x11, 2],
    ['8000', 0, 2],
    ['8111', 0x111, 2],
    ['ff7f', 0x7f7f, 2],
    ['80800011', 0x11, 4],
    ['80800000', 0, 4],
    ['80800080', 0x80, 4],
    ['8080ff7f', 0xff7f, 4],
    ['8180ffff', 0x100ffff, 4],
    ['80ff0000', 0x7f0000, 4],
    ['ffffffff', 0x7f7fffff, 4],
  ] as const)('%s is the value 0x%x in %d byte(s), both ways', (bytes, value, width) => {
    expect(decodeFlags(hex(bytes))).toEqual({ value, width });
    expect(toHex(written(value, width))).toBe(bytes);
  });

  it('has its markers in the upper half of four bytes, not where the 2017 patch put them', () => {
    expect(toHex(written(0x11, 4))).toBe('80800011');
    // That patch's `flags | 0x8080` reads as one byte, and three more chunks.
    expect(decodeFlags(hex('00008091'))).toEqual({ value: 0, width: 1 });
  });

  it('of one byte reads back, for every value there is', () => {
    for (let value = 0; value < 0x80; value++) {
      expect(decodeFlags(written(value, 1))).toEqual({ value, width: 1 });
    }
  });

  it('of two bytes reads back, for every value there is', () => {
    const wrong: number[] = [];
    for (let value = 0; value < 0x8000; value++) {
      if ((value & 0x80) !== 0) continue;
      const flags = decodeFlags(written(value, 2));
      if (typeof flags === 'number' || flags.value !== value || flags.width !== 2) wrong.push(value);
    }
    expect(wrong).toEqual([]);
  });

  it('reads back in every width that can hold the value, and is refused in every other', () => {
    const sparse = fc
      .uniqueArray(fc.nat(31), { maxLength: 6 })
      .map((bits) => bits.reduce((sum, bit) => sum + 2 ** bit, 0));
    fc.assert(
      fc.property(fc.oneof(fc.nat(0xffff_ffff), sparse), fc.constantFrom(...WIDTHS), (value, width) => {
        if (holds(width, value)) {
          expect(decodeFlags(written(value, width))).toEqual({ value, width });
        } else {
          const error = errorOf(() => written(value, width));
          expect(error.code).toBe('argument');
          expect(error.message).toContain(
            `flags 0x${value.toString(16)}: expected bits that a field of ${width} bytes`,
          );
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is written in the shortest width that can hold the value', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), (value) => {
        const shortest = WIDTHS.find((width) => holds(width, value));
        expect(shortestWidth(value)).toBe(shortest);
        if (shortest !== undefined) expect(decodeFlags(written(value))).toEqual({ value, width: shortest });
      }),
      { numRuns: 2000 },
    );
    expect([0, 0x7f, 0x100, 0x7f7f, 0x80, 0x8000, 0x1_0000].map(shortestWidth)).toEqual([1, 1, 2, 2, 4, 4, 4]);
  });

  it.each([0x80_0000, 0x8000_0000, 2 ** 32, 2 ** 32 + 1, 2 ** 53, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'cannot hold %d in any width',
    (value) => {
      expect(shortestWidth(value)).toBeUndefined();
      expect(errorOf(() => written(value)).code).toBe('argument');
      for (const width of WIDTHS) expect(errorOf(() => written(value, width)).code).toBe('argument');
    },
  );

  it.each([
    ['', 1],
    ['80', 2],
    ['8080', 4],
    ['808000', 4],
  ])('cut to "%s" needs %d byte(s) at least', (bytes, need) => {
    expect(decodeFlags(hex(bytes))).toBe(need);
    expect(decodeFlags(join(0xee, hex(bytes)), 1)).toBe(need);
  });
});
