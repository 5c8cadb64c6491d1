import { realpath } from 'node:fs/promises';
import { printable, quoted } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { checkOutput } from '../../io/write-file.js';
import { differenceModel } from '../../report/difference-map.js';
import { reportHtml } from '../../report/html/page.js';
import type { InputReport } from '../../report/input-report.js';
import { budgetOf, type InputModel, inputModel, unreadModel } from '../../report/report-model.js';
import { plural } from '../../report/text.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { loadForReport } from '../report-input.js';
import { EXIT, errorLine, exitCodeOf, type Terminal, writeOut } from '../terminal.js';
import { writePieces } from '../write-set.js';

/** What `report` can be asked. */
export interface ReportOptions extends InputOptions {
  /** A file, or `-`. */
  readonly output: string;
  readonly force?: boolean;
  /** Read the backing chains of images. */
  readonly chain?: boolean;
}

/** `report INPUT... -o FILE`: a page with pictures of what is in the inputs; exit code 1 where one of them has errors. */
export async function report(inputs: readonly string[], options: ReportOptions, terminal: Terminal): Promise<number> {
  const { output, chain = false } = options;
  if (output === '') throw new DirtyBitmapError('argument', '-o: expected the name of a file, or -, found nothing');
  const own = openOptions(inputs, options);
  if (output !== '-') {
    await refuseInput(output, inputs);
    await checkOutput(output, options);
  }
  const budget = budgetOf(inputs.length);
  const models: InputModel[] = [];
  const read: InputReport[] = [];
  let worst: number = EXIT.OK;
  for (const [at, input] of inputs.entries()) {
    try {
      const loaded = await loadForReport(input, own[at] ?? {}, { chain, budget }, terminal);
      if (loaded.report.findings.counts.error > 0) worst = Math.max(worst, EXIT.BAD);
      models.push(inputModel(loaded.report, loaded.extras, budget));
      // Bits of many inputs are not kept: only two are compared.
      if (inputs.length === 2) read.push(loaded.report);
    } catch (error) {
      // One input that cannot be read does not keep the others from being shown.
      if (!(error instanceof DirtyBitmapError) || error.code === 'argument') throw error;
      // Of what is there and bad a page is made; of what is not there alone none.
      if (inputs.length === 1 && exitCodeOf(error) !== EXIT.BAD) throw error;
      worst = Math.max(worst, exitCodeOf(error));
      terminal.stderr.write(errorLine(error));
      const { code, message, offset } = error;
      models.push(unreadModel(input, { severity: 'error', code, message, ...(offset !== undefined && { offset }) }));
    }
  }
  if (chain && models.every((model) => model.chain === null && model.format !== null)) {
    throw new DirtyBitmapError('argument', '--chain is about qcow2 images, and there is none; leave it out');
  }
  const [a, b] = read;
  const limits = { maxPairs: budget.pairs, maxCells: budget.cells };
  const differences = a !== undefined && b !== undefined ? differenceModel(a, b, limits) : null;
  const page = reportHtml({ version: terminal.version, inputs: models, differences });
  await writePieces([new TextEncoder().encode(page)], options, terminal);
  if (output !== '-') {
    await writeOut(terminal, `${printable(output)}: ${contentText(models)}\n`);
  }
  return worst;
}

/** A page in the place of what it is about is never meant, not even with `--force`. */
async function refuseInput(output: string, inputs: readonly string[]): Promise<void> {
  const place = await realpath(output).catch(() => undefined);
  if (place === undefined) return;
  for (const input of inputs) {
    if ((await realpath(input).catch(() => undefined)) !== place) continue;
    throw new DirtyBitmapError('argument', `-o: ${quoted(output, 256)} is one of the inputs; name another file`);
  }
}

/** `1 input, 2 bitmaps, 3 findings`. */
function contentText(models: readonly InputModel[]): string {
  const bitmaps = models.reduce((sum, one) => sum + one.bitmaps.length + one.otherBitmaps.total, 0);
  const findings = models.reduce((sum, { counts }) => sum + counts.error + counts.warning + counts.info, 0);
  return `report of ${plural(models.length, 'input')}: ${plural(bitmaps, 'bitmap')}, ${plural(findings, 'finding')}`;
}
