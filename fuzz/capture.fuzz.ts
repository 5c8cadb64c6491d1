import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat } from '../src/bytes/concat.js';
import { CaptureDecoder } from '../src/capture/capture-decoder.js';
import type { CaptureOptions } from '../src/capture/capture-parser.js';
import { CaptureReader } from '../src/capture/capture-reader.js';
import { QemuLoader } from '../src/capture/qemu-loader.js';
import { encodeTraceItem, type TraceItem, type TraceOptions, Tracer } from '../src/capture/trace.js';
import { parseTraceLine, traceLine } from '../src/capture/trace-json.js';
import { locateVmdesc, parseVmdesc } from '../src/capture/vmdesc.js';
import { DirtyBitmapError } from '../src/errors.js';
import { decodeTraceMsgpack, encodeTraceMsgpack } from '../src/msgpack/trace.js';
import { cuts } from '../test/support/arbitraries.js';
import { chop, pushAndOverwrite } from '../test/support/chop.js';
import { precopy } from '../test/support/stream-builder.js';
import { anyBytes } from './inputs.js';
import { timeBox } from './time-box.js';

/** Memory that hostile input may make a reader take, in bytes: far more than any of these inputs is worth. */
const MEMORY = 4 * 1024 * 1024;
const LIMITS = { maxBitmapMemory: MEMORY };

/** What a reader of a file knows of it beforehand, however wrong it is. */
function optionsOf(bytes: Uint8Array, isFile: boolean): CaptureOptions {
  if (!isFile) return { limits: LIMITS };
  const place = locateVmdesc(bytes, 0);
  const text = place && bytes.subarray(place.textOffset, place.textOffset + place.textLength);
  return { limits: LIMITS, total: bytes.length, vmdesc: text && parseVmdesc(text) };
}

const plain = (value: unknown): string =>
  JSON.stringify(value, (_key, inner) => (inner instanceof Uint8Array ? [...inner] : inner));

/** All events as text, and the error that ended them. */
function eventsOf(pieces: Iterable<Uint8Array>, options: CaptureOptions): string[] {
  const decoder = new CaptureDecoder(options);
  const events: string[] = [];
  const take = (batch: Iterable<unknown>): void => {
    for (const event of batch) events.push(plain(event));
  };
  try {
    pushAndOverwrite(pieces, (piece) => take(decoder.push(piece)));
    take(decoder.finish());
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    events.push(`${error.code} ${error.offset} ${error.message}`);
    // The error stays.
    expect(() => decoder.push(new Uint8Array(1))).toThrow(error.message);
  }
  return events;
}

/** All that a reader says, as text. */
function readingOf(reader: CaptureReader): string {
  const bitmaps = reader.bitmaps.map(({ node, name, granularity, complete, coveredBytes, wireBytes, bits }) => ({
    ...{ node, name, granularity, complete, coveredBytes, wireBytes },
    extents: [...bits.extents()],
  }));
  return plain({ summary: reader.summary, findings: reader.findings.list, bytes: reader.bytes, bitmaps });
}

/** Reads all of it, leaving out what nobody looks at. */
function readSkipping(bytes: Uint8Array, pieces: readonly number[], options: CaptureOptions): CaptureReader {
  const reader = new CaptureReader(options);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const skip = Math.min(reader.skippable, bytes.length - at);
    if (skip > 0) reader.skipped(skip);
    at += skip;
    const size = 1 + (pieces[turn % Math.max(1, pieces.length)] ?? 100);
    reader.push(bytes.subarray(at, at + size));
    at = Math.min(bytes.length, at + size);
  }
  reader.finish();
  return reader;
}

function traceOf(pieces: Iterable<Uint8Array>, options: TraceOptions): TraceItem[] {
  const tracer = new Tracer(options);
  const items: TraceItem[] = [];
  pushAndOverwrite(pieces, (piece) => items.push(...tracer.push(piece)));
  items.push(...tracer.finish());
  return items;
}

describe('any bytes', () => {
  it('give the same events however they are cut, and end in events or our error', () => {
    timeBox('same events in any pieces', fc.tuple(anyBytes, cuts, fc.boolean()), ([bytes, where, isFile]) => {
      const options = optionsOf(bytes, isFile);
      const whole = eventsOf([bytes], options);
      expect(eventsOf(chop(bytes, where), options)).toEqual(whole);
      // No input makes events out of nothing.
      expect(whole.length).toBeLessThanOrEqual(4 * bytes.length + 16);
    });
  });

  it('are read without an exception, in bounded memory, and the next stream is read all the same', () => {
    const good = new CaptureReader();
    good.push(precopy());
    good.finish();
    const expected = readingOf(good);
    timeBox('readers never throw', fc.tuple(anyBytes, fc.boolean()), ([bytes, isFile]) => {
      const reader = new CaptureReader(optionsOf(bytes, isFile));
      reader.push(bytes);
      reader.finish();
      const used = reader.bitmaps.reduce((sum, bitmap) => sum + bitmap.bits.allocatedBytes, 0);
      expect(used).toBeLessThanOrEqual(MEMORY);
      expect(reader.bytes).toBe(bytes.length);
      const next = new CaptureReader();
      next.push(precopy());
      next.finish();
      expect(readingOf(next)).toBe(expected);
    });
  });

  it('are read alike where what nobody looks at is left out', () => {
    const sizes = fc.array(fc.nat(300), { minLength: 1, maxLength: 5 });
    timeBox('skipping changes nothing', fc.tuple(anyBytes, sizes, fc.boolean()), ([bytes, pieces, isFile]) => {
      const options = optionsOf(bytes, isFile);
      const whole = new CaptureReader(options);
      whole.push(bytes);
      whole.finish();
      expect(readingOf(readSkipping(bytes, pieces, options))).toBe(readingOf(whole));
    });
  });

  it('are judged as a QEMU would without an exception', () => {
    timeBox('predictions never throw', anyBytes, (bytes) => {
      const loader = new QemuLoader({ version: '7.2' }, { limits: LIMITS });
      loader.push(bytes);
      expect(['load', 'cancel', 'fail', 'abort', 'setup-refused']).toContain(loader.finish().verdict);
    });
  });

  it('are traced without loss and alike in any pieces, also through JSON lines and MessagePack', () => {
    const format = fc.constantFrom('capture' as const, 'section' as const);
    timeBox('traces are lossless', fc.tuple(anyBytes, cuts, format), ([input, where, as]) => {
      // A stream read as a section is thousands of chunks without flags: a part of it says as much.
      const bytes = as === 'section' ? input.subarray(0, 700) : input;
      const items = traceOf(chop(bytes, where), { format: as });
      expect(Buffer.from(concat(items.map(encodeTraceItem))).equals(bytes)).toBe(true);
      const lines = items.map(traceLine);
      expect(lines).toEqual(traceOf([bytes], { format: as }).map(traceLine));
      const again = lines.map((line) => encodeTraceItem(parseTraceLine(line)));
      expect(Buffer.from(concat(again)).equals(bytes)).toBe(true);
      const packed = concat(items.map(encodeTraceMsgpack));
      expect(Buffer.from(concat([...decodeTraceMsgpack(packed)].map(encodeTraceItem))).equals(bytes)).toBe(true);
    });
  });
});
