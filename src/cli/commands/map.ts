import { findingText } from '../../report/info-text.js';
import { forEachRun, writeMapJson } from '../../report/map-document.js';
import { type InputOptions, loadInput } from '../load-input.js';
import { selectBitmap } from '../select-bitmap.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** `map INPUT`: the dirty extents of one bitmap. */
export async function map(
  input: string,
  options: InputOptions & { readonly json?: boolean; readonly bitmap?: string },
  terminal: Terminal,
): Promise<number> {
  const report = await loadInput(input, options, terminal);
  const bitmap = selectBitmap(report, options.bitmap);
  const texts: string[] = [];
  if (options.json === true) {
    writeMapJson(bitmap, (text) => texts.push(text));
  } else {
    texts.push(`${'Offset'.padStart(18)} ${'Length'.padStart(18)}  State\n`);
    forEachRun(bitmap, (offset, length, dirty) => {
      texts.push(`${String(offset).padStart(18)} ${String(length).padStart(18)}  ${dirty ? 'dirty' : 'clean'}\n`);
    });
  }
  for (let at = 0; at < texts.length; at += 1000) await writeOut(terminal, texts.slice(at, at + 1000).join(''));
  if (report.findings.counts.error === 0) return EXIT.OK;
  // The map is all that could be read; that it may not be all there is must not pass unseen.
  const paint = painter(terminal.stderr, terminal.env);
  const worst = report.findings.list.find((finding) => finding.severity === 'error');
  const more = report.findings.counts.error - 1;
  if (worst !== undefined) {
    const rest = more > 0 ? ` (and ${more} more: see dirtybitmap check)` : '';
    terminal.stderr.write(`dirtybitmap: ${findingText(worst, paint)}${rest}\n`);
  }
  return EXIT.BAD;
}
