import { type ChainBitmap, chainBitmap } from '../chain/chain-bitmap.js';
import type { Chain } from '../chain/layer.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { type ChainDocument, chainDocument } from './chain-document.js';
import { cellBytesFor, type Density, densityIn } from './density.js';

/** A bitmap of one name in one layer. Plain data; sizes in bytes. */
export interface ChainStrip {
  /** The number of the layer, the top being 0. */
  readonly layer: number;
  readonly trust: string;
  readonly count: number | null;
  /** Null where the bits cannot be believed. */
  readonly density: Density | null;
}

/** The bitmaps of one name along a chain. Plain data. */
export interface ChainBitmapModel {
  readonly name: string;
  /** Bytes of the longest disk: all strips are drawn along it. */
  readonly size: number;
  readonly strips: readonly ChainStrip[];
  /** All layers together, as `map --chain` has them; null where they do not tell what changed, for the reason given. */
  readonly union: { readonly count: number; readonly granularity: number; readonly density: Density } | null;
  readonly reason: string | null;
}

/** A backing chain in a report. Plain data. */
export interface ChainModel {
  readonly document: ChainDocument;
  readonly bitmaps: readonly ChainBitmapModel[];
  /** Names of bitmaps that are not shown. */
  readonly moreNames: number;
}

const MAX_NAMES = 20;
const MAX_STRIPS = 24;
const MAX_CELLS = 256;
const MIN_CELLS = 16;

/**
 * The layers of a chain side by side, bitmap by bitmap.
 * @param cells of all strips together, at most.
 */
export function chainModel(chain: Chain, limits: Partial<Limits>, cells: number): ChainModel {
  const names = [...new Set(chain.layers.flatMap(({ bitmaps }) => bitmaps.map(({ name }) => name.text)))];
  const shown = names.slice(0, MAX_NAMES);
  const strips = Math.max(1, shown.length * (Math.min(MAX_STRIPS, chain.layers.length) + 1));
  const each = Math.min(MAX_CELLS, Math.max(MIN_CELLS, Math.floor(cells / strips)));
  return {
    document: chainDocument(chain),
    bitmaps: shown.map((name) => bitmapModel(chain, name, limits, each)),
    moreNames: names.length - shown.length,
  };
}

function bitmapModel(chain: Chain, name: string, limits: Partial<Limits>, maxCells: number): ChainBitmapModel {
  const holders = chain.layers.flatMap((layer, at) => {
    const bitmap = layer.bitmaps.find((one) => one.name.text === name);
    return bitmap === undefined ? [] : [{ layer: at, size: layer.virtualSize ?? 0, bitmap }];
  });
  const size = Math.max(chain.layers[0]?.virtualSize ?? 0, ...holders.map((holder) => holder.size));
  const coarsest = Math.max(...holders.map(({ bitmap }) => bitmap.granularity));
  const cellBytes = cellBytesFor(size, coarsest, maxCells);
  const strips = holders.slice(0, MAX_STRIPS).map(({ layer, size: own, bitmap: { trust, bits } }) => ({
    ...{ layer, trust, count: bits?.count() ?? null },
    density: bits === undefined ? null : densityIn(bits, own, cellBytes),
  }));
  const union = unionOf(chain, name, limits);
  if (typeof union === 'string') return { name, size, strips, union: null, reason: union };
  const { bits } = union;
  const density = densityIn(bits, chain.layers[0]?.virtualSize ?? 0, cellBytes);
  return { name, size, strips, union: { count: bits.count(), granularity: bits.granularity, density }, reason: null };
}

function unionOf(chain: Chain, name: string, limits: Partial<Limits>): ChainBitmap | string {
  try {
    return chainBitmap(chain, name, limits);
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    return error.message;
  }
}
