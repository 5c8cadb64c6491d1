import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSafeU64, joinU64, readU16, readU32, readU64, u64Text } from '../../src/bytes/u64.js';
import { hex, join, u16, u32, u64 } from '../support/stream-builder.js';
import { errorOf } from './error-of.js';

const MAX = (1n << 64n) - 1n;

describe('big-endian numbers', () => {
  it('are read as BigInt has them', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MAX }), (value) => {
        const bytes = join(0xee, u64(value));
        const [high, low] = [readU32(bytes, 1), readU32(bytes, 5)];
        expect(high).toBe(Number(value >> 32n));
        expect(low).toBe(Number(value & 0xffff_ffffn));
        expect(readU16(bytes, 1)).toBe(Number(value >> 48n));
        expect(u64Text(high, low)).toBe(value.toString());
        expect(isSafeU64(high)).toBe(value <= BigInt(Number.MAX_SAFE_INTEGER));
        if (isSafeU64(high)) expect(BigInt(joinU64(high, low))).toBe(value);
      }),
    );
  });

  it('are unsigned in both halves', () => {
    expect(readU16(u16(0xffff), 0)).toBe(65_535);
    expect(readU32(u32(0xffff_ffff), 0)).toBe(4_294_967_295);
    expect(readU64(u64(0xffff_ffffn), 0, 0, 'x')).toBe(4_294_967_295);
    expect(readU64(u64(0x8000_0000_8000_0000n >> 11n), 0, 0, 'x')).toBe(Number(0x8000_0000_8000_0000n >> 11n));
  });

  it('are exact up to 2^53-1', () => {
    expect(readU64(hex('001fffffffffffff'), 0, 0, 'x')).toBe(Number.MAX_SAFE_INTEGER);
  });

  it.each([
    ['0020000000000000', '9007199254740992'],
    ['0020000000000001', '9007199254740993'],
    ['8000000000000000', '9223372036854775808'],
    ['ffffffffffffffff', '18446744073709551615'],
  ])('are refused above that: %s, with the exact value in the message', (bytes, text) => {
    const error = errorOf(() => readU64(join(0, hex(bytes)), 1, 77, 'section[1].size'));
    expect(error.code).toBe('u64-too-large');
    expect(error.offset).toBe(77);
    expect(error.path).toBe('section[1].size');
    expect(error.message).toContain('section[1].size: expected at most 2^53-1');
    expect(error.message).toContain(`found ${text}`);
  });
});
