import { granulesIn } from '../bitmap/granularity.js';
import { type Name, nameFromText } from '../bytes/text.js';
import type { BitmapSet, SetBitmap, SetNode } from '../set/bitmap-set.js';
import { bitDifferences, type FieldDifference, fieldDifferences, pairUp } from '../set/compare-sets.js';
import { nameKey, type SetEntry } from '../set/rename-set.js';
import { cellBytesFor, clipLast, densityIn, wordCounter } from './density.js';
import type { InputReport } from './input-report.js';
import { forEachWordPair } from './scan-words.js';

/** Where two bitmaps differ, region by region. Plain data; sizes in bytes. */
export interface DifferenceMap {
  /** Bytes of the disk that the cells cover. */
  readonly size: number;
  readonly cellBytes: number;
  /** Dirty bytes of each cell that only one of the two has, or both. */
  readonly onlyA: readonly number[];
  readonly onlyB: readonly number[];
  readonly both: readonly number[];
}

/** The bitmaps of one name in two inputs. Plain data. */
export interface PairModel {
  readonly label: string;
  readonly status: 'equal' | 'different' | 'only-in-a' | 'only-in-b';
  readonly fields: readonly FieldDifference[];
  /** Null where one side has no such bitmap. */
  readonly map: DifferenceMap | null;
}

/** Two inputs, bitmap by bitmap. Plain data. */
export interface DifferenceModel {
  readonly a: string;
  readonly b: string;
  readonly pairs: readonly PairModel[];
  /** Pairs that are not shown. */
  readonly morePairs: number;
  /** Bitmaps whose bits cannot be believed, which are not compared. */
  readonly lost: readonly string[];
}

/** How much is shown. */
export interface DifferenceLimits {
  readonly maxPairs: number;
  /** Cells of all maps together. */
  readonly maxCells: number;
}

const NO_NAME: Name = nameFromText('');
/** Every map has that many cells at least. */
const MIN_CELLS = 32;

/**
 * What `compare` says of two inputs, as maps. An image tells no node: its bitmaps are those of the other input's only one;
 * a map of nbdinfo tells no name: its bitmap is the other input's only one.
 */
export function differenceModel(
  a: InputReport,
  b: InputReport,
  { maxPairs, maxCells }: DifferenceLimits,
): DifferenceModel {
  const nameless = a.format === 'nbdinfo' || b.format === 'nbdinfo';
  const names = nameless ? onlyNames(a, b) : {};
  const nodeless = nameless || a.format === 'qcow2' || b.format === 'qcow2';
  const oneNode = nodeless && [a, b].every((input) => nodesOf(input) <= 1) ? { node: NO_NAME } : {};
  const pairs = pairUp(asSet(a, { ...oneNode, ...names }), asSet(b, { ...oneNode, ...names }));
  const shown = pairs.slice(0, maxPairs);
  const cells = Math.max(MIN_CELLS, Math.floor(maxCells / Math.max(1, shown.length)));
  const labels = labelsOf(a, b);
  return {
    a: a.input,
    b: b.input,
    pairs: shown.map(({ a: inA, b: inB }) => {
      const entry = (inA ?? inB) as SetEntry;
      return pairModel(labels.get(entry.bitmap.bits) ?? '', inA, inB, nameless, cells);
    }),
    morePairs: pairs.length - shown.length,
    lost: [a, b].flatMap(({ bitmaps }) =>
      bitmaps.filter(({ bits }) => bits === undefined).map(({ name }) => name.text),
    ),
  };
}

function pairModel(
  label: string,
  a: SetEntry | undefined,
  b: SetEntry | undefined,
  nameless: boolean,
  cells: number,
): PairModel {
  if (a === undefined || b === undefined) {
    return { label, status: a === undefined ? 'only-in-b' : 'only-in-a', fields: [], map: null };
  }
  const fields = fieldDifferences(a, b, nameless ? ['size'] : ['granularity', 'recording', 'persistent', 'size']);
  const map = differenceMap(a, b, cells);
  const differs = fields.length > 0 || [...map.onlyA, ...map.onlyB].some((bytes) => bytes > 0);
  return { label, status: differs ? 'different' : 'equal', fields, map };
}

/** Counts, in each of at most `maxCells` regions, what only one of two bitmaps has and what both have. */
function differenceMap(a: SetEntry, b: SetEntry, maxCells: number): DifferenceMap {
  const [bitsA, bitsB] = [a.bitmap.bits, b.bitmap.bits];
  const [endA, endB] = [a.bitmap.coveredBytes ?? 0, b.bitmap.coveredBytes ?? 0];
  const size = Math.max(endA, endB);
  const cellBytes = cellBytesFor(size, Math.max(bitsA.granularity, bitsB.granularity), maxCells);
  const fresh = (): number[] => new Array<number>(granulesIn(size, cellBytes)).fill(0);
  const [onlyA, onlyB, both] = [fresh(), fresh(), fresh()];
  if (bitsA.granularity === bitsB.granularity && endA === endB) {
    const { granularity } = bitsA;
    const [countA, countB, countBoth] = [onlyA, onlyB, both].map((cells) => wordCounter(cells, cellBytes, granularity));
    forEachWordPair(bitsA, bitsB, granulesIn(size, granularity), (inA, inB, bit) => {
      countA?.(inA & ~inB, 0, bit);
      countB?.(inB & ~inA, 0, bit);
      countBoth?.(inA & inB, 0, bit);
    });
    const last = Math.max(0, size - 1);
    const [lastA, lastB] = [bitsA.get(last), bitsB.get(last)];
    clipLast(lastA && lastB ? both : lastA ? onlyA : onlyB, lastA ? bitsA : bitsB, size);
  } else {
    for (const [side, offset, length] of bitDifferences(a, b))
      addRange(side === 'a' ? onlyA : onlyB, cellBytes, offset, length);
    const { dirty } = densityIn(bitsA, endA, cellBytes);
    for (const [cell, bytes] of dirty.entries()) both[cell] = Math.max(0, bytes - (onlyA[cell] as number));
  }
  return { size, cellBytes, onlyA, onlyB, both };
}

function addRange(cells: number[], cellBytes: number, offset: number, length: number): void {
  for (let at = offset; at < offset + length; ) {
    const cell = Math.floor(at / cellBytes);
    const end = Math.min(offset + length, (cell + 1) * cellBytes);
    if (cell < cells.length) cells[cell] = (cells[cell] as number) + end - at;
    at = end;
  }
}

/** The name for both where each side has one bitmap; else what has no name stays without. */
function onlyNames(a: InputReport, b: InputReport): { readonly name?: Name } {
  return a.bitmaps.length === 1 && b.bitmaps.length === 1 ? { name: NO_NAME } : {};
}

function nodesOf({ bitmaps }: InputReport): number {
  return new Set(bitmaps.map(({ node }) => (node === undefined ? '' : nameKey(node)))).size;
}

/** The bitmaps that have bits, as a set; `names` are taken in place of theirs. */
function asSet({ bitmaps }: InputReport, names: { readonly node?: Name; readonly name?: Name }): BitmapSet {
  const nodes = new Map<string, SetNode & { readonly bitmaps: SetBitmap[] }>();
  for (const { node, name, recording, persistent, coveredBytes, diskEnd, bits } of bitmaps) {
    if (bits === undefined) continue;
    const own = names.node ?? node ?? NO_NAME;
    const key = nameKey(own);
    const place = nodes.get(key) ?? { node: own, size: undefined, bitmaps: [] };
    nodes.set(key, place);
    place.bitmaps.push({ name: names.name ?? name, recording, persistent, coveredBytes, diskEnd, bits });
  }
  return { nodes: [...nodes.values()] };
}

/** How each bitmap is called in its own input; of a map, which has no names, as in the other. */
function labelsOf(a: InputReport, b: InputReport): Map<unknown, string> {
  const single = a.bitmaps.length === 1 && b.bitmaps.length === 1;
  const only = single ? [a, b].find(({ format }) => format !== 'nbdinfo')?.bitmaps[0] : undefined;
  const labels = new Map<unknown, string>();
  for (const { format, bitmaps } of [a, b]) {
    for (const bitmap of bitmaps)
      labels.set(bitmap.bits, bitmapLabel(format === 'nbdinfo' ? (only ?? bitmap) : bitmap));
  }
  return labels;
}

/** Characters of a label at most: names are said again and again, and a page of many must stay small. */
const MAX_LABEL = 96;

/** `NODE/NAME`, or what there is of it; the end of a long one is left out. */
export function bitmapLabel({ node, name }: { readonly node: Name | undefined; readonly name: Name }): string {
  if (name.bytes.length === 0) return 'the bitmap';
  return shortLabel(node === undefined ? name.text : `${node.text}/${name.text}`);
}

/** A label without its end where it is long. */
export function shortLabel(label: string): string {
  return label.length <= MAX_LABEL ? label : `${label.slice(0, MAX_LABEL).replace(/[\ud800-\udbff]$/, '')}...`;
}
