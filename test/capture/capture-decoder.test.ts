import { describe, expect, it } from 'vitest';
import { CaptureDecoder, type CaptureEvent } from '../../src/capture/capture-decoder.js';
import { CaptureDecoderStream, decodeCapture } from '../../src/capture/streams.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { errorOf } from '../bytes/error-of.js';
import { chopEvery } from '../support/chop.js';
import {
  B0,
  BITMAP_ID,
  bitsChunk,
  configuration,
  EOF,
  EOS,
  fill,
  join,
  precopy,
  qevm,
  start,
  startChunk,
  UNIT,
  zeroesChunk,
} from '../support/stream-builder.js';
import { decode, plain, read } from './read.js';

const BAD = qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]), 0x99);

describe('CaptureDecoder', () => {
  it('tells header, configuration, sections, chunks, commands and the end, with their places', () => {
    const { events, error } = decode(precopy());
    expect(error).toBeUndefined();
    expect((events as { type: string }[]).map(({ type }) => type)).toEqual([
      ...['header', 'configuration', 'command'],
      ...['section', 'section-end', 'section', 'chunk', 'chunk', 'section-end'],
      ...['section', 'section-end', 'section', 'chunk', 'section-end'],
      ...['section', 'section-end', 'section', 'chunk', 'chunk', 'chunk', 'section-end'],
      ...['section', 'section-end', 'section', 'section-end', 'end', 'vmdesc'],
    ]);
  });

  it('gives the events before an error, then the error, then the same error for ever', () => {
    const decoder = new CaptureDecoder();
    const types: string[] = [];
    const first = errorOf(() => {
      for (const event of decoder.push(BAD)) types.push(event.type);
    });
    expect(first).toMatchObject({ code: 'item-unknown', offset: BAD.length - 1 });
    expect(types.at(-1)).toBe('section-end');
    expect(errorOf(() => decoder.push(fill(10)))).toBe(first);
    expect(errorOf(() => decoder.finish())).toBe(first);
    expect(errorOf(() => decoder.finish())).toBe(first);
  });

  it('throws at once where there is no event before the error, so that nobody misses it', () => {
    expect(errorOf(() => new CaptureDecoder().push(join('not a stream'))).code).toBe('magic-invalid');
    expect(errorOf(() => new CaptureDecoder().finish()).code).toBe('magic-invalid');
  });

  it('leaves other decoders alone when one fails', () => {
    const other = new CaptureDecoder();
    const events = [...other.push(precopy().slice(0, 50))].map(plain);
    expect(() => [...new CaptureDecoder().push(BAD)]).toThrow(DirtyBitmapError);
    for (const event of other.push(precopy().slice(50))) events.push(plain(event));
    for (const event of other.finish()) events.push(plain(event));
    expect(events).toEqual(decode(precopy()).events);
  });

  it('refuses the deviations that it is told to, with their place', () => {
    const bytes = qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), 0x00, EOS]), EOF);
    expect(decode(bytes).error).toBeUndefined();
    expect(decode(bytes, { refuse: ['flags-none'] }).error).toMatchObject({ code: 'flags-none', offset: 17 + 26 + 15 });
    expect(decode(bytes, { refuse: 'all' }).error).toMatchObject({ code: 'flags-none' });
  });

  it('knows up to where its events reach', () => {
    const decoder = new CaptureDecoder();
    const chunk = bitsChunk(0, UNIT, fill(32, 1));
    const bytes = qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', [chunk, EOS]));
    const begin = 17 + 26;
    [...decoder.push(bytes.slice(0, begin + 30))];
    expect(decoder.settledOffset).toBe(begin);
    [...decoder.push(bytes.slice(begin + 30, begin + chunk.length))];
    expect(decoder.settledOffset).toBe(begin + chunk.length);
    expect(decoder.complete).toBe(false);
  });

  it('refuses limits that make no sense', () => {
    expect(errorOf(() => new CaptureDecoder({ limits: { maxSections: -1 } })).code).toBe('argument');
  });
});

describe('decodeCapture', () => {
  it('gives a batch for each piece of an async iterable, then the last one', async () => {
    const events: object[] = [];
    let batches = 0;
    for await (const batch of decodeCapture(pieces(precopy(), 100))) {
      batches++;
      for (const event of batch) events.push(plain(event));
    }
    expect(batches).toBe(Math.ceil(precopy().length / 100) + 1);
    expect(events).toEqual(decode(precopy()).events);
  });

  it('gives the events before an error', async () => {
    const types: string[] = [];
    const work = async (): Promise<void> => {
      for await (const batch of decodeCapture(pieces(BAD, 1000))) for (const event of batch) types.push(event.type);
    };
    await expect(work()).rejects.toMatchObject({ code: 'item-unknown' });
    expect(types.at(-1)).toBe('section-end');
  });
});

describe('CaptureDecoderStream', () => {
  /** The events of a stream, and what it ends with. */
  async function through(bytes: Uint8Array, size: number): Promise<{ events: object[]; error: unknown }> {
    const events: object[] = [];
    const stream = ReadableStream.from(pieces(bytes, size)).pipeThrough(new CaptureDecoderStream());
    try {
      for await (const batch of stream as unknown as AsyncIterable<CaptureEvent[]>) {
        expect(batch.length).toBeGreaterThan(0);
        events.push(...batch.map(plain));
      }
    } catch (error) {
      return { events, error };
    }
    return { events, error: undefined };
  }

  it.each([1, 100, 100_000])('gives the events of pieces of %d bytes in arrays', async (size) => {
    expect(await through(precopy(), size)).toEqual({ events: decode(precopy()).events, error: undefined });
  });

  it('fails with the error of the decoder', async () => {
    expect((await through(BAD, 20)).error).toMatchObject({ code: 'item-unknown' });
    expect((await through(precopy().slice(0, 90), 20)).error).toMatchObject({ code: 'stream-cut', offset: 90 });
  });
});

describe('CaptureReader', () => {
  it('never throws at bad input: what cannot be followed is the last finding', () => {
    for (const bytes of [BAD, fill(0), join('nonsense'), precopy().slice(0, 70)]) {
      const { findings } = read(bytes);
      expect(findings.filter(({ severity }) => severity === 'error').length).toBeGreaterThan(0);
    }
  });

  it('ignores what is pushed behind an error, and counts it', () => {
    const { reader, codes } = read([BAD, precopy(), precopy()]);
    expect(codes).toEqual(['item-unknown', 'complete-missing']);
    expect(reader.bytes).toBe(BAD.length + 2 * precopy().length);
    expect(reader.bitmaps).toHaveLength(1);
    expect(reader.skippable).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('lists as many findings as allowed, and counts the rest', () => {
    const chunks = Array.from({ length: 50 }, () => 0x00);
    const bytes = qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', [chunks, EOS]), EOF);
    const { reader, findings } = read(bytes, { limits: { maxFindings: 10 } });
    expect(findings).toHaveLength(11);
    expect(findings.at(-1)).toMatchObject({ code: 'findings-capped', severity: 'info' });
    expect(reader.findings.total).toBe(50);
    expect(reader.findings.counts).toEqual({ error: 0, warning: 50, info: 0 });
  });

  it('keeps no piece that it was given', () => {
    const chunks = Array.from({ length: 100 }, (_, at) => zeroesChunk(at * UNIT, UNIT));
    const bytes = qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), chunks, EOS]), EOF);
    expect(read(chopEvery(bytes, 17)).reader.bitmaps[0]).toMatchObject({
      node: { text: 'disk0' },
      coveredBytes: 100 * UNIT * 512,
    });
  });
});

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  yield* chopEvery(bytes, size);
}
