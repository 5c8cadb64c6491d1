import { printable } from '../../bytes/text.js';
import type { CaptureOptions } from '../../capture/capture-parser.js';
import { QemuLoader } from '../../capture/qemu-loader.js';
import { DirtyBitmapError } from '../../errors.js';
import type { Finding } from '../../findings.js';
import type { QemuDestination } from '../../migration/qemu-destination.js';
import type { QemuBitmap, QemuPrediction } from '../../migration/qemu-prediction.js';
import { QEMU_VERSIONS } from '../../migration/qemu-version.js';
import { findingText, type Paint } from '../../report/info-text.js';
import type { Format } from '../../report/input-report.js';
import { predictionText } from '../../report/prediction-text.js';
import { jsonText, plural } from '../../report/text.js';
import type { Severity } from '../../rules.js';
import { readDestination } from '../destination-file.js';
import { loadInput } from '../load-input.js';
import { type InputOptions, type OpenOptions, openOptions } from '../open-input.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** What `check` can be asked. */
export interface CheckOptions extends InputOptions {
  readonly json?: boolean;
  /** `qemu`, or `qemu-` and a version: what that QEMU would do. */
  readonly as?: string;
  /** A file that describes the QEMU. */
  readonly destination?: string;
}

/** What a QEMU would do, as data. */
type PredictionDocument = Omit<QemuPrediction, 'bitmaps'> & {
  readonly bitmaps: readonly Omit<QemuBitmap, 'bits' | 'wordBits'>[];
};

/** What `check` says of one input. */
interface Checked {
  readonly input: string;
  readonly format: Format | null;
  /** No error was found. Warnings are no errors. */
  readonly ok: boolean;
  readonly bitmaps: number;
  readonly counts: Readonly<Record<Severity, number>>;
  readonly findings: readonly Finding[];
  readonly prediction?: PredictionDocument;
}

/** The JSON document of `check --json`. */
export interface CheckDocument {
  readonly inputs: readonly Checked[];
  readonly summary: Summary;
}

/** `check INPUT...`: every violation, with its rule and its byte offset. */
export async function check(inputs: readonly string[], options: CheckOptions, terminal: Terminal): Promise<number> {
  const destination = destinationOf(options);
  const own = openOptions(inputs, options);
  const paint = painter(terminal.stdout, terminal.env);
  const checked: Checked[] = [];
  let unreadable = false;
  for (const [at, input] of inputs.entries()) {
    const one = await checkOne(input, own[at] ?? {}, destination, terminal);
    unreadable ||= one.findings.some((finding) => finding.code === 'file-access');
    checked.push(one);
    if (options.json === true) continue;
    await writeOut(terminal, `${checkedText(one, paint).join('\n')}\n`);
  }
  const document: CheckDocument = { inputs: checked, summary: summarise(checked) };
  const text = options.json === true ? jsonText(document, 2) : summaryText(document.summary);
  await writeOut(terminal, `${text}\n`);
  if (unreadable) return EXIT.ACCESS;
  return document.summary.bad > 0 ? EXIT.BAD : EXIT.OK;
}

/** The QEMU that `--as` and `--destination` mean. */
function destinationOf(options: CheckOptions): QemuDestination | undefined {
  if (options.as === undefined) {
    if (options.destination === undefined) return undefined;
    throw new DirtyBitmapError('argument', '--destination describes the QEMU of --as; give --as qemu too');
  }
  const version = QEMU_VERSIONS.find((one) => options.as === `qemu-${one}`) ?? '7.2';
  return { ...(options.destination !== undefined && readDestination(options.destination)), version };
}

function checkedText(one: Checked, paint: Paint): string[] {
  const verdict = one.ok ? paint('ok', 'good') : paint('bad', 'error');
  const kind = one.format === null ? '' : ` (${one.format}, ${plural(one.bitmaps, 'bitmap')})`;
  const lines = [`${printable(one.input)}: ${verdict}${kind}`];
  lines.push(...one.findings.map((finding) => `  ${findingText(finding, paint)}`));
  if (one.prediction !== undefined) lines.push(...predictionText(one.prediction, paint).map((line) => `  ${line}`));
  return lines;
}

async function checkOne(
  input: string,
  options: OpenOptions,
  destination: QemuDestination | undefined,
  terminal: Terminal,
): Promise<Checked> {
  try {
    let loader: QemuLoader | undefined;
    const also = (capture: CaptureOptions): QemuLoader => {
      loader = new QemuLoader(destination as QemuDestination, capture);
      return loader;
    };
    const report = await loadInput(input, destination === undefined ? options : { ...options, also }, terminal);
    const { counts, list } = report.findings;
    const checked = { input, format: report.format, bitmaps: report.bitmaps.length, counts, findings: list };
    if (destination !== undefined && loader === undefined) {
      throw new DirtyBitmapError('argument', `--as is about captures; ${input} is a ${report.format}`);
    }
    const prediction = loader && predictionDocument(loader.finish());
    const ok = counts.error === 0 && (prediction === undefined || prediction.verdict === 'load');
    return { ...checked, ok, ...(prediction && { prediction }) };
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

function predictionDocument(prediction: QemuPrediction): PredictionDocument {
  const bitmaps = prediction.bitmaps.map(({ bits: _bits, wordBits: _wordBits, ...bitmap }) => bitmap);
  return { ...prediction, bitmaps };
}

/** What `check` says of all inputs together. */
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
