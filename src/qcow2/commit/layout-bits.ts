import type { Bitmap } from '../../bitmap/bitmap.js';
import { granulesIn } from '../../bitmap/granularity.js';
import { ByteWriter } from '../../bytes/byte-writer.js';
import { DirtyBitmapError } from '../../errors.js';
import { ALL_ONES, ALL_ZEROES, WORD } from '../table.js';
import type { StoredSize } from './assert-readable.js';
import { type PlannedWrite, write } from './plan.js';

/** Bits to store: those of a bitmap, or every bit of the disk. */
export type BitsToStore = Bitmap | 'all-dirty';

/** Bytes of bits of one bitmap, at most. Source: qcow2-bitmaps.md section 4. */
const MAX_BITS_BYTES = 512 * 1024 * 1024;
/** Bytes of one write, where clusters are smaller. */
const PIECE = 1024 * 1024;
/** A cluster of bits that has to be written. */
const DATA = 2;

/** How the bits of a bitmap are stored. */
export interface BitsLayout extends StoredSize {
  readonly bits: BitsToStore;
  readonly clusterSize: number;
  /** Bits of the disk. */
  readonly granules: number;
  /** For each cluster of bits whether all of it is clean, all dirty, or data. */
  readonly kinds: Uint8Array;
  /** Clusters of the table. */
  readonly tableClusters: number;
}

/**
 * Decides how bits are stored: clusters that are all clean, or all dirty, take no room. In the last one the bits behind
 * the disk stay zero.
 * @throws DirtyBitmapError `qcow2-table-entries` where there are more bits than a stored bitmap can have.
 */
export function layoutBits(
  bits: BitsToStore,
  granularity: number,
  disk: { readonly clusterSize: number; readonly virtualSize: number },
): BitsLayout {
  const { clusterSize, virtualSize } = disk;
  const granules = granulesIn(virtualSize, granularity);
  const bytes = Math.ceil(granules / 8);
  if (bytes > MAX_BITS_BYTES) {
    const message = `${bytes} bytes of bits, and a stored bitmap has ${MAX_BITS_BYTES} at most; use a coarser granularity`;
    throw new DirtyBitmapError('qcow2-table-entries', message);
  }
  const kinds = new Uint8Array(Math.ceil(bytes / clusterSize));
  let [ones, data] = [0, 0];
  for (let index = 0; index < kinds.length; index++) {
    const first = index * clusterSize * 8;
    const end = Math.min(granules, first + clusterSize * 8);
    const whole = end - first === clusterSize * 8;
    const kind = kindOf(bits, granularity, first, end);
    kinds[index] = kind === ALL_ONES && !whole ? DATA : kind;
    if (kinds[index] === DATA) data++;
    else if (kind === ALL_ONES) ones++;
  }
  const words = kinds.length;
  const tableClusters = Math.ceil((words * WORD) / clusterSize);
  return { bits, clusterSize, granules, kinds, words, ones, data, tableClusters };
}

function kindOf(bits: BitsToStore, granularity: number, first: number, end: number): number {
  if (bits === 'all-dirty') return ALL_ONES;
  if (!bits.anyBits(first, end)) return ALL_ZEROES;
  const clean = bits.nextClean(first * granularity);
  return clean < 0 || clean >= end * granularity ? ALL_ONES : DATA;
}

/** The table, whole clusters of it; `dataAt` is where the clusters of data lie, one behind the other. */
export function encodeTable({ kinds, clusterSize, tableClusters }: BitsLayout, dataAt: number): Uint8Array {
  const out = new ByteWriter(tableClusters * clusterSize);
  let at = dataAt;
  for (const kind of kinds) {
    out.u64(kind === DATA ? at : kind);
    if (kind === DATA) at += clusterSize;
  }
  const table = new Uint8Array(tableClusters * clusterSize);
  table.set(out.view());
  return table;
}

/** The writes of the data, whole clusters; their bytes are made when they are asked for. */
export function* dataWrites(layout: BitsLayout, dataAt: number, what: string): Generator<PlannedWrite, void, void> {
  const { kinds, clusterSize } = layout;
  const most = Math.max(1, PIECE / clusterSize);
  let offset = dataAt;
  let indexes: number[] = [];
  const take = (): PlannedWrite => {
    const own = indexes;
    const length = own.length * clusterSize;
    const one: PlannedWrite = { ...write('allocate', offset, what, NOTHING), length, bytes: () => dataOf(layout, own) };
    offset += length;
    indexes = [];
    return one;
  };
  for (let index = 0; index < kinds.length; index++) {
    if (kinds[index] !== DATA) continue;
    indexes.push(index);
    if (indexes.length === most) yield take();
  }
  if (indexes.length > 0) yield take();
}

const NOTHING = new Uint8Array(0);

function dataOf({ bits, clusterSize, granules }: BitsLayout, indexes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(indexes.length * clusterSize);
  indexes.forEach((index, at) => {
    const start = at * clusterSize;
    const first = index * clusterSize;
    // Behind the last granule everything is zero.
    const end = Math.min(first + clusterSize, Math.ceil(granules / 8));
    if (bits === 'all-dirty') bytes.fill(0xff, start, start + end - first);
    else bits.readBytes(first, bytes, start, start + end - first);
    const inLast = granules % 8;
    const last = start + end - first - 1;
    if (end * 8 > granules && inLast > 0) bytes[last] = (bytes[last] as number) & ((1 << inLast) - 1);
  });
  return bytes;
}
