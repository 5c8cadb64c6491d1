import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import type { Timeline } from '../../src/capture/timeline.js';
import { TimelineReader } from '../../src/capture/timeline-reader.js';
import {
  B0,
  BITMAP_ID,
  bitmapStream,
  bitsChunk,
  completeChunk,
  EOF,
  EOS,
  end,
  fill,
  part,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  startChunk,
  UNIT,
  u64,
  zeroesChunk,
} from '../support/stream-builder.js';
import { inPieces, listVectors, readStream, vectorOf } from '../support/vectors.js';

function timelineOf(stream: Uint8Array, piece = Number.POSITIVE_INFINITY): Timeline {
  const reader = new TimelineReader();
  for (const bytes of inPieces(stream, piece)) reader.push(bytes);
  return reader.finish();
}

const total = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0);

describe('the timeline of a capture', () => {
  it('of every vector: all bytes are for something, and each bitmap has those that the reader counts', () => {
    for (const vector of listVectors().filter(({ file }) => !file.includes('section'))) {
      const stream = readStream(vector);
      const timeline = timelineOf(stream);
      const reader = new CaptureReader();
      reader.push(stream);
      reader.finish();
      expect(timeline.bytes, vector.id).toBe(stream.length);
      expect(total(Object.values(timeline.uses)), vector.id).toBe(stream.length);
      expect(total(timeline.phases.map((phase) => phase.bytes)), vector.id).toBeLessThanOrEqual(stream.length);
      const wire = new Map<string, number>();
      for (const { node, name, wireBytes } of reader.bitmaps) {
        const key = `${node.text}/${name.text}`;
        wire.set(key, (wire.get(key) ?? 0) + wireBytes);
      }
      for (const { node, name, headerBytes, dataBytes } of timeline.bitmaps) {
        const counted = wire.get(`${node}/${name}`);
        if (reader.findings.counts.error === 0)
          expect(headerBytes + dataBytes, `${vector.id} ${node}/${name}`).toBe(counted);
      }
    }
  });

  it('is the same however the stream is cut', () => {
    const stream = readStream(vectorOf('captures/pc-postcopy-running-writes.bin'));
    const whole = timelineOf(stream);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), (piece) => {
        expect(timelineOf(stream, piece)).toEqual(whole);
      }),
      { numRuns: 15 },
    );
  });

  it('has the phases of a postcopy in their order', () => {
    const { phases, runs, uses } = timelineOf(readStream(vectorOf('captures/none-postcopy.bin')));
    expect(phases.map(({ phase }) => phase)).toEqual(['setup', 'completion', 'postcopy']);
    expect(
      runs.filter(({ phase }) => phase === 'postcopy').map(({ name, sectionType }) => [name, sectionType]),
    ).toEqual([
      ['PACKAGED', null],
      ['dirty-bitmap', 'part'],
      ['ram', 'end'],
      ['dirty-bitmap', 'end'],
      ['', null],
    ]);
    expect(uses.bits).toBe(128);
  });

  it('counts the bits that were not sent as they are zero', () => {
    const sectors = UNIT * 128;
    const last = [zeroesChunk(0, sectors), bitsChunk(sectors, UNIT, fill(32, 1)), completeChunk(), EOS];
    const stream = bitmapStream([startChunk(B0), EOS], last);
    const { bitmaps } = timelineOf(stream);
    expect(bitmaps).toMatchObject([{ dataBytes: 32, dataChunks: 1, zeroChunks: 1, elidedBytes: 1024 }]);
  });

  it('keeps the beginning and the end of a long one, and counts what lies between', () => {
    const rounds = Array.from({ length: 500 }, () => [part(RAM_ID, RAM_EOS), part(BITMAP_ID, EOS)]);
    const stream = qevm(
      start(RAM_ID, 'ram', [u64(0x04), RAM_EOS]),
      start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]),
      ...rounds,
      end(RAM_ID, RAM_EOS),
      end(BITMAP_ID, [completeChunk(), EOS]),
      EOF,
    );
    const { runs, leftOut, bytes } = timelineOf(stream);
    expect(runs.length).toBe(200);
    expect([runs[0]?.kind, runs.at(-1)?.kind]).toEqual(['header', 'end']);
    expect(leftOut).toMatchObject({ after: 100, runs: 3 + 1000 + 3 - 200 });
    expect(total(runs.map((run) => run.bytes)) + (leftOut?.bytes ?? 0)).toBe(bytes);
  });

  it('counts the same again as one run', () => {
    const parts = Array.from({ length: 70 }, () => part(BITMAP_ID, EOS));
    const stream = qevm(start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]), ...parts, EOF);
    expect(timelineOf(stream).runs.map(({ kind, sectionType, count }) => [kind, sectionType, count])).toEqual([
      ['header', null, 1],
      ['section', 'start', 1],
      ['section', 'part', 70],
      ['end', null, 1],
    ]);
  });

  it('ends where the stream cannot be followed, and counts what is cut as far as it goes', () => {
    const stream = readStream(vectorOf('captures/cut-in-bits.bin'));
    const { bytes, uses, runs } = timelineOf(stream);
    expect([bytes, total(Object.values(uses))]).toEqual([stream.length, stream.length]);
    expect(runs.at(-1)).toMatchObject({ name: 'dirty-bitmap', sectionType: 'end' });
  });

  it('gives the places of the first chunks and of the first of each kind', () => {
    const chunks = Array.from({ length: 20 }, (_, at) => bitsChunk(at * UNIT, UNIT, fill(32, 1)));
    const last = [...chunks, zeroesChunk(20 * UNIT, UNIT), completeChunk(), EOS];
    const { firstChunks } = timelineOf(bitmapStream([startChunk(B0), EOS], last));
    const stream = bitmapStream([startChunk(B0), EOS], last);
    expect(firstChunks.map(({ offset }) => stream[offset])).toEqual([0x1c, ...fill(7, 0x40), 0x42, 0x20]);
  });

  it('counts of a package that is cut what is there', () => {
    const stream = readStream(vectorOf('captures/none-postcopy.bin')).subarray(0, 160);
    const { uses, phases, bytes } = timelineOf(stream);
    expect([bytes, total(Object.values(uses)), total(phases.map((phase) => phase.bytes))]).toEqual([160, 160, 160]);
  });
});
