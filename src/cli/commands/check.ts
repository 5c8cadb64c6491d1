import { printable } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import type { Finding } from '../../findings.js';
import { findingText } from '../../report/info-text.js';
import type { Format } from '../../report/input-report.js';
import { plural } from '../../report/text.js';
import type { Severity } from '../../rules.js';
import { type InputOptions, loadInput } from '../load-input.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** What `check` says of one input. */
interface Checked {
  readonly input: string;
  readonly format: Format | null;
  /** No error was found. Warnings are no errors. */
  readonly ok: boolean;
  readonly bitmaps: number;
  readonly counts: Readonly<Record<Severity, number>>;
  readonly findings: readonly Finding[];
}

/** `check INPUT...`: every violation, with its rule and its byte offset. */
export async function check(
  inputs: readonly string[],
  options: InputOptions & { readonly json?: boolean },
  terminal: Terminal,
): Promise<number> {
  const paint = painter(terminal.stdout, terminal.env);
  const checked: Checked[] = [];
  let unreadable = false;
  for (const input of inputs) {
    const one = await checkOne(input, options, terminal);
    unreadable ||= one.findings.some((finding) => finding.code === 'file-access');
    checked.push(one);
    if (options.json === true) continue;
    const verdict = one.ok ? paint('ok', 'good') : paint('bad', 'error');
    const kind = one.format === null ? '' : ` (${one.format}, ${plural(one.bitmaps, 'bitmap')})`;
    const lines = [
      `${printable(input)}: ${verdict}${kind}`,
      ...one.findings.map((finding) => `  ${findingText(finding, paint)}`),
    ];
    await writeOut(terminal, `${lines.join('\n')}\n`);
  }
  const summary = summarise(checked);
  const text = options.json === true ? JSON.stringify({ inputs: checked, summary }, null, 2) : summaryText(summary);
  await writeOut(terminal, `${text}\n`);
  if (unreadable) return EXIT.ACCESS;
  return summary.bad > 0 ? EXIT.BAD : EXIT.OK;
}

async function checkOne(input: string, options: InputOptions, terminal: Terminal): Promise<Checked> {
  try {
    const { format, bitmaps, findings } = await loadInput(input, options, terminal);
    const { counts, list } = findings;
    return { input, format, ok: counts.error === 0, bitmaps: bitmaps.length, counts, findings: list };
  } catch (error) {
    // One input that cannot be read does not keep the others from being checked.
    if (!(error instanceof DirtyBitmapError) || error.code === 'argument') throw error;
    const { code, message, offset } = error;
    const finding = { severity: 'error', code, ...(offset !== undefined && { offset }), message } as const;
    return {
      input,
      format: null,
      ok: false,
      bitmaps: 0,
      counts: { error: 1, warning: 0, info: 0 },
      findings: [finding],
    };
  }
}

interface Summary {
  readonly inputs: number;
  readonly bad: number;
  readonly errors: number;
  readonly warnings: number;
}

function summarise(checked: readonly Checked[]): Summary {
  const sum = (pick: (one: Checked) => number): number => checked.reduce((total, one) => total + pick(one), 0);
  return {
    inputs: checked.length,
    bad: checked.filter((one) => !one.ok).length,
    errors: sum((one) => one.counts.error),
    warnings: sum((one) => one.counts.warning),
  };
}

function summaryText({ inputs, bad, errors, warnings }: Summary): string {
  return `${plural(inputs, 'input')}: ${inputs - bad} ok, ${bad} bad; ${plural(errors, 'error')}, ${plural(warnings, 'warning')}`;
}
