import { describe, expect, it } from 'vitest';
import { BitmapsOnly } from '../../src/capture/bitmaps-only.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import * as build from '../support/stream-builder.js';
import { listVectors, readStream } from '../support/vectors.js';

function only(stream: Uint8Array, piece: number): Uint8Array {
  const filter = new BitmapsOnly();
  const out: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += piece) out.push(...filter.push(stream.slice(at, at + piece)));
  return Buffer.concat([...out, ...filter.finish()]);
}

function read(stream: Uint8Array): CaptureReader {
  const reader = new CaptureReader();
  reader.push(stream);
  reader.finish();
  return reader;
}

/** What a capture says of its bitmaps. */
function told(stream: Uint8Array): object {
  const { bitmaps, summary } = read(stream);
  const { version, machine, capabilities, postcopy, complete, commands } = summary;
  return {
    ...{ version, machine, capabilities, postcopy, complete, commands },
    bitmaps: bitmaps.map(({ offset: _offset, bits, ...bitmap }) => ({
      ...bitmap,
      extents: [...bits.extents()].slice(0, 99),
    })),
  };
}

describe('BitmapsOnly', () => {
  const live = listVectors().filter(
    ({ id, channel }) => id.startsWith('captures') && !channel && !/mapped-ram|offset/.test(id),
  );

  it.each(live.map((vector) => [vector.id, readStream(vector)] as const))('keeps the bitmaps of %s', (_id, stream) => {
    const kept = only(stream, 65_536);
    expect(told(kept)).toEqual(told(stream));
    expect(kept.length).toBeLessThanOrEqual(stream.length);
    if (stream.length < 100_000) expect(Buffer.compare(only(stream, 7), kept)).toBe(0);
  });

  it('leaves RAM and devices out', () => {
    const stream = build.precopy();
    const expected = build.qevm(
      build.configuration('none'),
      build.command(build.ADVISE),
      build.start(build.BITMAP_ID, 'dirty-bitmap', [build.startChunk(build.B0), build.EOS]),
      build.part(build.BITMAP_ID, build.EOS),
      build.end(build.BITMAP_ID, [build.bitmapChunks(), build.EOS]),
      build.EOF,
    );
    expect(Buffer.from(only(stream, 1)).toString('hex')).toBe(Buffer.from(expected).toString('hex'));
  });

  it('keeps a postcopy and its long commands', () => {
    const section = build.start(build.BITMAP_ID, 'dirty-bitmap', [build.startChunk(build.B0), build.EOS]);
    const discard = build.command(6, build.fill(100, 1));
    const stream = build.qevm(
      ...[build.configuration(), section, discard],
      build.packaged(build.command(build.LISTEN), build.full(7, 'x', build.fill(500)), build.command(build.RUN)),
      build.end(build.BITMAP_ID, [build.bitmapChunks(), build.EOS]),
      build.EOF,
    );
    const kept = only(stream, 3);
    expect(kept.length).toBe(stream.length - build.full(7, 'x', build.fill(500)).length);
    expect(told(kept)).toEqual(told(stream));
  });

  it('ends where it cannot follow', () => {
    const stream = build.join(build.precopy().subarray(0, 120), build.fill(500, 0xee));
    const kept = only(stream, 50);
    expect(read(kept).summary.complete).toBe(false);
    expect(kept.length).toBeLessThan(200);
  });
});
