import type { Bitmap } from '../bitmap/bitmap.js';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { knownEnd } from '../set/bitmap-set.js';
import type { SetEntry } from '../set/rename-set.js';
import type { ReportBitmap } from './input-report.js';

/** One run of the JSON of `map`, in the shape of `nbdinfo --map=qemu:dirty-bitmap:NAME --json`. Offsets and lengths in bytes. */
export interface MapExtent {
  readonly offset: number;
  readonly length: number;
  /** 1 dirty, 0 clean. */
  readonly type: 0 | 1;
  readonly description: 'dirty' | 'clean';
}

/** What a map is made of. */
export interface Mapped extends Pick<ReportBitmap, 'coveredBytes'> {
  readonly bits: Bitmap;
}

/**
 * What the map of a bitmap of a set is made of.
 * @throws DirtyBitmapError `size-unknown` where nothing tells where it would end.
 */
export function mappedEntry({ node, bitmap }: SetEntry): Mapped {
  const end = knownEnd(node, bitmap);
  if (end !== undefined) return { bits: bitmap.bits, coveredBytes: end };
  const message = `nothing tells the size of node ${quoted(node.node.text)}, where its map would end; add "size" (bytes) to it`;
  throw new DirtyBitmapError('size-unknown', message);
}

/** Characters of text that are put together before they are handed on. */
const PIECE = 64 * 1024;

/** The runs of a bitmap as text, a piece at a time, so that millions of them need no memory. */
function* runs(
  bitmap: Mapped,
  before: string,
  text: (offset: number, length: number, dirty: boolean, first: boolean) => string,
  after: (any: boolean) => string,
): Generator<string, void, void> {
  const end = bitmap.coveredBytes;
  let piece = before;
  let at = 0;
  for (const [offset, length] of bitmap.bits.extents()) {
    // The last granule may reach beyond the disk's end; a bitmap of a stream ends where the stream's ranges end.
    if (offset >= end) break;
    if (offset > at) piece += text(at, offset - at, false, at === 0);
    const stop = Math.min(offset + length, end);
    piece += text(offset, stop - offset, true, offset === 0);
    at = stop;
    if (piece.length >= PIECE) {
      yield piece;
      piece = '';
    }
  }
  if (at < end) piece += text(at, end - at, false, at === 0);
  yield piece + after(end > 0);
}

/** The JSON of `map`: runs, dirty and clean by turns, from 0 to the end of what is known. */
export function mapJson(bitmap: Mapped): Generator<string, void, void> {
  return runs(
    bitmap,
    '',
    (offset, length, dirty, first) =>
      `${first ? '[\n' : ',\n'}{"offset":${offset},"length":${length},${
        dirty ? '"type":1,"description":"dirty"' : '"type":0,"description":"clean"'
      }}`,
    (any) => (any ? '\n]\n' : '[]\n'),
  );
}

/** The table of `map`, for people. */
export function mapText(bitmap: Mapped): Generator<string, void, void> {
  const line = (offset: string, length: string, state: string): string =>
    `${offset.padStart(18)} ${length.padStart(18)}  ${state}\n`;
  return runs(
    bitmap,
    line('Offset', 'Length', 'State'),
    (offset, length, dirty) => line(String(offset), String(length), dirty ? 'dirty' : 'clean'),
    () => '',
  );
}
