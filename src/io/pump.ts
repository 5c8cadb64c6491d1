import { setImmediate } from 'node:timers/promises';
import { DirtyBitmapError } from '../errors.js';
import type { Source } from './source.js';

/** What takes pushed bytes: a reader or a decoder. */
export interface Sink {
  push(piece: Uint8Array): void;
  /** Bytes after those pushed that may be left out. */
  readonly skippable?: number;
  skipped?(count: number): void;
  /** Whether nothing that comes can change anything any more: a pipe need not be read further. */
  readonly stopped?: boolean;
}

export interface PumpOptions {
  /** Where to begin, in bytes. Default 0. */
  readonly offset?: number;
  /** First bytes that were read already, from `offset` on. */
  readonly head?: Uint8Array;
  /** Called now and then with the offset reached, in bytes. */
  readonly onProgress?: ((offset: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of one read: large enough that a call costs nothing beside it, small enough to stay in the cache. */
const PIECE = 256 * 1024;
/** Bytes after which signals and timers have their turn, also where reading never waits. */
const TURN = 64 * 1024 * 1024;
/** Seeking pays from here on, in bytes; below it reading on is faster. */
const SEEK = 4 * 1024 * 1024;

/**
 * Reads a source to its end and pushes all of it, but what the sink says it will not look at where the source can seek.
 * One buffer is reused throughout.
 * @throws DirtyBitmapError `file-access`, and what the sink throws; the reason of an aborted signal.
 */
export async function pump(source: Source, sink: Sink, options: PumpOptions = {}): Promise<void> {
  const buffer = new Uint8Array(PIECE);
  let offset = options.offset ?? 0;
  if (options.head !== undefined && options.head.length > 0) {
    sink.push(options.head);
    offset += options.head.length;
  }
  let sinceTurn = 0;
  for (;;) {
    options.signal?.throwIfAborted();
    if (sink.stopped === true && source.size === undefined) return;
    const skip = Math.min(sink.skippable ?? 0, (source.size ?? 0) - offset);
    if (skip >= SEEK) {
      sink.skipped?.(skip);
      offset += skip;
    }
    const count = await source.read(buffer, offset);
    if (count === 0) return;
    sink.push(buffer.subarray(0, count));
    offset += count;
    options.onProgress?.(offset);
    sinceTurn += count;
    if (sinceTurn >= TURN) {
      sinceTurn = 0;
      await setImmediate();
    }
  }
}

/**
 * Goes to an offset before the first read: a file need not, a pipe is read up to there.
 * @throws DirtyBitmapError `argument` where the file is shorter.
 */
export async function seek(source: Source, offset: number): Promise<void> {
  if (source.size !== undefined && offset > source.size) {
    throw new DirtyBitmapError('argument', `offset ${offset} lies behind the end of the file (${source.size} bytes)`);
  }
  const buffer = new Uint8Array(source.size === undefined ? Math.min(PIECE, offset) : 0);
  for (let at = 0; at < offset && buffer.length > 0; ) {
    const count = await source.read(buffer.subarray(0, Math.min(buffer.length, offset - at)), at);
    if (count === 0)
      throw new DirtyBitmapError('argument', `offset ${offset} lies behind the end of the input (${at} bytes)`);
    at += count;
  }
}

/**
 * Reads exactly `length` bytes from `offset` of a file.
 * @throws DirtyBitmapError `truncated` where the file ends before, `file-access`.
 */
export async function readExactly(source: Source, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const got = await readUpTo(source, offset, bytes);
  if (got === length) return bytes;
  throw new DirtyBitmapError('truncated', `expected ${length} bytes, the file ends after ${got}`, { offset });
}

/** Reads into `bytes` until it is full or the source ends; returns how many bytes were read. */
export async function readUpTo(source: Source, offset: number, bytes: Uint8Array): Promise<number> {
  let got = 0;
  while (got < bytes.length) {
    const count = await source.read(bytes.subarray(got), offset + got);
    if (count === 0) break;
    got += count;
  }
  return got;
}
