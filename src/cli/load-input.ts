import type { CaptureOptions } from '../capture/capture-parser.js';
import { SectionParser } from '../chunk/section-decoder.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { type AlsoRead, readCaptureSource } from '../io/capture-file.js';
import { pump } from '../io/pump.js';
import type { Source } from '../io/source.js';
import { resolveLimits } from '../limits.js';
import { Gatherer } from '../migration/gatherer.js';
import type { InputReport, ReportBitmap } from '../report/input-report.js';
import { openImage } from './open-image.js';
import { type OpenOptions, withInput } from './open-input.js';
import type { Terminal } from './terminal.js';

/**
 * Reads an input of any kind. Bad input becomes findings; what cannot be opened throws.
 * @throws DirtyBitmapError `file-access`, `argument`, `unsupported`, `set-invalid`.
 */
export async function loadInput(path: string, options: OpenOptions, terminal: Terminal): Promise<InputReport> {
  return withInput(path, options, terminal, async ({ source, format, head, offset, limits, progress }) => {
    const reading = { head, offset, limits, onProgress: progress?.update, also: options.also };
    if (format === 'capture') return loadCapture(path, source, reading);
    if (format === 'section') return loadSection(path, source, reading);
    if (format === 'qcow2') return loadImage(path, reading);
    const { loadDocument } = await import('./load-document.js');
    return loadDocument(path, source, format, reading);
  });
}

/** How an open source is read. */
interface Reading extends Pick<CaptureOptions, 'limits'> {
  readonly head: Uint8Array;
  readonly offset: number;
  readonly onProgress: ((offset: number) => void) | undefined;
  readonly also?: AlsoRead | undefined;
}

async function loadCapture(input: string, source: Source, reading: Reading): Promise<InputReport> {
  const reader = await readCaptureSource(source, reading);
  const { bitmaps, bytes, summary, findings } = reader;
  return { input, format: 'capture', bytes: bytes + reading.offset, capture: summary, bitmaps, findings };
}

async function loadImage(input: string, { limits, offset }: Reading): Promise<InputReport> {
  const image = await openImage(input, { limits, offset });
  const { qcow2Bitmap, qcow2Summary } = await import('../report/qcow2-report.js');
  const bitmaps = image.bitmaps.map((bitmap) => qcow2Bitmap(bitmap, image));
  const { findings, fileSize: bytes } = image;
  return { input, format: 'qcow2', bytes, qcow2: qcow2Summary(image), bitmaps, findings };
}

async function loadSection(input: string, source: Source, reading: Reading): Promise<InputReport> {
  const limits = resolveLimits(reading.limits);
  const findings = new Findings(limits.maxFindings);
  const gatherer = new Gatherer(findings, limits);
  const parser = new SectionParser(gatherer, { offset: reading.offset, limits });
  let bytes = 0;
  const sink = {
    push(piece: Uint8Array): void {
      bytes += piece.length;
      parser.push(piece);
    },
  };
  try {
    await pump(source, sink, reading);
    parser.finish();
  } catch (error) {
    if (!(error instanceof DirtyBitmapError) || error.code === 'file-access') throw error;
    findings.addError(error);
  }
  gatherer.finish();
  const bitmaps: readonly ReportBitmap[] = gatherer.bitmaps;
  return { input, format: 'section', bytes: bytes + reading.offset, bitmaps, findings };
}
