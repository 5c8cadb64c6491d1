import type { CaptureOptions } from '../capture/capture-parser.js';
import { SectionParser } from '../chunk/section-decoder.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { type AlsoRead, readCaptureSource } from '../io/capture-file.js';
import { pump, readUpTo } from '../io/pump.js';
import { openSource, type Source } from '../io/source.js';
import { type Limits, resolveLimits } from '../limits.js';
import { Gatherer } from '../migration/gatherer.js';
import type { Format, InputReport, ReportBitmap } from '../report/input-report.js';
import { startProgress } from './progress.js';
import type { Terminal } from './terminal.js';

/** What a user may say about an input. */
export interface InputOptions {
  /** Its kind; else it is seen from its content. */
  readonly format?: Format;
  /** Where a capture begins in the file, in bytes. */
  readonly offset?: number;
  readonly limits?: Partial<Limits>;
  /** Something else that takes the bytes of a capture. */
  readonly also?: AlsoRead;
}

/** Bytes that tell what an input is. */
const HEAD = 64 * 1024;

/**
 * Reads an input of any kind. Bad input becomes findings; what cannot be opened throws.
 * @throws DirtyBitmapError `file-access`, `unsupported`, `set-invalid`.
 */
export async function loadInput(path: string, options: InputOptions, terminal: Terminal): Promise<InputReport> {
  const source = await openSource(path, { blocking: true });
  const progress = startProgress(terminal, path === '-' ? 'reading' : path, source.size);
  try {
    const offset = options.offset ?? 0;
    if (source.size !== undefined && offset > source.size) {
      throw new DirtyBitmapError(
        'argument',
        `--offset ${offset} lies behind the end of the file (${source.size} bytes)`,
      );
    }
    const buffer = new Uint8Array(HEAD);
    const head = buffer.subarray(0, await readUpTo(source, offset, buffer));
    const format = options.format ?? detectFormat(head);
    const onProgress = progress?.update;
    const reading = { head, offset, onProgress, ...(options.limits && { limits: options.limits }), also: options.also };
    if (format === 'capture') return await loadCapture(path, source, reading);
    if (format === 'section') return await loadSection(path, source, reading);
    const { loadDocument } = await import('./load-document.js');
    return await loadDocument(path, source, format, reading);
  } finally {
    progress?.stop();
    await source.close();
  }
}

/** How an open source is read. */
interface Reading extends Pick<CaptureOptions, 'limits'> {
  readonly head: Uint8Array;
  readonly offset: number;
  readonly onProgress: ((offset: number) => void) | undefined;
  readonly also?: AlsoRead | undefined;
}

/**
 * What kind of input begins like this. Anything unknown counts as a capture, whose reader says best what it is not.
 * @throws DirtyBitmapError `unsupported` for a qcow2 image.
 */
export function detectFormat(head: Uint8Array): Format {
  const text = String.fromCharCode(...head.subarray(0, 64));
  if (text.startsWith('QFI\xfb')) {
    throw new DirtyBitmapError(
      'unsupported',
      'a qcow2 image: this version does not read images yet; `qemu-img info IMAGE` lists their bitmaps',
      { offset: 0 },
    );
  }
  if (/^\s*\[/.test(text)) return 'nbdinfo';
  if (/^\s*\{/.test(text)) return 'set';
  // A MessagePack map whose first key is "dirtybitmap" (11 bytes).
  if (/^[\x80-\x8f\xde\xdf].{0,4}\xabdirtybitmap/s.test(text)) return 'set';
  return 'capture';
}

async function loadCapture(input: string, source: Source, reading: Reading): Promise<InputReport> {
  const reader = await readCaptureSource(source, reading);
  const { bitmaps, bytes, summary, findings } = reader;
  return { input, format: 'capture', bytes: bytes + reading.offset, capture: summary, bitmaps, findings };
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
