import type { Bitmap } from '../../bitmap/bitmap.js';
import { quoted } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { findingText } from '../../report/info-text.js';
import type { InputReport, ReportBitmap } from '../../report/input-report.js';
import { loadInput } from '../load-input.js';
import { openOptions } from '../open-input.js';
import { selectBitmap } from '../select-bitmap.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';
import { type MapOptions, writeMap } from '../write-map.js';

/** `map INPUT`: the dirty extents of one bitmap. */
export async function map(
  input: string,
  options: MapOptions & { readonly chain?: boolean },
  terminal: Terminal,
): Promise<number> {
  // Never by itself: a bitmap of an overlay is not that of its backing file.
  if (options.chain === true) return await (await import('./map-chain.js')).mapChain(input, options, terminal);
  const [own = {}] = openOptions([input], options);
  const report = await loadInput(input, own, terminal);
  const bad = report.findings.counts.error > 0;
  if (bad) tellWorst(report, terminal);
  // Where the input is bad and has no bitmap, that is the answer, not what was asked for.
  if (bad && report.bitmaps.length === 0) {
    if (options.json === true) await writeOut(terminal, '[]\n');
    return EXIT.BAD;
  }
  const bitmap = selectBitmap(report, options.bitmap);
  await writeMap({ ...bitmap, bits: bitsIn(bitmap) }, options, terminal);
  return bad ? EXIT.BAD : EXIT.OK;
}

/** The map is all that could be read; that it may not be all there is must not pass unseen. */
function tellWorst(report: InputReport, terminal: Terminal): void {
  const paint = painter(terminal.stderr, terminal.env);
  const worst = report.findings.list.find((finding) => finding.severity === 'error');
  const more = report.findings.counts.error - 1;
  if (worst === undefined) return;
  const rest = more > 0 ? ` (and ${more} more: see dirtybitmap check)` : '';
  terminal.stderr.write(`dirtybitmap: ${findingText(worst, paint)}${rest}\n`);
}

/** @throws DirtyBitmapError `bitmap-inconsistent` for one whose bits cannot be believed. */
function bitsIn({ name, trust, bits }: ReportBitmap): Bitmap {
  if (bits !== undefined) return bits;
  const message = `bitmap ${quoted(name.text)} is ${trust}: its bits are not in the image (see \`dirtybitmap check\`)`;
  throw new DirtyBitmapError('bitmap-inconsistent', message);
}
