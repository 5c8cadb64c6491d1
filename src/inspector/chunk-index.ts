import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { bitmapLabel } from '../report/difference-map.js';

/** Chunks of one bitmap that follow each other without a gap. Offsets and lengths in bytes of the input. */
interface ChunkRun {
  readonly offset: number;
  readonly length: number;
  /** The number of its first chunk, among those of the bitmap, from 0. */
  readonly first: number;
  readonly count: number;
}

/** The chunks of one bitmap. */
export interface IndexedBitmap {
  readonly label: string;
  readonly runs: readonly ChunkRun[];
  /** Chunks that can be listed; those after the index was full are only counted. */
  readonly listed: number;
  readonly total: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type OwnBitmap = Omit<Mutable<IndexedBitmap>, 'runs'> & { readonly runs: Mutable<ChunkRun>[] };

/** Chunks of a run at most: so many are read again to list some of them. */
const RUN = 256;
/** Runs of all bitmaps together: a few MiB, for up to 16 million chunks. */
const MAX_RUNS = 65_536;

/**
 * Where the chunks of each bitmap are, in memory that does not grow with the input: runs of chunks, from which the chunks
 * are read again when somebody wants to see them. Chunks that are EOS alone say nothing, and are not in it.
 */
export class ChunkIndex {
  /** In the order in which the input names them; chunks that mean no bitmap stand by themselves. */
  readonly bitmaps: readonly IndexedBitmap[] = [];
  readonly #byTarget = new Map<number, OwnBitmap>();
  readonly #maxRuns: number;
  #runs = 0;

  constructor(maxRuns: number = MAX_RUNS) {
    this.#maxRuns = maxRuns;
  }

  /** Takes note of a chunk. */
  add(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    if (cursor.kind === 'bare') return;
    const bitmap = this.#bitmapOf(target);
    const length = cursor.headerLength + cursor.size;
    const run = bitmap.runs.at(-1);
    const number = bitmap.total++;
    // What was left out once stays out: numbers of chunks have no gap.
    if (bitmap.listed < number) return;
    if (run !== undefined && run.offset + run.length === offset && run.count < RUN) {
      run.length += length;
      run.count++;
    } else if (this.#runs < this.#maxRuns) {
      this.#runs++;
      bitmap.runs.push({ offset, length, first: number, count: 1 });
    } else return;
    bitmap.listed++;
  }

  #bitmapOf(target: Target | undefined): OwnBitmap {
    const key = target?.index ?? -1;
    let bitmap = this.#byTarget.get(key);
    if (bitmap === undefined) {
      const label = target === undefined ? 'no bitmap' : bitmapLabel({ node: target.node, name: target.bitmap });
      bitmap = { label, runs: [], listed: 0, total: 0 };
      this.#byTarget.set(key, bitmap);
      (this.bitmaps as IndexedBitmap[]).push(bitmap);
    }
    return bitmap;
  }
}
