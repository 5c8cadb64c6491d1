import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { TimelineReader } from '../../src/capture/timeline-reader.js';
import { Findings } from '../../src/findings.js';
import { differenceModel } from '../../src/report/difference-map.js';
import { hexView, planHex } from '../../src/report/hex-view.js';
import { reportHtml } from '../../src/report/html/page.js';
import type { InputReport, ReportBitmap } from '../../src/report/input-report.js';
import { budgetOf, inputModel, unreadModel } from '../../src/report/report-model.js';
import {
  BITMAP_ID,
  bitsChunk,
  completeChunk,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  full,
  qevm,
  start,
  startChunk,
  UNIT,
} from '../support/stream-builder.js';

/** What a page is made of in which a given text stands everywhere where an input or a user may put one. */
export function reportWith(text: string): string {
  const name = nameFromText(text);
  // Of one length, so that as many bytes are shown whatever the text.
  const bytes = fill(200, 0x78);
  bytes.set(name.bytes.subarray(0, 200));
  const names = { node: bytes, bitmap: bytes };
  const stream = qevm(
    configuration('none'),
    start(BITMAP_ID, 'dirty-bitmap', [startChunk(names), EOS]),
    end(BITMAP_ID, [bitsChunk(0, UNIT, fill(32, 3)), completeChunk(), EOS]),
    full(9, `device${String.fromCharCode(...bytes.subarray(0, 100))}`, fill(8)),
    EOF,
  );
  const timeline = new TimelineReader();
  timeline.push(stream);
  const findings = new Findings(10);
  findings.add('stream-cut', text, 40);
  const told = timeline.finish();
  findings.add('chunk-gap', text, told.firstChunks[0]?.offset);
  const hex = planHex(told.firstChunks, findings.list).flatMap(
    (place) => hexView(place, stream.subarray(place.offset, place.offset + place.length)) ?? [],
  );
  const bits = new Bitmap(65536, { size: 2 ** 30 });
  bits.set(2 ** 20, 2 ** 20);
  const other = bits.clone();
  other.set(0, 65536);
  const bitmap: ReportBitmap = {
    ...{ node: name, name, granularity: 65536, recording: true, persistent: true, complete: true },
    ...{ coveredBytes: 2 ** 30, wireBytes: 9, chunks: { data: 1, zeroes: 0 }, flags: [text], bits },
  };
  const capture: InputReport = {
    ...{ input: text, format: 'capture', bytes: stream.length, bitmaps: [bitmap], findings },
    capture: {
      ...{ version: 3, machine: text, capabilities: [text], postcopy: false, complete: true, footers: true },
      ...{ sections: [], commands: [text] },
    },
  };
  const image: InputReport = {
    ...{ input: text, format: 'qcow2', bytes: 1, findings: new Findings(1) },
    bitmaps: [
      { ...bitmap, bits: other },
      { ...bitmap, node: undefined, trust: 'damaged', bits: undefined },
    ],
    qcow2: {
      ...{ version: 3, virtualSize: 2 ** 30, clusterSize: 65536, refcountBits: 16, encryption: text },
      ...{ extendedL2: false, backing: { name: text, format: text }, dataFile: { name: text, raw: false } },
      ...{ dirty: true, corrupt: true, bitmapsValid: true },
    },
  };
  const budget = budgetOf(3);
  return reportHtml({
    version: '0.0.0',
    inputs: [
      inputModel(capture, { timeline: told, hex }, budget),
      inputModel(image, {}, budget),
      unreadModel(text, { severity: 'error', code: 'file-access', message: text }),
    ],
    differences: differenceModel(capture, image, { maxPairs: 10, maxCells: 500 }),
  });
}
