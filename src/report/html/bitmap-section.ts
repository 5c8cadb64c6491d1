import { percentText } from '../density.js';
import type { ExtentHistogram } from '../extent-histogram.js';
import type { BitmapModel, InputModel } from '../report-model.js';
import { formatBytes, formatBytesExact, plural } from '../text.js';
import { densityMap } from './density-svg.js';
import { type Html, html } from './escape.js';
import { badge, bar, facts, folded, severityBadge, table } from './tables.js';

/** All bitmaps of an input. */
export function bitmapSections({ bitmaps, otherBitmaps }: InputModel): Html {
  if (bitmaps.length === 0) return html`<p class="muted">No bitmaps.</p>`;
  const { labels, total } = otherBitmaps;
  const unnamed = total - labels.length;
  const others =
    total > 0 &&
    folded(
      `${plural(total, 'more bitmap')}, not shown`,
      html`<ul class="names">${labels.map((label) => html`<li>${label}</li>`)}</ul>${unnamed > 0 && html`<p>and ${unnamed} more</p>`}`,
    );
  return html`${bitmaps.map(bitmapSection)}${others}`;
}

function bitmapSection(bitmap: BitmapModel): Html {
  const { label, granularity, count, coveredBytes, diskEnd, density, histogram, rawNames, wireBytes, chunks } = bitmap;
  const dirty =
    count === null
      ? 'not known'
      : `${formatBytesExact(count)}${coveredBytes > 0 ? `, ${percentText(Math.min(count, coveredBytes), coveredBytes)}` : ''}`;
  return html`<article class="bitmap"><h4>${label}</h4>
<p class="badges">${stateBadge(bitmap)} ${badge(bitmap.recording ? 'recording' : 'disabled')} ${badge(bitmap.persistent ? 'persistent' : 'transient')} ${bitmap.flags.map((flag) => html`${badge(`flag ${flag}`)} `)}</p>
${facts([
  ['Dirty', dirty],
  [diskEnd ? 'Disk' : 'Known up to', count === null ? null : formatBytesExact(coveredBytes)],
  ['Granularity', formatBytes(granularity)],
  [
    'Extents',
    histogram &&
      html`${histogram.extents}${histogram.extents > 0 && `, the longest ${formatBytes(histogram.longest)}`}`,
  ],
  ['On the wire', wireBytes === null ? null : formatBytes(wireBytes)],
  ['Chunks', chunks && `${chunks.data} with data, ${chunks.zeroes} of zeroes only`],
  ['Names in hexadecimal', rawNames],
])}
${!diskEnd && count !== null && html`<p class="muted">The input does not tell the size of the disk: the map ends where the bitmap is known.</p>`}
${density === null ? html`<p>Its bits cannot be believed, so there is no map: see the findings.</p>` : densityMap(density, label)}
${histogram && histogram.extents > 0 && extentTable(histogram)}</article>`;
}

function stateBadge({ state, good }: BitmapModel): Html {
  return severityBadge(good ? 'good' : state === 'in-use-live' ? 'info' : 'error', state);
}

/** How long the extents are, with bars: the table is the histogram. */
function extentTable({ buckets, extents }: ExtentHistogram): Html {
  const most = Math.max(...buckets.map((bucket) => bucket.extents));
  const rows = buckets.map(({ from, extents: count, bytes }) => [
    html`${formatBytes(from)} to ${formatBytes(from * 2)}`,
    html`${bar(count, most)}`,
    count,
    formatBytes(bytes),
  ]);
  const columns = [
    { title: 'Extents of' },
    { title: '' },
    { title: 'How many', number: true },
    { title: 'Bytes', number: true },
  ];
  return html`<h5>Extent sizes</h5>${table(`${plural(extents, 'dirty extent')} by size`, columns, rows)}`;
}
