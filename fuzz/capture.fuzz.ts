import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat } from '../src/bytes/concat.js';
import { CaptureDecoder } from '../src/capture/capture-decoder.js';
import { CaptureReader } from '../src/capture/capture-reader.js';
import { QemuLoader } from '../src/capture/qemu-loader.js';
import { encodeTraceItem, type TraceItem, Tracer } from '../src/capture/trace.js';
import { parseTraceLine, traceLine } from '../src/capture/trace-json.js';
import { DirtyBitmapError } from '../src/errors.js';
import { cuts } from '../test/support/arbitraries.js';
import { chop, pushAndOverwrite } from '../test/support/chop.js';
import { anyBytes } from './inputs.js';
import { timeBox } from './time-box.js';

/** Memory that hostile input may make a reader take, in bytes: far more than any of these inputs is worth. */
const MEMORY = 4 * 1024 * 1024;
const LIMITS = { maxBitmapMemory: MEMORY };

/** All events as text, and the error that ended them. */
function eventsOf(pieces: Iterable<Uint8Array>): string[] {
  const decoder = new CaptureDecoder();
  const events: string[] = [];
  const take = (batch: Iterable<unknown>): void => {
    for (const event of batch)
      events.push(JSON.stringify(event, (_key, value) => (value instanceof Uint8Array ? [...value] : value)));
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

function traceOf(pieces: Iterable<Uint8Array>): TraceItem[] {
  const tracer = new Tracer();
  const items: TraceItem[] = [];
  pushAndOverwrite(pieces, (piece) => items.push(...tracer.push(piece)));
  items.push(...tracer.finish());
  return items;
}

describe('any bytes', () => {
  it('give the same events however they are cut, and end in events or our error', () => {
    timeBox('same events in any pieces', fc.tuple(anyBytes, cuts), ([bytes, where]) => {
      const whole = eventsOf([bytes]);
      expect(eventsOf(chop(bytes, where))).toEqual(whole);
      // No input makes events out of nothing.
      expect(whole.length).toBeLessThanOrEqual(4 * bytes.length + 16);
    });
  });

  it('are read without an exception, in bounded memory', () => {
    timeBox('readers never throw', anyBytes, (bytes) => {
      const reader = new CaptureReader({ limits: LIMITS });
      reader.push(bytes);
      reader.finish();
      const used = reader.bitmaps.reduce((sum, bitmap) => sum + bitmap.bits.allocatedBytes, 0);
      expect(used).toBeLessThanOrEqual(MEMORY);
      expect(reader.bytes).toBe(bytes.length);
    });
  });

  it('are judged as a QEMU would without an exception', () => {
    timeBox('predictions never throw', anyBytes, (bytes) => {
      const loader = new QemuLoader({ version: '7.2' }, { limits: LIMITS });
      loader.push(bytes);
      expect(['load', 'cancel', 'fail', 'abort', 'setup-refused']).toContain(loader.finish().verdict);
    });
  });

  it('are traced without loss, also through JSON lines', () => {
    timeBox('traces are lossless', fc.tuple(anyBytes, cuts), ([bytes, where]) => {
      const items = traceOf(chop(bytes, where));
      expect(concat(items.map(encodeTraceItem))).toEqual(bytes);
      expect(concat(items.map(traceLine).map(parseTraceLine).map(encodeTraceItem))).toEqual(bytes);
    });
  });
});
