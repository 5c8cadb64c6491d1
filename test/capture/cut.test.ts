import { describe, expect, it } from 'vitest';
import { precopy } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';
import { decode, read } from './read.js';

const STREAMS: readonly [what: string, bytes: Uint8Array][] = [
  ['a generated stream', precopy()],
  ['a generated stream without footers', precopy({ footers: false })],
  ['a real precopy stream', readStream(vectorOf('captures/small-qcow2-persistent.bin'))],
  ['a real postcopy stream', readStream(vectorOf('captures/none-postcopy.bin'))],
];

type Told = { type: string; offset?: number; length?: number };
const endOf = ({ offset = 0, length = 0 }: Told): number => offset + length;
const withoutFindings = (events: readonly object[]): Told[] =>
  (events as Told[]).filter(({ type }) => type !== 'finding');

describe.each(STREAMS)('%s that is cut at any byte', (_what, bytes) => {
  const whole = withoutFindings(decode(bytes).events);
  const unread = !whole.some(({ type }) => type === 'end');
  /** Offset behind the EOF marker. */
  const ended = unread ? bytes.length : endOf(whole.find(({ type }) => type === 'end') as Told);

  it('gives the events up to there, then stream-cut with the place', () => {
    for (let length = 4; length < ended; length++) {
      const { events, error } = decode(bytes.subarray(0, length));
      const told = withoutFindings(events);
      expect(told).toEqual(whole.slice(0, told.length));
      // All chunks, commands and sections that are complete, and nothing that is not.
      for (const event of told) expect(endOf(event)).toBeLessThanOrEqual(length);
      const next = whole[told.length];
      if (next?.type === 'chunk' || next?.type === 'command') expect(endOf(next)).toBeGreaterThan(length);
      if (error === undefined)
        expect(events.at(-1)).toMatchObject({ type: 'finding', finding: { code: 'tail-unread' } });
      else expect(error).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });

  it('is magic-invalid before there is a magic', () => {
    for (let length = 0; length < 4; length++) {
      expect(decode(bytes.subarray(0, length))).toMatchObject({
        events: [],
        error: { code: 'magic-invalid', offset: 0 },
      });
    }
  });

  it('keeps the bitmaps so far, and what was found', () => {
    const all = read(bytes).reader.bitmaps;
    for (let length = 0; length <= bytes.length; length++) {
      const { reader, codes } = read(bytes.subarray(0, length));
      expect(reader.bytes).toBe(length);
      if (!unread) expect(reader.summary.complete).toBe(length >= ended);
      if (!reader.summary.complete) expect(codes.join(' ')).toMatch(/stream-cut|magic-invalid|tail-unread/);
      expect(reader.bitmaps.length).toBeLessThanOrEqual(all.length);
      for (const [index, bitmap] of reader.bitmaps.entries()) {
        const { node, name, granularity, offset, coveredBytes } = all[index] as (typeof all)[number];
        expect(bitmap).toMatchObject({ node, name, granularity, offset });
        expect(bitmap.coveredBytes).toBeLessThanOrEqual(coveredBytes);
      }
      const missing = codes.filter((code) => code === 'complete-missing');
      expect(missing).toHaveLength(reader.bitmaps.filter((bitmap) => !bitmap.complete).length);
    }
  });

  it('never has more dirty than all of it, and grows with what is there', () => {
    let before = 0;
    for (let length = 0; length <= bytes.length; length++) {
      const dirty = read(bytes.subarray(0, length)).reader.bitmaps.reduce((sum, { bits }) => sum + bits.count(), 0);
      expect(dirty).toBeGreaterThanOrEqual(before);
      before = dirty;
    }
  });
});
