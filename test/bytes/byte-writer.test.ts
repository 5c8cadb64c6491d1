import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/bytes/byte-writer.js';
import { toHex } from '../../src/bytes/text.js';
import { hex } from '../support/stream-builder.js';
import { errorOf } from './error-of.js';

function written(write: (out: ByteWriter) => void, capacity?: number): string {
  const out = new ByteWriter(capacity);
  write(out);
  return toHex(out.finish());
}

describe('ByteWriter', () => {
  it('writes whole numbers big-endian', () => {
    expect(written((out) => out.u8(0xfe))).toBe('fe');
    expect(written((out) => out.u16(0xfedc))).toBe('fedc');
    expect(written((out) => out.u32(0xfedcba98))).toBe('fedcba98');
    expect(written((out) => out.u64(0x1234_5678_9abc))).toBe('0000123456789abc');
  });

  it('writes the largest number that each field holds', () => {
    expect(written((out) => out.u8(255))).toBe('ff');
    expect(written((out) => out.u16(65_535))).toBe('ffff');
    expect(written((out) => out.u32(2 ** 32 - 1))).toBe('ffffffff');
    expect(written((out) => out.u64(Number.MAX_SAFE_INTEGER))).toBe('001fffffffffffff');
  });

  it.each([
    ['u8', 256],
    ['u16', 65_536],
    ['u32', 2 ** 32],
    ['u64', 2 ** 53],
    ['u8', -1],
    ['u16', 1.5],
    ['u32', Number.NaN],
    ['u64', Number.POSITIVE_INFINITY],
    ['u64', -1],
  ] as const)('refuses a %s of %d, and writes nothing', (field, value) => {
    const out = new ByteWriter();
    const error = errorOf(() => out[field](value));
    expect(error.code).toBe('argument');
    expect(error.message).toMatch(/expected a whole number from 0 to \d+, found/);
    expect(out.length).toBe(0);
  });

  it('writes bytes and counted strings', () => {
    expect(written((out) => out.bytes(hex('010203')))).toBe('010203');
    expect(written((out) => out.str8(hex('6162')))).toBe('026162');
    expect(written((out) => out.str8(new Uint8Array(0)))).toBe('00');
    expect(written((out) => out.str8(new Uint8Array(255))).length).toBe(2 * 256);
  });

  it('refuses a counted string of 256 bytes', () => {
    expect(errorOf(() => new ByteWriter().str8(new Uint8Array(256))).code).toBe('argument');
  });

  it('grows from any capacity, also none', () => {
    for (const capacity of [0, 1, 2, 3, 256]) {
      const text = written((out) => {
        for (let at = 0; at < 300; at++) out.u16(at);
      }, capacity);
      expect(text).toBe(Array.from({ length: 300 }, (_, at) => at.toString(16).padStart(4, '0')).join(''));
    }
  });

  it('grows by doubling, so that a byte is copied a constant number of times', () => {
    const out = new ByteWriter(1);
    const buffers = new Set<ArrayBufferLike>();
    for (let at = 0; at < 100_000; at++) {
      out.u8(at & 0xff);
      buffers.add(out.view().buffer);
    }
    expect(buffers.size).toBeLessThan(20);
  });

  it('gives a view of its own buffer, and a copy when it finishes', () => {
    const out = new ByteWriter();
    out.u8(1);
    const view = out.view();
    const copy = out.finish();
    out.reset();
    out.u8(2);
    expect(view[0]).toBe(2);
    expect(copy[0]).toBe(1);
  });

  it('keeps its buffer when it is reset', () => {
    const out = new ByteWriter(4);
    out.u32(1);
    const { buffer } = out.view();
    out.reset();
    expect(out.length).toBe(0);
    out.u16(0xabcd);
    expect(toHex(out.finish())).toBe('abcd');
    expect(out.view().buffer).toBe(buffer);
  });
});
