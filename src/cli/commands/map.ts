import { findingText } from '../../report/info-text.js';
import type { InputReport } from '../../report/input-report.js';
import { mapJson, mapText } from '../../report/map-document.js';
import { loadInput } from '../load-input.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { selectBitmap } from '../select-bitmap.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** `map INPUT`: the dirty extents of one bitmap. */
export async function map(
  input: string,
  options: InputOptions & { readonly json?: boolean; readonly bitmap?: string },
  terminal: Terminal,
): Promise<number> {
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
  for (const text of options.json === true ? mapJson(bitmap) : mapText(bitmap)) await writeOut(terminal, text);
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
