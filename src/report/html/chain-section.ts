import type { ChainBitmapModel, ChainModel } from '../chain-model.js';
import { cellLength, type Density, dirtyBytes, percentText } from '../density.js';
import { formatBytes, formatBytesExact, plural } from '../text.js';
import { LEVELS, legend, levelOf, rangeText } from './density-svg.js';
import { type Html, html } from './escape.js';
import { severityBadge, short, table } from './tables.js';

/** Layers that are listed. */
const MAX_LAYERS = 100;
const WIDTH = 640;
const HEIGHT = 20;

/** A backing chain: its layers, and each bitmap layer by layer. */
export function chainSection({ document, bitmaps, moreNames }: ChainModel): Html {
  const { layers, end, endReason } = document;
  const rows = layers
    .slice(0, MAX_LAYERS)
    .map(({ path, format, formatSource, virtualSize, fileSize, bitmaps: own }, at) => [
      String(at),
      path,
      format === null ? 'not recorded' : `${format} (${formatSource})`,
      virtualSize === null ? (fileSize === null ? 'not known' : formatBytes(fileSize)) : formatBytes(virtualSize),
      own
        .map(({ name, trust }) => `${name}: ${trust}`)
        .slice(0, 20)
        .join(', '),
    ]);
  const columns = [
    { title: 'Layer', number: true },
    { title: 'File' },
    { title: 'Format' },
    { title: 'Disk', number: true },
    { title: 'Bitmaps' },
  ];
  const kind = end === 'terminated' ? 'good' : end === 'unknown' ? 'warning' : 'error';
  return html`<h4>Backing chain</h4>
${table(`${plural(layers.length, 'layer')}, the active one first`, columns, rows)}
${layers.length > MAX_LAYERS && html`<p>${plural(layers.length - MAX_LAYERS, 'more layer')}, not shown.</p>`}
<p>The chain ends: ${severityBadge(kind, end)} ${endReason}</p>
${bitmaps.length > 0 && html`<p class="muted">${legend(LEVELS.map((text, level) => [`d${level}`, text]))}</p>`}
${bitmaps.map((bitmap) =>
  bitmapStrips(
    bitmap,
    layers.map(({ path }) => path),
  ),
)}
${moreNames > 0 && html`<p>${plural(moreNames, 'more bitmap')}, not shown.</p>`}`;
}

function bitmapStrips({ name, size, strips, union, reason }: ChainBitmapModel, paths: readonly string[]): Html {
  const rows = strips.map(({ layer, trust, count, density }) =>
    stripRow(`Layer ${layer}`, paths[layer] ?? '', trust, count, density, size),
  );
  const whole =
    union && stripRow('All layers', '', 'what changed since the bitmap was made', union.count, union.density, size);
  return html`<article class="bitmap"><h5>Bitmap ${name}, layer by layer</h5>
<figure class="strips">${rows}${whole}<figcaption>All along a disk of ${formatBytes(size)}.</figcaption></figure>
${reason !== null && html`<p>${severityBadge('error', 'no union')} ${reason}</p>`}</article>`;
}

function stripRow(
  title: string,
  path: string,
  note: string,
  count: number | null,
  density: Density | null,
  size: number,
): Html {
  const text = count === null ? 'not known' : `${formatBytesExact(count)} dirty`;
  return html`<div class="strip"><p><strong>${title}</strong> ${path} <span class="muted">${note}, ${text}</span></p>${density !== null && strip(density, size, `${title}: ${text}`)}</div>\n`;
}

/** A disk as one band; where a layer's disk is shorter, the band ends. */
function strip(density: Density, size: number, label: string): Html {
  const { cellBytes, dirty } = density;
  const unit = size > 0 ? (cellBytes / size) * WIDTH : WIDTH;
  const cells: Html[] = [];
  for (let cell = 0; cell < dirty.length; ) {
    const level = levelOf(dirty[cell] as number, cellLength(density, cell));
    let end = cell + 1;
    const plain = level === 0 || level === 5;
    while (plain && end < dirty.length && levelOf(dirty[end] as number, cellLength(density, end)) === level) end++;
    const bytes = dirty.slice(cell, end).reduce((sum, one) => sum + one, 0);
    const length = Math.min(density.size, end * cellBytes) - cell * cellBytes;
    const what = bytes === 0 ? 'clean' : `${percentText(bytes, length)} dirty`;
    cells.push(
      html`<rect class="d${level}" x="${short(cell * unit)}" width="${short(Math.min(WIDTH - cell * unit, (end - cell) * unit))}" height="${HEIGHT}"><title>${rangeText(density, cell, end)}: ${what}</title></rect>`,
    );
    cell = end;
  }
  const all = `${label}, ${percentText(dirtyBytes(density), density.size)} of its disk`;
  return html`<svg class="map strip" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${all}">${cells}</svg>`;
}
