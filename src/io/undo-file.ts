import { open, readFile, rm } from 'node:fs/promises';
import { quoted, toHex } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { PlannedWrite } from '../qcow2/commit/plan.js';
import type { RandomAccess } from '../qcow2/random-access.js';
import { accessError } from './source.js';

/** A write over bytes that the file has, with those bytes. */
export interface InPlaceWrite {
  readonly step: PlannedWrite;
  readonly before: Uint8Array;
}

/** Bytes of a file that were overwritten, and with what. */
interface UndoRange {
  /** In bytes. */
  readonly offset: number;
  readonly what: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

// The file has two lines of JSON: what is overwritten, and, when all is done, how the image was left.
const VERSION = 1;

/** A file as it was left: whoever writes it changes one of these. */
export interface FileStamp {
  /** In bytes. */
  readonly size: bigint;
  /** When it was written last, in nanoseconds since 1970. */
  readonly mtimeNs: bigint;
}

/** The writes of a plan that overwrite something. */
export async function inPlaceWrites(
  steps: Iterable<PlannedWrite>,
  file: RandomAccess,
): Promise<readonly InPlaceWrite[]> {
  const size = await file.size();
  const found: InPlaceWrite[] = [];
  const now = new Overlay();
  for (const step of steps) {
    if (step.offset >= size) continue;
    const before = new Uint8Array(await file.read(step.offset, step.length));
    now.read(step.offset, before);
    now.write(step.offset, step.bytes());
    found.push({ step, before });
  }
  return found;
}

/**
 * Writes what every overwritten byte was and becomes, to a file that is not there yet, and waits for the disk.
 * @throws DirtyBitmapError `output-exists`, `file-access`.
 */
export async function writeUndo(path: string, image: string, writes: readonly InPlaceWrite[]): Promise<void> {
  const ranges = writes.map(({ step: { offset, what, bytes }, before }) => ({
    ...{ offset, what, before: toHex(before), after: toHex(bytes().subarray(0, before.length)) },
  }));
  await writeLine(path, 'wx', { dirtybitmapUndo: VERSION, image, ranges });
}

/**
 * Adds how the image was left, when the change is done: only then it can be undone.
 * @throws DirtyBitmapError `file-access`.
 */
export async function sealUndo(path: string, { size, mtimeNs }: FileStamp): Promise<void> {
  await writeLine(path, 'a', { left: { size: `${size}`, mtimeNs: `${mtimeNs}` } });
}

async function writeLine(path: string, flags: 'wx' | 'a', value: unknown): Promise<void> {
  try {
    const file = await open(path, flags);
    try {
      await file.writeFile(`${JSON.stringify(value)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const exists = code === 'EEXIST';
    if (flags === 'wx' && !exists) await rm(path, { force: true });
    const before = flags === 'a' ? '; the image was changed, and cannot be undone' : '';
    const why = exists ? 'is there already; give --undo another name' : `cannot be written: ${message}${before}`;
    throw new DirtyBitmapError(exists ? 'output-exists' : 'file-access', `${quoted(path, 256)} ${why}`, {
      cause: error,
    });
  }
}

/**
 * The writes that put every byte back, the last one first, as they are in an undo file.
 * @param now the image as it is.
 * @throws DirtyBitmapError `file-access`; `undo-invalid` where it is no undo file, where the change did not end, or where
 * the image is not any more what that left. A guest may write to the disk without a trace in the bytes that were changed,
 * and a bitmap that comes back would know nothing of it: so the time of the last write counts too.
 */
export async function readUndo(
  path: string,
  file: RandomAccess,
  now: FileStamp,
): Promise<readonly { readonly offset: number; readonly bytes: Uint8Array }[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw accessError(path, error);
  });
  const { ranges, left } = parse(text, path);
  if (left.size !== now.size || left.mtimeNs !== now.mtimeNs) {
    throw new DirtyBitmapError('undo-invalid', `the image was written, or copied, since the change; ${NO_UNDO}`);
  }
  const expected = new Overlay();
  for (const { offset, after } of ranges) expected.write(offset, after);
  for (const { offset, what, after } of ranges) {
    const wanted = after.slice();
    expected.read(offset, wanted);
    const found = await file.read(offset, wanted.length);
    if (wanted.length === found.length && wanted.every((byte, at) => byte === found[at])) continue;
    const message = `the image is not as the change left it (${what} at ${offset}); ${NO_UNDO}`;
    throw new DirtyBitmapError('undo-invalid', message, { offset });
  }
  return ranges.reverse().map(({ offset, before }) => ({ offset, bytes: before }));
}

const NO_UNDO = 'it cannot be undone: bitmaps that came back would not know what was written in between';

function parse(text: string, path: string): { ranges: UndoRange[]; left: FileStamp } {
  try {
    const [first = '', second = ''] = text.split('\n');
    const { dirtybitmapUndo, ranges } = JSON.parse(first);
    if (dirtybitmapUndo !== VERSION || !Array.isArray(ranges)) throw new Error('no such fields');
    if (second === '')
      throw new Error('that the change did not end; see `dirtybitmap info` for what the image has now');
    const { size, mtimeNs } = JSON.parse(second).left ?? {};
    if (![size, mtimeNs].every((text) => /^\d+$/.test(text))) throw new Error('no such fields');
    return { ranges: ranges.map(parseRange), left: { size: BigInt(size), mtimeNs: BigInt(mtimeNs) } };
  } catch (cause) {
    const message = `${quoted(path, 256)}: expected what --undo wrote, found ${(cause as Error).message}`;
    throw new DirtyBitmapError('undo-invalid', message, { cause });
  }
}

function parseRange({
  offset,
  what,
  before,
  after,
}: Record<'offset' | 'what' | 'before' | 'after', unknown>): UndoRange {
  const range = { offset: Number(offset), what: String(what), before: fromHex(before), after: fromHex(after) };
  if (!Number.isSafeInteger(offset) || range.offset < 0) throw new Error(`a bad offset ${offset}`);
  if (range.before.length !== range.after.length) throw new Error('ranges of two lengths');
  return range;
}

function fromHex(hex: unknown): Uint8Array {
  if (typeof hex !== 'string' || !/^([0-9a-f]{2})*$/.test(hex)) throw new Error('no bytes in hexadecimal');
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** Bytes as they are after some writes. They are few: headers, and a range in each of the refcount blocks. */
class Overlay {
  readonly #writes: { readonly offset: number; readonly bytes: Uint8Array }[] = [];

  write(offset: number, bytes: Uint8Array): void {
    this.#writes.push({ offset, bytes });
  }

  /** Puts what was written over `into`, which lies at `at`. */
  read(at: number, into: Uint8Array): void {
    for (const { offset, bytes } of this.#writes) {
      const start = Math.max(at, offset);
      const end = Math.min(at + into.length, offset + bytes.length);
      if (start < end) into.set(bytes.subarray(start - offset, end - offset), start - at);
    }
  }
}
