import { PHASES, type Timeline, WIRE_USES, type WireUse } from '../../capture/timeline.js';
import { percentText } from '../density.js';
import { shortLabel } from '../difference-map.js';
import { formatBytes, plural } from '../text.js';
import { legend } from './density-svg.js';
import { type Html, html } from './escape.js';
import { bar, folded, table } from './tables.js';
import { runName, timelineSvg } from './timeline-svg.js';

const USES: Readonly<Record<WireUse, string>> = {
  bits: 'bits of bitmaps',
  'chunk-headers': 'headers and names of chunks',
  'bitmap-sections': 'frames of dirty-bitmap sections',
  ram: 'RAM',
  devices: 'devices',
  package: 'package of the postcopy (devices)',
  other: 'the rest: configuration, commands, vmdesc',
};

/** How a capture went: what came when, and where its bytes went. */
export function captureSection(timeline: Timeline): Html {
  const { runs, leftOut } = timeline;
  return html`<h4>Timeline</h4>
<figure>${timelineSvg(timeline)}
<figcaption>${legend([
    ['use-bitmap', 'dirty-bitmap'],
    ['use-ram', 'RAM'],
    ['use-device', 'devices'],
    ['use-other', 'commands and the rest'],
  ])} From left to right as it was sent; widths grow with the logarithm of the bytes.</figcaption></figure>
${folded(`The timeline as a table (${plural(runs.length + (leftOut?.runs ?? 0), 'run')})`, runTable(timeline))}
${phaseTable(timeline)}
<h4>Where the bytes went</h4>
${useTable(timeline)}
${trafficTable(timeline)}`;
}

function runTable({ runs, leftOut }: Timeline): Html {
  const rows = runs.map((run) => [run.offset, run.phase, runName(run), run.count, formatBytes(run.bytes)]);
  if (leftOut !== null) {
    const { after, runs: gone, items, bytes } = leftOut;
    rows.splice(after, 0, ['…', '', `${plural(gone, 'run')} left out`, items, formatBytes(bytes)]);
  }
  const columns = [
    { title: 'Offset', number: true },
    { title: 'Phase' },
    { title: 'What' },
    { title: 'How many', number: true },
    { title: 'Bytes', number: true },
  ];
  return table('What was sent, in order', columns, rows);
}

function phaseTable({ phases, bytes: whole }: Timeline): Html {
  const rows = phases.map(({ phase, items, bytes }) => [
    phase,
    html`${bar(bytes, whole)}`,
    items,
    formatBytes(bytes),
    percentText(bytes, whole),
  ]);
  return table('Phases', [{ title: 'Phase' }, { title: '' }, { title: 'Items', number: true }, ...AMOUNT], rows);
}

const AMOUNT = [
  { title: 'Bytes', number: true },
  { title: 'Share', number: true },
];

function useTable({ uses, bytes: whole }: Timeline): Html {
  const rows = WIRE_USES.filter((use) => uses[use] > 0).map((use) => [
    USES[use],
    html`${bar(uses[use], whole, useClass(use))}`,
    formatBytes(uses[use]),
    percentText(uses[use], whole),
  ]);
  return table('Bytes of the stream by what they are for', [{ title: 'For' }, { title: '' }, ...AMOUNT], rows);
}

function useClass(use: WireUse): string {
  if (use === 'ram') return 'use-ram';
  if (use === 'devices' || use === 'package') return 'use-device';
  return use === 'other' ? 'use-other' : 'use-bitmap';
}

function trafficTable({ bitmaps, moreBitmaps }: Timeline): Html | false {
  if (bitmaps.length === 0) return false;
  const most = Math.max(...bitmaps.map(({ headerBytes, dataBytes }) => headerBytes + dataBytes));
  const rows = bitmaps.map((one) => [
    shortLabel(`${one.node}/${one.name}`),
    html`${bar(one.headerBytes + one.dataBytes, most, 'use-bitmap')}`,
    formatBytes(one.headerBytes + one.dataBytes),
    one.dataChunks,
    one.zeroChunks,
    formatBytes(one.elidedBytes),
    PHASES.filter((phase) => one.phases[phase] > 0)
      .map((phase) => `${one.phases[phase]} ${phase}`)
      .join(', '),
  ]);
  const columns = [
    { title: 'Bitmap' },
    { title: '' },
    { title: 'Bytes', number: true },
    { title: 'Data chunks', number: true },
    { title: 'Zero chunks', number: true },
    { title: 'Zeroes not sent', number: true },
    { title: 'Chunks by phase' },
  ];
  return html`${table('Bytes by bitmap', columns, rows)}${moreBitmaps > 0 && html`<p>${plural(moreBitmaps, 'more bitmap')}, not shown.</p>`}`;
}
