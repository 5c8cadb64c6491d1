import type { ReportBitmap } from './input-report.js';

/** One run of the JSON of `map`, in the shape of `nbdinfo --map=qemu:dirty-bitmap:NAME --json`. Offsets and lengths in bytes. */
export interface MapExtent {
  readonly offset: number;
  readonly length: number;
  /** 1 dirty, 0 clean. */
  readonly type: 0 | 1;
  readonly description: 'dirty' | 'clean';
}

/**
 * Calls back for each run of a bitmap, dirty and clean by turns, from 0 to the end of what is known.
 * Offsets and lengths in bytes.
 */
export function forEachRun(
  bitmap: Pick<ReportBitmap, 'bits' | 'coveredBytes'>,
  run: (offset: number, length: number, dirty: boolean) => void,
): void {
  const end = bitmap.coveredBytes;
  let at = 0;
  bitmap.bits.forEachExtent((offset, length) => {
    // The last granule may reach beyond the disk's end; a bitmap of a stream ends where the stream's ranges end.
    const stop = Math.min(offset + length, end);
    if (offset >= end) return;
    if (offset > at) run(at, offset - at, false);
    run(offset, stop - offset, true);
    at = stop;
  });
  if (at < end) run(at, end - at, false);
}

/** The JSON of `map`, a piece of text at a time so that a bitmap of a million extents needs no memory for them all. */
export function writeMapJson(bitmap: Pick<ReportBitmap, 'bits' | 'coveredBytes'>, write: (text: string) => void): void {
  let text = '';
  let first = true;
  forEachRun(bitmap, (offset, length, dirty) => {
    text += `${first ? '[\n' : ',\n'}{"offset":${offset},"length":${length},${
      dirty ? '"type":1,"description":"dirty"' : '"type":0,"description":"clean"'
    }}`;
    first = false;
    if (text.length > 60_000) {
      write(text);
      text = '';
    }
  });
  write(first ? '[]\n' : `${text}\n]\n`);
}
