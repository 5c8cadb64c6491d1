import { cellLength, type Density, dirtyBytes, percentText } from '../density.js';
import { formatBytes } from '../text.js';
import { type Html, html } from './escape.js';
import { folded, type TableColumn, table } from './tables.js';

/** Cells of a row. */
const COLUMNS = 64;
/** Units of the drawing that a row is wide. */
const WIDTH = 640;
const GAP = 1;
/** Room below the map for the range under the pointer. */
const TIP_ROOM = 30;

/** How dirty a cell is: the classes d0 to d5. */
export const LEVELS: readonly string[] = ['clean', 'up to 1 %', '1 to 10 %', '10 to 50 %', 'over 50 %', 'all dirty'];

/** The level of a region, a number of {@link LEVELS}. */
export function levelOf(dirty: number, length: number): number {
  if (dirty === 0) return 0;
  if (dirty === length) return 5;
  const part = dirty / length;
  if (part <= 0.01) return 1;
  if (part <= 0.1) return 2;
  return part <= 0.5 ? 3 : 4;
}

/** What a cell of a map looks like, and what is said of it. */
interface CellLook {
  readonly kind: string;
  readonly text: string;
}

/** How a map is drawn: cells of a disk, in rows. */
export interface CellMap {
  /** Bytes of the disk. */
  readonly size: number;
  readonly cellBytes: number;
  readonly cells: number;
  /** Of cells `first` to `end`, which look the same as the first where they are drawn as one. */
  look(first: number, end: number): CellLook;
  /** Whether a cell looks like the one before it, and says as much: then they are drawn as one. */
  joins(cell: number): boolean;
  /** What is said of a whole row. */
  row(first: number, end: number): string;
}

/** `RANGE: TEXT` of cells `first` to `end`. */
export function rangeText(
  { size, cellBytes }: Pick<CellMap, 'size' | 'cellBytes'>,
  first: number,
  end: number,
): string {
  return `${formatBytes(first * cellBytes)} to ${formatBytes(Math.min(size, end * cellBytes))}`;
}

/** A disk as rows of cells. Each says its range and what is in it, to the pointer and, row by row, to the keyboard. */
export function cellMapSvg(map: CellMap, label: string): Html {
  const columns = Math.min(COLUMNS, map.cells);
  const width = WIDTH / columns;
  const rows = Math.ceil(map.cells / columns);
  // A disk of a few cells is a band that can be hit with a finger.
  const height = Math.max(12, Math.min(32, Math.floor(96 / rows)));
  const total = rows * height + TIP_ROOM;
  const rowAt = (row: number): Html => {
    const first = row * columns;
    const end = Math.min(map.cells, first + columns);
    const text = `${rangeText(map, first, end)}: ${map.row(first, end)}`;
    const tip = html`<text class="tip" x="0" y="${total - row * height - 8}">${text}</text>`;
    return html`<g class="row" transform="translate(0 ${row * height})" tabindex="0" role="img" aria-label="${text}">${cellsOf(map, first, end, width, height)}<rect class="ring" x="0" y="0" width="${WIDTH}" height="${height}"/>${tip}</g>\n`;
  };
  return html`<svg class="map" viewBox="0 0 ${WIDTH} ${total}" role="group" aria-label="${label}">
${Array.from({ length: rows }, (_, row) => rowAt(row))}<text class="hint" x="0" y="${total - 8}" aria-hidden="true">Point at, tap or focus a row for its range</text></svg>`;
}

function cellsOf(map: CellMap, first: number, end: number, width: number, height: number): Html[] {
  const cells: Html[] = [];
  for (let cell = first; cell < end; ) {
    let stop = cell + 1;
    while (stop < end && map.joins(stop)) stop++;
    const { kind, text } = map.look(cell, stop);
    const x = Math.round((cell - first) * width * 100) / 100;
    const wide = Math.round(((stop - cell) * width - GAP) * 100) / 100;
    cells.push(
      html`<rect class="${kind}" x="${x}" width="${wide}" height="${height - GAP}"><title>${rangeText(map, cell, stop)}: ${text}</title></rect>`,
    );
    cell = stop;
  }
  return cells;
}

/** What a map of densities says of its cells. */
function densityCells(density: Density): CellMap {
  const { size, cellBytes, dirty } = density;
  const sum = (first: number, end: number): [number, number] => {
    let [bytes, length] = [0, 0];
    for (let cell = first; cell < end; cell++) {
      bytes += dirty[cell] as number;
      length += cellLength(density, cell);
    }
    return [bytes, length];
  };
  const level = (cell: number): number => levelOf(dirty[cell] as number, cellLength(density, cell));
  const text = (first: number, end: number): string => {
    const [bytes, length] = sum(first, end);
    return bytes === 0 ? 'clean' : `${percentText(bytes, length)} dirty`;
  };
  return {
    ...{ size, cellBytes, cells: dirty.length },
    look: (first, end) => ({ kind: `d${level(first)}`, text: text(first, end) }),
    joins: (cell) => level(cell) === level(cell - 1) && (level(cell) === 0 || level(cell) === 5),
    row: text,
  };
}

/** The dirty-density map of a bitmap, with its legend and the same as a table. */
export function densityMap(density: Density, label: string): Html {
  const { size, cellBytes, dirty } = density;
  if (dirty.length === 0)
    return html`<p class="muted">Nothing is known of the disk, or it has no bytes: there is no map.</p>`;
  const total = dirtyBytes(density);
  const description = `Map of ${label}: ${percentText(total, size)} of ${formatBytes(size)} dirty; ${dirty.length} cells of ${formatBytes(cellBytes)}`;
  const cells = densityCells(density);
  return html`<figure>${cellMapSvg(cells, description)}
<figcaption>${legend(LEVELS.map((text, level) => [`d${level}`, text]))} A cell is ${formatBytes(cellBytes)} of the disk.</figcaption></figure>
${densityTable(density, cells)}`;
}

/** Small squares and what they mean. */
export function legend(entries: readonly (readonly [kind: string, text: string])[]): Html {
  return html`<span class="legend">${entries.map(
    ([kind, text]) =>
      html`<span><svg viewBox="0 0 12 12" aria-hidden="true"><rect class="${kind}" width="12" height="12"/></svg> ${text}</span> `,
  )}</span>`;
}

function densityTable({ dirty }: Density, map: CellMap): Html {
  return regionTable(map, 'Dirty bytes', DENSITY_COLUMNS, (first, end) => {
    const bytes = dirty.slice(first, end).reduce((sum, one) => sum + one, 0);
    return bytes === 0 ? undefined : [formatBytes(bytes), map.row(first, end)];
  });
}

const DENSITY_COLUMNS = [
  { title: 'Dirty', number: true },
  { title: 'Share', number: true },
];

/** Regions of a table that says what a map shows, at most. */
const TABLE_ROWS = 32;

/** What a map shows as a table of larger regions; those of which nothing is to be said are left out. */
export function regionTable(
  map: CellMap,
  caption: string,
  columns: readonly TableColumn[],
  values: (first: number, end: number) => readonly string[] | undefined,
): Html {
  const each = Math.max(2, Math.ceil(map.cells / TABLE_ROWS));
  const rows: string[][] = [];
  for (let first = 0; first < map.cells; first += each) {
    const end = Math.min(map.cells, first + each);
    const told = values(first, end);
    if (told !== undefined) rows.push([rangeText(map, first, end), ...told]);
  }
  const what = `${caption}, in regions of ${formatBytes(each * map.cellBytes)}; those that are not listed are clean`;
  return folded('The map as a table', table(what, [{ title: 'Region' }, ...columns], rows));
}
