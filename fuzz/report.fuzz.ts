import fc from 'fast-check';
import { parse } from 'parse5';
import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../src/capture/capture-reader.js';
import type { Timeline } from '../src/capture/timeline.js';
import { TimelineReader } from '../src/capture/timeline-reader.js';
import { hexView, planHex } from '../src/report/hex-view.js';
import { reportHtml } from '../src/report/html/page.js';
import { budgetOf, inputModel, type ReportModel } from '../src/report/report-model.js';
import { cuts } from '../test/support/arbitraries.js';
import { chop, pushAndOverwrite } from '../test/support/chop.js';
import { anyBytes } from './inputs.js';
import { timeBox } from './time-box.js';

const LIMITS = { maxBitmapMemory: 4 * 1024 * 1024 };
const MAX_PAGE = 2_000_000;

function timelineOf(pieces: Iterable<Uint8Array>): Timeline {
  const reader = new TimelineReader({ limits: LIMITS });
  pushAndOverwrite(pieces, (piece) => reader.push(piece));
  return reader.finish();
}

function modelOf(bytes: Uint8Array): ReportModel {
  const reader = new CaptureReader({ limits: LIMITS });
  reader.push(bytes);
  reader.finish();
  const { bitmaps, summary: capture, findings } = reader;
  const timeline = timelineOf([bytes]);
  const hex = planHex(timeline.firstChunks, findings.list).flatMap(
    (place) => hexView(place, bytes.subarray(place.offset, place.offset + place.length)) ?? [],
  );
  const report = { input: 'x', format: 'capture', bytes: bytes.length, capture, bitmaps, findings } as const;
  return { version: '0', inputs: [inputModel(report, { timeline, hex }, budgetOf(1))], differences: null };
}

describe('any bytes', () => {
  it('have a timeline that is the same however they are cut, and counts each byte', () => {
    timeBox('same timeline in any pieces', fc.tuple(anyBytes, cuts), ([bytes, where]) => {
      const whole = timelineOf([bytes]);
      expect(timelineOf(chop(bytes, where))).toEqual(whole);
      expect(whole.bytes).toBe(bytes.length);
      const told = Object.values(whole.uses);
      expect(Math.min(...told)).toBeGreaterThanOrEqual(0);
      expect(told.reduce((sum, one) => sum + one, 0)).toBe(bytes.length);
    });
  });

  it('have a report that is a well-formed page of bounded size, and its model is plain data', () => {
    timeBox('reports of anything', anyBytes, (bytes) => {
      const model = modelOf(bytes);
      const page = reportHtml(model);
      const errors: string[] = [];
      parse(page, { onParseError: ({ code }) => errors.push(code) });
      expect(errors).toEqual([]);
      expect(page).not.toMatch(/NaN|undefined|Infinity/);
      expect(page.length).toBeLessThan(MAX_PAGE);
      expect(reportHtml(JSON.parse(JSON.stringify(model)))).toBe(page);
    });
  });
});
