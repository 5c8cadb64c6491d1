import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { captureBytes, cuts } from '../support/arbitraries.js';
import { chop, chopEvery, chopEverywhere } from '../support/chop.js';
import { precopy } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';
import { decode, read } from './read.js';

/** Real streams of each kind, the smallest there are. */
const SMALL = [
  'captures/none-postcopy.bin',
  'captures/caps-off.bin',
  'captures/size-zero.bin',
  'captures/name-256-refused.bin',
  'captures/none-neither-globalstate-vmdesc.bin',
  'captures-10.0/granularity-512m-over-2tib.bin',
];

/** What a reader makes of it, as plain data. */
function summaryOf(pieces: Iterable<Uint8Array>): object {
  const { reader, findings } = read(pieces);
  const bitmaps = reader.bitmaps.map(({ bits, ...bitmap }) => ({
    ...bitmap,
    ranges: undefined,
    reported: undefined,
    extents: [...bits.extents()],
  }));
  return { summary: reader.summary, findings, bytes: reader.bytes, bitmaps };
}

describe('a stream', () => {
  it('gives the same events wherever it is cut in two, and byte by byte', () => {
    const bytes = precopy();
    const whole = decode(bytes);
    expect(whole.error).toBeUndefined();
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it.each(SMALL)('of a real QEMU gives the same events wherever it is cut in two, and byte by byte: %s', (file) => {
    const bytes = new Uint8Array(readStream(vectorOf(file)));
    const whole = decode(bytes);
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it.each([1, 2, 3, 5, 7, 64, 1000, 4095])('of a real machine gives the same events in pieces of %d bytes', (size) => {
    const bytes = new Uint8Array(readStream(vectorOf('captures/microvm-precopy.bin')));
    expect(decode(chopEvery(bytes, size))).toEqual(decode(bytes));
  });

  it('of any form gives the same events, and the same bitmaps and findings, in any pieces', () => {
    fc.assert(
      fc.property(captureBytes, cuts, (bytes, where) => {
        const pieces = chop(bytes, where);
        expect(decode(pieces)).toEqual(decode(bytes));
        expect(summaryOf(pieces)).toEqual(summaryOf([bytes]));
      }),
      { numRuns: 150 },
    );
  });

  it('gives the same events where empty pieces come in between', () => {
    const bytes = precopy();
    const pieces = chopEvery(bytes, 10).flatMap((piece) => [new Uint8Array(0), piece, new Uint8Array(0)]);
    expect(decode(pieces)).toEqual(decode(bytes));
  });

  it('gives the same events where the pieces are views of a larger buffer', () => {
    const bytes = precopy();
    const around = new Uint8Array(bytes.length + 20).fill(0x7e);
    around.set(bytes, 10);
    expect(decode([around.subarray(10, 300), around.subarray(300, 10 + bytes.length)])).toEqual(decode(bytes));
  });
});
