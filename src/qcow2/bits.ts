import { Bitmap, type MemoryBudget } from '../bitmap/bitmap.js';
import { granulesIn } from '../bitmap/granularity.js';
import type { DirectoryEntry } from './directory.js';
import type { Steps } from './random-access.js';
import { ALL_ONES, ALL_ZEROES, type BitmapTable } from './table.js';
import { granularityOf } from './trust.js';

/** Bytes of one read, where clusters are smaller. */
const PIECE = 1024 * 1024;

/** The sizes that decide how the bits of a bitmap lie in clusters, in bytes. */
export interface BitsGeometry {
  readonly clusterSize: number;
  readonly virtualSize: number;
}

/** Bytes of bits that a bitmap has; one that is not in use has just the clusters for them. Section 4. */
export function bitsBytes(entry: DirectoryEntry, virtualSize: number): number {
  return Math.ceil(granulesIn(virtualSize, granularityOf(entry)) / 8);
}

/** Neighbouring clusters of bits, of one kind. */
type Run =
  | { readonly kind: 'ones'; readonly at: number; readonly length: number }
  /** `at` is a byte of the bitmap, `offset` one of the file. */
  | { readonly kind: 'data'; readonly at: number; readonly offset: number; readonly length: number };

/** The runs of clusters that hold anything; runs of data are short enough for one read. */
function* planBits(table: BitmapTable, clusterSize: number): Generator<Run, void, void> {
  const { words } = table;
  const most = Math.max(clusterSize, PIECE);
  for (let index = 0; index < words.length; ) {
    const word = words[index] as number;
    const at = index * clusterSize;
    const step = word > ALL_ONES ? clusterSize : 0;
    const maxCount = step > 0 ? most / clusterSize : words.length;
    let count = 1;
    while (count < maxCount && words[index + count] === word + count * step) count++;
    index += count;
    const length = count * clusterSize;
    if (step > 0) yield { kind: 'data', at, offset: word, length };
    else if (word !== ALL_ZEROES) yield { kind: 'ones', at, length };
  }
}

/**
 * Reads the bits of a bitmap, cluster by cluster: no more than a piece of the file is in memory beside the bitmap, and
 * all-zeroes entries cost nothing. Source: spec/qcow2-bitmaps.md section 4.
 * @returns the bits, and whether there were any past the end of the disk (they are left out).
 * @throws DirtyBitmapError `limit` where the memory budget is used up.
 */
export function* bitsSteps(
  entry: DirectoryEntry,
  table: BitmapTable,
  { clusterSize, virtualSize }: BitsGeometry,
  memory: MemoryBudget,
): Steps<{ readonly bits: Bitmap; readonly pastEnd: boolean }> {
  const granularity = granularityOf(entry);
  const bits = new Bitmap(granularity, { size: virtualSize, memory });
  const bytes = bitsBytes(entry, virtualSize);
  let pastEnd = false;
  for (const run of planBits(table, clusterSize)) {
    if (run.kind === 'data') {
      const data = yield { offset: run.offset, length: run.length };
      const used = Math.min(run.length, bytes - run.at);
      bits.writeBytes(run.at, data, 0, used);
      pastEnd ||= data.subarray(used).some((byte) => byte !== 0);
    } else {
      const start = run.at * 8 * granularity;
      bits.set(start, Math.min(virtualSize - start, run.length * 8 * granularity));
    }
  }
  const granules = granulesIn(virtualSize, granularity);
  if (bits.anyBits(granules, bytes * 8)) {
    bits.clearBits(granules, bytes * 8);
    pastEnd = true;
  }
  return { bits, pastEnd };
}
