import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChunkCursor } from '../../src/chunk/chunk-cursor.js';

const MAX = 10_240;
/** Values of a field of 32 bits where signs and limits turn. */
const field = fc.oneof(
  fc.constantFrom(0, 1, 0x40, MAX, MAX + 1, 0x1f_ffff, 0x20_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
);
const header = fc.record({
  flags: fc.constantFrom(0x40, 0x42, 0x40, 0x42, 0x41, 0x43, 0x20, 0x01, 0x8040),
  fields: fc.array(field, { minLength: 5, maxLength: 5 }),
});

/** What a cursor says of a header, or its error. */
function told(cursor: ChunkCursor, bytes: Uint8Array, pos: number, end: number): unknown {
  let length: number;
  try {
    length = cursor.read(bytes, pos, end, 7, MAX);
  } catch (error) {
    return (error as Error).message;
  }
  if (length < 0) return length;
  const { bytes: _bytes, ...fields } = cursor;
  return { length, ...fields };
}

describe('long inputs are read through a view, short ones byte by byte', () => {
  test('and say the same, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(header, { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 21 }), (headers, cut) => {
        const long = new Uint8Array(16_384);
        const view = new DataView(long.buffer);
        const one = new ChunkCursor();
        const other = new ChunkCursor();
        headers.forEach(({ flags, fields }, index) => {
          const pos = index * 64;
          if (flags > 0xff) view.setUint16(pos, flags);
          else view.setUint8(pos, flags);
          for (const [at, value] of fields.entries()) view.setUint32(pos + (flags > 0xff ? 2 : 1) + 4 * at, value);
          const end = index === headers.length - 1 ? pos + cut : pos + 64;
          const short = long.slice(pos, end);
          expect(told(one, long, pos, end)).toEqual(told(other, short, 0, short.length));
        });
      }),
      { numRuns: 3000 },
    );
  });
});
