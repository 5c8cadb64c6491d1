import { type Column, formatTable } from '../src/report/text.js';
import { type Case, type Goal, type Measured, reaches, type Unit } from './case.js';
import type { Machine } from './machine.js';

/** A case and what came of it. */
export interface Outcome {
  readonly case: Pick<Case, 'name' | 'group' | 'title' | 'against' | 'goal' | 'unit'>;
  readonly result: Measured | { readonly absent: string } | { readonly failed: string };
}

/** What became of a goal; `-` where there is none. */
export type Verdict = 'yes' | 'no' | 'absent' | 'failed' | '-';

const COLUMNS: readonly Column[] = [
  { title: 'CASE' },
  { title: 'MEDIAN', align: 'right' },
  { title: 'P10..P90', align: 'right' },
  { title: 'GOAL', align: 'right' },
  { title: 'REACHED' },
  { title: 'NS/CHUNK', align: 'right' },
  { title: 'GB/S', align: 'right' },
  { title: 'WHAT, AGAINST WHAT' },
];

export function verdictOf({ case: { goal }, result }: Outcome): Verdict {
  if ('absent' in result) return 'absent';
  if ('failed' in result) return 'failed';
  if (goal === undefined) return '-';
  return reaches(result.value.median, goal) ? 'yes' : 'no';
}

/** Lines of the table. */
export function tableLines(outcomes: readonly Outcome[]): string[] {
  return formatTable(COLUMNS, outcomes.map(cells));
}

/** `N reached, N missed, N absent`, and how many failed where any did. */
export function summaryLine(outcomes: readonly Outcome[]): string {
  const count = (verdict: Verdict): number => outcomes.filter((one) => verdictOf(one) === verdict).length;
  const failed = count('failed');
  const summary = `${count('yes')} reached, ${count('no')} missed, ${count('absent')} absent`;
  return failed > 0 ? `${summary}, ${failed} failed` : summary;
}

/** The file that keeps the results of the last run. */
export function resultsMarkdown(outcomes: readonly Outcome[], machine: Machine): string {
  const { date, cpu, cores, memory, node, v8, qemu, peers } = machine;
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  const row = (texts: readonly string[]): string =>
    `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    '# Results',
    '',
    `Written by \`npm run bench -- --write\`, ${date}. ${cpu}, ${cores} cores, ${memory} GiB; Node ${node} (V8 ${v8}); QEMU ${qemu}; ${versions.join(', ')}.`,
    '',
    'The median of the ratios of each round, and where 80 % of them lie. A ratio is how many times as fast, where the',
    'goal is a least; how many times the time, where it is a most.',
    '',
    row(COLUMNS.map(({ title }) => title.toLowerCase())),
    row(COLUMNS.map(({ align }) => (align === 'right' ? '--:' : ':--'))),
    ...outcomes.map((one) => row(cells(one))),
    '',
    summaryLine(outcomes),
    '',
  ].join('\n');
}

function cells(outcome: Outcome): string[] {
  const { case: one, result } = outcome;
  const { name, goal, unit = 'x' } = one;
  const verdict = verdictOf(outcome);
  const wanted = goal === undefined ? '' : goalText(goal);
  if ('absent' in result) return [name, '', '', wanted, verdict, '', '', result.absent];
  if ('failed' in result) return [name, '', '', wanted, verdict, '', '', result.failed.split('\n')[0] ?? ''];
  const { value, nsPerChunk, gbPerSecond, against = one.against, note } = result;
  return [
    name,
    valueText(value.median, unit),
    `${digits(value.p10)}..${digits(value.p90)}`,
    wanted,
    verdict,
    nsPerChunk === undefined ? '' : digits(nsPerChunk),
    gbPerSecond === undefined ? '' : digits(gbPerSecond),
    `${one.title}${against === '-' ? '' : ` / ${against}`}${note === undefined ? '' : ` (${note})`}`,
  ];
}

function goalText(goal: Goal): string {
  return 'atLeast' in goal ? `>= ${goal.atLeast}` : `<= ${goal.atMost}`;
}

function valueText(value: number, unit: Unit): string {
  return unit === 'x' ? digits(value) : `${digits(value)} ${unit}`;
}

/** Three digits, as far as they mean something. */
function digits(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
