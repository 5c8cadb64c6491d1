import { DirtyBitmapError } from '../../errors.js';
import { resolveLimits } from '../../limits.js';
import { densityBars } from '../../report/density-bar.js';
import { infoText } from '../../report/info-text.js';
import { type InfoDocument, infoDocument } from '../../report/input-report.js';
import { jsonText } from '../../report/text.js';
import { loadInput } from '../load-input.js';
import { nativeSha256 } from '../native-sha256.js';
import { type InputOptions, openOptions } from '../open-input.js';
import {
  barShape,
  type ErrorDocument,
  EXIT,
  errorDocument,
  errorLine,
  exitCodeOf,
  isTerminal,
  painter,
  type Terminal,
  writeOut,
} from '../terminal.js';

/** An input that could not be read, among others that could. */
export type UnreadInput = { readonly input: string } & ErrorDocument;

/** `info INPUT...`: what is in it. */
export async function info(
  inputs: readonly string[],
  options: InputOptions & { readonly json?: boolean },
  terminal: Terminal,
): Promise<number> {
  const own = openOptions(inputs, options);
  const documents: (InfoDocument | UnreadInput)[] = [];
  const { maxHashBytes } = resolveLimits(options.limit);
  const paint = painter(terminal.stdout, terminal.env);
  let worst: number = EXIT.OK;
  for (const [at, input] of inputs.entries()) {
    try {
      const report = await loadInput(input, own[at] ?? {}, terminal);
      const document = infoDocument(report, nativeSha256, maxHashBytes);
      if (document.findings.some((finding) => finding.severity === 'error')) worst = Math.max(worst, EXIT.BAD);
      if (options.json !== true) {
        const gap = documents.length > 0 ? '\n' : '';
        const bars = isTerminal(terminal.stdout) ? densityBars(report.bitmaps, barShape(terminal)) : [];
        await writeOut(terminal, `${gap}${infoText(document, paint, bars).join('\n')}\n`);
      }
      documents.push(document);
    } catch (error) {
      // One input that cannot be read does not keep the others from being shown.
      if (!(error instanceof DirtyBitmapError) || inputs.length === 1) throw error;
      worst = Math.max(worst, exitCodeOf(error));
      terminal.stderr.write(errorLine(error));
      documents.push({ input, ...errorDocument(error) });
    }
  }
  if (options.json === true)
    await writeOut(terminal, `${jsonText(inputs.length === 1 ? documents[0] : documents, 2)}\n`);
  return worst;
}
