import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { LostBitmap } from '../qcow2/image-set.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import type { Format } from './input-report.js';

/** An input as a bitmap set, with all that the input tells and no more. */
export interface LoadedSet {
  readonly input: string;
  readonly format: Format;
  /** Of `nbdinfo` one bitmap without names. */
  readonly set: BitmapSet;
  readonly findings: Findings;
  /** Bitmaps of an image whose bits cannot be believed; they are not in the set. */
  readonly lost: readonly LostBitmap[];
}

/**
 * Refuses an input whose bitmaps may not be what the source had: who goes on with them loses changes. Ranges that are
 * left out are no fault in themselves (profile `compact` leaves out what is clean), so they are only said.
 * @returns what is to be said on standard error.
 * @throws DirtyBitmapError the first error that was found, with what there is besides.
 */
export function assertWhole({ input, format, findings }: LoadedSet): string[] {
  // An image whose list of bitmaps is broken is refused as it is read; what is wrong with one bitmap is its own.
  if (format === 'qcow2') return [];
  const errors = findings.list.filter((finding) => finding.severity === 'error');
  const [worst] = errors;
  const gaps = findings.list.filter((finding) => finding.code === 'chunk-gap').length;
  if (worst === undefined) {
    if (gaps === 0) return [];
    const ranges = `${input}: ranges of ${gaps} of its bitmaps were not sent and are taken as clean, as any QEMU does`;
    return [`${ranges}; only a sender of whole bitmaps could have lost some (see dirtybitmap check)`];
  }
  const { code, message, offset } = worst;
  const rest = findings.counts.error - 1;
  const more = rest > 0 ? ` (and ${rest} more: see dirtybitmap check)` : '';
  throw new DirtyBitmapError(code, `${quoted(input, 256)} is bad, nothing was written: ${message}${more}`, {
    ...(offset !== undefined && { offset }),
  });
}

/**
 * Refuses to leave a bitmap behind without a word: all that were not chosen by name must have their bits.
 * @throws DirtyBitmapError `bitmap-inconsistent`.
 */
export function assertNoneLost({ input, lost, set }: LoadedSet): void {
  const [first] = lost;
  if (first === undefined) return;
  const rest = set.nodes.flatMap(({ bitmaps }) => bitmaps.map(({ name }) => quoted(name.text, 80)));
  const others = rest.length > 0 ? `; choose the others with --select (${rest.slice(0, 20).join(', ')})` : '';
  const message = `${quoted(input, 256)}: ${first.message}${others}`;
  throw new DirtyBitmapError('bitmap-inconsistent', message);
}
