import type { DifferenceMap, DifferenceModel, PairModel } from '../difference-map.js';
import { formatBytes, formatBytesExact, plural } from '../text.js';
import { type CellMap, cellMapSvg, legend, regionTable } from './density-svg.js';
import { type Html, html } from './escape.js';
import { severityBadge } from './tables.js';

const KINDS = { none: 'd0', both: 'both', a: 'only-a', b: 'only-b', mixed: 'mixed' } as const;

const LEGEND = [
  [KINDS.none, 'clean in both'],
  [KINDS.both, 'dirty in both'],
  [KINDS.a, 'some only in A'],
  [KINDS.b, 'some only in B'],
  [KINDS.mixed, 'some only in A, some only in B'],
] as const;

/** What the maps below are filled with: patterns, so that nobody depends on colours. */
export const PATTERNS: Html = html`<svg class="defs" aria-hidden="true"><defs>
<pattern id="hatch-a" width="4" height="4" patternUnits="userSpaceOnUse"><rect class="paper-a" width="4" height="4"/><path class="ink-a" d="M-1 1l2-2M0 4l4-4M3 5l2-2"/></pattern>
<pattern id="hatch-b" width="4" height="4" patternUnits="userSpaceOnUse"><rect class="paper-b" width="4" height="4"/><circle class="ink-b" cx="2" cy="2" r="1.1"/></pattern>
</defs></svg>`;

/** Two inputs, bitmap by bitmap: what only one of them has. */
export function differenceSection({ a, b, pairs, morePairs, lost }: DifferenceModel): Html {
  return html`<section id="differences"><h2>Differences</h2>
<p>A is <strong>${a}</strong>, B is <strong>${b}</strong>.</p>
${pairs.length === 0 && html`<p class="muted">There is no bitmap to compare.</p>`}
${pairs.map(pairSection)}
${morePairs > 0 && html`<p>${plural(morePairs, 'more bitmap')}, not shown.</p>`}
${lost.length > 0 && html`<p>Not compared, as their bits cannot be believed: ${lost.slice(0, 100).join(', ')}${lost.length > 100 && ` and ${lost.length - 100} more`}.</p>`}</section>`;
}

function pairSection({ label, status, fields, map }: PairModel): Html {
  const verdict = { equal: 'equal', different: 'different', 'only-in-a': 'only in A', 'only-in-b': 'only in B' }[
    status
  ];
  return html`<article class="bitmap"><h3>${label} ${severityBadge(status === 'equal' ? 'good' : 'error', verdict)}</h3>
${fields.length > 0 && html`<ul>${fields.map(({ field, a, b }) => html`<li>${field}: ${String(a)} in A, ${String(b)} in B</li>`)}</ul>`}
${map !== null && map.both.length > 0 && differenceFigure(map, label)}</article>`;
}

function differenceFigure(map: DifferenceMap, label: string): Html {
  const cells = differenceCells(map);
  const totals = amounts(map, 0, map.both.length);
  const total = amountText(totals);
  const inTable = regionTable(cells, 'Differing bytes', COLUMNS, (first, end) => {
    const { a, b, both } = amounts(map, first, end);
    return a + b + both === 0 ? undefined : [a, b, both].map(formatBytes);
  });
  return html`<p>Only in A: ${formatBytesExact(totals.a)}. Only in B: ${formatBytesExact(totals.b)}. In both: ${formatBytesExact(totals.both)}.</p>
<figure>${cellMapSvg(cells, `Difference map of ${label}: ${total}`)}
<figcaption>${legend(LEGEND)} A cell is ${formatBytes(map.cellBytes)} of the disk.</figcaption></figure>
${inTable}`;
}

const COLUMNS = [
  { title: 'Only in A', number: true },
  { title: 'Only in B', number: true },
  { title: 'In both', number: true },
];

function differenceCells(map: DifferenceMap): CellMap {
  const kind = (cell: number): string => {
    const { a, b, both } = amounts(map, cell, cell + 1);
    if (a > 0 && b > 0) return KINDS.mixed;
    if (a > 0) return KINDS.a;
    if (b > 0) return KINDS.b;
    return both > 0 ? KINDS.both : KINDS.none;
  };
  const text = (first: number, end: number): string => amountText(amounts(map, first, end));
  return {
    ...{ size: map.size, cellBytes: map.cellBytes, cells: map.both.length },
    look: (first, end) => ({ kind: kind(first), text: text(first, end) }),
    joins: (cell) => [map.onlyA, map.onlyB, map.both].every((bytes) => bytes[cell] === bytes[cell - 1]),
    row: text,
  };
}

interface Amounts {
  readonly a: number;
  readonly b: number;
  readonly both: number;
}

function amounts({ onlyA, onlyB, both }: DifferenceMap, first: number, end: number): Amounts {
  const sum = (cells: readonly number[]): number => cells.slice(first, end).reduce((total, bytes) => total + bytes, 0);
  return { a: sum(onlyA), b: sum(onlyB), both: sum(both) };
}

function amountText({ a, b, both }: Amounts): string {
  const parts = [
    ...(a > 0 ? [`only A ${formatBytes(a)}`] : []),
    ...(b > 0 ? [`only B ${formatBytes(b)}`] : []),
    ...(both > 0 ? [`both ${formatBytes(both)}`] : []),
  ];
  return parts.length === 0 ? 'clean in both' : parts.join(', ');
}
