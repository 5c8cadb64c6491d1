import { CaptureDecoder, type CaptureEvent } from '../capture/capture-decoder.js';
import type { CaptureOptions } from '../capture/capture-parser.js';
import { CaptureReader } from '../capture/capture-reader.js';
import { findVmdesc } from '../capture/find-vmdesc.js';
import { resolveLimits } from '../limits.js';
import { type PumpOptions, pump, readExactly, type Sink, seek } from './pump.js';
import { openSource, type Source } from './source.js';

/** How a capture is read from a file. */
export interface ReadCaptureOptions extends Omit<CaptureOptions, 'total' | 'vmdesc'> {
  /** Told now and then how far the file is read, in bytes. */
  readonly onProgress?: ((offset: number) => void) | undefined;
  /** Aborted, it ends the reading: its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a capture from a file or a pipe (`-` is standard input). Bad input does not throw: see `findings` of the reader.
 * @throws DirtyBitmapError `file-access` where it cannot be read, `argument` for an offset beyond a file's end.
 * @example
 * const { bitmaps, findings } = await readCapture('migration.bin');
 */
export async function readCapture(path: string, options: ReadCaptureOptions = {}): Promise<CaptureReader> {
  const source = await openSource(path);
  try {
    await seek(source, options.offset ?? 0);
    return await readCaptureSource(source, options);
  } finally {
    await source.close();
  }
}

/** {@link readCapture} of a source that is open; `head` are bytes that were read from it already. */
export async function readCaptureSource(
  source: Source,
  options: ReadCaptureOptions & Pick<PumpOptions, 'head'> & { readonly also?: AlsoRead | undefined } = {},
): Promise<CaptureReader> {
  const capture = await withVmdesc(source, options);
  const reader = new CaptureReader(capture);
  const also = options.also?.(capture);
  await pump(source, also === undefined ? reader : both(reader, also), options);
  reader.finish();
  return reader;
}

/** Makes a second taker of the same bytes, so that a pipe needs to be read only once. */
export type AlsoRead = (options: CaptureOptions) => Required<Sink>;

function both(a: Required<Sink>, b: Required<Sink>): Sink {
  return {
    push(piece) {
      a.push(piece);
      b.push(piece);
    },
    get stopped() {
      return a.stopped && b.stopped;
    },
    get skippable() {
      return Math.min(a.skippable, b.skippable);
    },
    skipped(count) {
      a.skipped(count);
      b.skipped(count);
    },
  };
}

/**
 * The events of a capture in a file, a batch for each piece that is read. The data of BITS chunks are views that are
 * valid until the next batch is asked for.
 * @throws DirtyBitmapError as `CaptureDecoder`, and `file-access`.
 */
export async function* captureEvents(
  path: string,
  options: ReadCaptureOptions = {},
): AsyncGenerator<Iterable<CaptureEvent>, void, void> {
  const source = await openSource(path);
  try {
    await seek(source, options.offset ?? 0);
    const decoder = new CaptureDecoder(await withVmdesc(source, options));
    const buffer = new Uint8Array(256 * 1024);
    for (let offset = options.offset ?? 0; ; ) {
      options.signal?.throwIfAborted();
      const count = await source.read(buffer, offset);
      if (count === 0) break;
      yield decoder.push(buffer.subarray(0, count));
      offset += count;
    }
    yield decoder.finish();
  } finally {
    await source.close();
  }
}

/** The options for a parser, with what the end of the file tells where it can be looked at. */
export async function withVmdesc(source: Source, options: ReadCaptureOptions): Promise<CaptureOptions> {
  const { offset, refuse, limits } = options;
  const rest = { ...(offset !== undefined && { offset }), ...(refuse && { refuse }), ...(limits && { limits }) };
  if (source.size === undefined) return rest;
  const read = async (from: number, length: number): Promise<Uint8Array> => await readExactly(source, from, length);
  const vmdesc = await findVmdesc(read, source.size, resolveLimits(options.limits).maxVmdescBytes);
  return { ...rest, total: source.size, vmdesc };
}
