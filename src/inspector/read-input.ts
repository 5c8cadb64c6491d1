import { CaptureReader } from '../capture/capture-reader.js';
import { findVmdesc } from '../capture/find-vmdesc.js';
import type { Timeline } from '../capture/timeline.js';
import { TimelineReader } from '../capture/timeline-reader.js';
import type { ChunkHandler } from '../chunk/chunk-parser.js';
import { SectionParser } from '../chunk/section-decoder.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { type Limits, resolveLimits } from '../limits.js';
import { Gatherer } from '../migration/gatherer.js';
import { imageSet, nodeNameOf } from '../qcow2/image-set.js';
import type { RandomAccess } from '../qcow2/random-access.js';
import { readQcow2 } from '../qcow2/read-qcow2.js';
import { detectFormat } from '../report/detect-format.js';
import { documentBitmaps, parseDocument } from '../report/document.js';
import type { Format, InputReport } from '../report/input-report.js';
import { qcow2Bitmap, qcow2Summary } from '../report/qcow2-report.js';
import type { LoadedSet } from '../report/whole-set.js';
import { checkLength } from '../set/document-bytes.js';
import { ChunkIndex } from './chunk-index.js';
import { pushSlices } from './push-slices.js';

/** An input with all that can be shown of it, besides its bytes. */
export interface Inspected {
  readonly report: InputReport;
  readonly set: LoadedSet;
  readonly timeline: Timeline | undefined;
  readonly chunks: ChunkIndex;
}

/** How an input is read. */
export interface ReadOptions {
  /** Its kind; else it is seen from its content. */
  readonly format?: Format | undefined;
  readonly limits?: Partial<Limits>;
  /** Called after each slice with the bytes that were read or skipped, and with what was found so far. */
  readonly onProgress?: (done: number, findings: Findings | undefined) => void;
}

/** Bytes that tell what an input is. */
const HEAD = 64 * 1024;

type Parts = Omit<Inspected, 'report' | 'set'> & {
  readonly report: Omit<InputReport, 'input' | 'format'>;
  readonly set: Pick<LoadedSet, 'set'> & Partial<Pick<LoadedSet, 'lost'>>;
};
type Reader = (file: RandomAccess, limits: Limits, options: ReadOptions, name: string) => Promise<Parts>;

/**
 * Reads an input of any kind, a slice at a time. Bad input becomes findings.
 * @throws DirtyBitmapError where nothing of it can be shown: `set-invalid`, `unsupported`, `limit`, what is wrong with an
 * image as a whole; what `file` throws.
 */
export async function readInput(name: string, file: RandomAccess, options: ReadOptions = {}): Promise<Inspected> {
  const format = options.format ?? detectFormat(await file.read(0, HEAD));
  const { report, set, timeline, chunks } = await READERS[format](file, resolveLimits(options.limits), options, name);
  return {
    report: { ...report, input: name, format },
    set: { lost: [], ...set, input: name, format, findings: report.findings },
    ...{ timeline, chunks },
  };
}

const READERS: Readonly<Record<Format, Reader>> = {
  capture: readCapture,
  section: readSection,
  qcow2: readImage,
  set: async (file, limits, options) => await readDocument('set', file, limits, options),
  nbdinfo: async (file, limits, options) => await readDocument('nbdinfo', file, limits, options),
};

async function readCapture(file: RandomAccess, limits: Limits, { onProgress }: ReadOptions): Promise<Parts> {
  const total = await file.size();
  const vmdesc = await findVmdesc(async (from, length) => await file.read(from, length), total, limits.maxVmdescBytes);
  const capture = { limits, total, vmdesc };
  const chunks = new ChunkIndex();
  const reader = new CaptureReader(capture);
  const follower = new TimelineReader({ ...capture, onChunk: (...chunk) => chunks.add(...chunk) });
  await pushSlices(file, [reader, follower], (done) => onProgress?.(done, reader.findings));
  reader.finish();
  const timeline = follower.finish();
  const { bitmaps, bytes, summary, findings, set } = reader;
  return { report: { bytes, capture: summary, bitmaps, findings }, set: { set }, timeline, chunks };
}

async function readSection(file: RandomAccess, limits: Limits, { onProgress }: ReadOptions): Promise<Parts> {
  const findings = new Findings(limits.maxFindings);
  const gatherer = new Gatherer(findings, limits);
  const chunks = new ChunkIndex();
  const both: ChunkHandler = {
    chunk(cursor, target, offset) {
      chunks.add(cursor, target, offset);
      gatherer.chunk(cursor, target, offset);
    },
    data: (bytes, start, end, at) => gatherer.data(bytes, start, end, at),
  };
  const parser = new SectionParser(both, { limits });
  try {
    await pushSlices(file, [parser], (done) => onProgress?.(done, findings));
    parser.finish();
  } catch (error) {
    if (!(error instanceof DirtyBitmapError) || error.code === 'file-access') throw error;
    findings.addError(error);
  }
  gatherer.finish();
  const report = { bytes: await file.size(), bitmaps: gatherer.bitmaps, findings };
  return { report, set: { set: gatherer.toSet() }, timeline: undefined, chunks };
}

async function readImage(
  file: RandomAccess,
  limits: Limits,
  { onProgress }: ReadOptions,
  name: string,
): Promise<Parts> {
  let done = 0;
  const counted: RandomAccess = {
    size: async () => await file.size(),
    async read(offset, length) {
      const bytes = await file.read(offset, length);
      done += bytes.length;
      onProgress?.(done, undefined);
      return bytes;
    },
  };
  const image = await readQcow2(counted, { limits });
  const bitmaps = image.bitmaps.map((bitmap) => qcow2Bitmap(bitmap, image));
  const { findings, fileSize: bytes } = image;
  return {
    report: { bytes, qcow2: qcow2Summary(image), bitmaps, findings },
    set: imageSet(image, nodeNameOf(name)),
    ...{ timeline: undefined, chunks: new ChunkIndex() },
  };
}

async function readDocument(
  format: 'set' | 'nbdinfo',
  file: RandomAccess,
  limits: Limits,
  { onProgress }: ReadOptions,
): Promise<Parts> {
  const size = await file.size();
  checkLength(size, limits);
  const document = new Uint8Array(size);
  let length = 0;
  const push = (piece: Uint8Array): void => {
    document.set(piece, length);
    length += piece.length;
  };
  await pushSlices(file, [{ push }], (done) => onProgress?.(done, undefined));
  const set = await parseDocument(document.subarray(0, length), format, limits);
  const findings = new Findings(limits.maxFindings);
  const report = { bytes: length, bitmaps: documentBitmaps(set, format), findings };
  return { report, set: { set }, timeline: undefined, chunks: new ChunkIndex() };
}
