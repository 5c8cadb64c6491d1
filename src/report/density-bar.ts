import { printable } from '../bytes/text.js';
import { cellLength, type Density, densityOf, dirtyBytes, percentText } from './density.js';
import type { ReportBitmap } from './input-report.js';
import type { Mapped } from './map-document.js';
import { formatBytes, formatBytesExact } from './text.js';

/** How bars are drawn on a terminal. */
export interface BarShape {
  /** Whether the terminal shows more than ASCII. */
  readonly unicode: boolean;
  /** Characters of a line. */
  readonly columns: number;
}

/** What is drawn of a bitmap; undefined bits are not drawn. */
export type DrawnBitmap = Pick<ReportBitmap, 'node' | 'name' | 'coveredBytes' | 'bits'>;

/** Clean, then more and more dirty; the last one is wholly dirty. */
const UNICODE = [...'·▁▂▃▄▅▆▇█'];
const ASCII = [...'.:-=+*%#'];

/** Bars below each other at most; the rest is counted. */
const MAX_BARS = 100;
/** Regions that are counted before they are drawn into the columns there are. */
const CELLS = 4096;
/** Characters of a name. */
const MAX_LABEL = 32;
const MIN_BAR = 10;
/** Characters of a row of the larger picture: as many as fit. */
const GRAPH_COLUMNS: readonly number[] = [64, 32, 16];
const MIN_GRAPH = 16;
/** Where a row begins, and how much of it is dirty. */
const GRAPH_MARGIN = 30;
const GRAPH_CELLS = 1024;

/** A line for each bitmap that has bits: its name, its disk from the first byte to the last, how much is dirty. */
export function densityBars(bitmaps: readonly DrawnBitmap[], shape: BarShape): string[] {
  const drawn = bitmaps.filter((bitmap) => bitmap.bits !== undefined && bitmap.coveredBytes > 0);
  const shown = drawn.slice(0, MAX_BARS);
  const labels = shown.map((bitmap) => shortLabel(bitmap, shape));
  const labelWidth = Math.max(0, ...labels.map((label) => [...label].length));
  const room = Math.max(MIN_BAR, shape.columns - labelWidth - '  ||  >99.99 %'.length);
  const lines = shown.flatMap(({ bits, coveredBytes }, at) => {
    if (bits === undefined) return [];
    const density = densityOf(bits, coveredBytes, CELLS);
    const label = labels[at] as string;
    const gap = ' '.repeat(labelWidth - [...label].length);
    const bar = spread(density, room, shape);
    return [`${label}${gap}  |${bar}|  ${percentText(dirtyBytes(density), coveredBytes)}`];
  });
  if (drawn.length > shown.length) lines.push(`and ${drawn.length - shown.length} more`);
  return lines;
}

/** The larger picture of `map --graph`: rows of the disk, each with where it begins and how much of it is dirty. */
export function densityGraph(bitmap: Mapped, shape: BarShape): string[] {
  const { bits, coveredBytes: size } = bitmap;
  if (size === 0) return ['nothing is known of the disk, or it has no bytes'];
  const density = densityOf(bits, size, GRAPH_CELLS);
  const { cellBytes, dirty } = density;
  const columns = GRAPH_COLUMNS.find((most) => most + GRAPH_MARGIN <= shape.columns) ?? MIN_GRAPH;
  const ramp = rampOf(shape);
  const total = dirtyBytes(density);
  const lines = [
    `${formatBytesExact(total)} of ${formatBytes(size)} dirty (${percentText(total, size)}), a character is ${formatBytes(cellBytes)}`,
  ];
  for (let first = 0; first < dirty.length; first += columns) {
    const row = dirty.slice(first, first + columns);
    const drawn = row.map((bytes, at) => glyph(bytes, cellLength(density, first + at), ramp)).join('');
    const offset = first * cellBytes;
    const length = Math.min(size - offset, columns * cellBytes);
    const percent = percentText(
      row.reduce((sum, bytes) => sum + bytes, 0),
      length,
    );
    lines.push(`${String(offset).padStart(18)} |${drawn.padEnd(columns)}| ${percent.padStart(8)}`);
  }
  lines.push(
    `${' '.repeat(18)}  ${ramp[0]} clean  ${ramp.slice(1, -1).join('')} partly dirty  ${ramp.at(-1)} all dirty`,
  );
  return lines;
}

function shortLabel({ node, name }: DrawnBitmap, { unicode }: BarShape): string {
  const label = printable(node === undefined ? name.text : `${node.text}/${name.text}`);
  const characters = [...label];
  if (characters.length <= MAX_LABEL) return label;
  return `${characters.slice(0, MAX_LABEL - 3).join('')}${unicode ? '…' : '...'}`;
}

function rampOf({ unicode }: BarShape): readonly string[] {
  return unicode ? UNICODE : ASCII;
}

/** The regions in exactly `columns` characters. */
function spread(density: Density, columns: number, shape: BarShape): string {
  const cells = density.dirty.length;
  const ramp = rampOf(shape);
  let bar = '';
  for (let column = 0; column < columns; column++) {
    const first = Math.floor((column * cells) / columns);
    const end = Math.max(first + 1, Math.floor(((column + 1) * cells) / columns));
    let [bytes, length] = [0, 0];
    for (let cell = first; cell < end; cell++) {
      bytes += density.dirty[cell] as number;
      length += cellLength(density, cell);
    }
    bar += glyph(bytes, length, ramp);
  }
  return bar;
}

/** Anything dirty shows, and only what is wholly dirty shows as such. */
function glyph(dirty: number, length: number, ramp: readonly string[]): string {
  const top = ramp.length - 1;
  if (dirty === 0) return ramp[0] as string;
  if (dirty === length) return ramp[top] as string;
  return ramp[1 + Math.floor((dirty / length) * (top - 1))] as string;
}
