import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { type BitmapTraffic, PHASES, type Phase } from './timeline.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A bitmap's traffic, and what is needed to count it. */
interface Traffic extends Mutable<Omit<BitmapTraffic, 'phases'>> {
  readonly phases: Record<Phase, number>;
  /** Bytes; 0 where the stream does not start the bitmap. */
  granularity: number;
}

/** Bitmaps whose traffic is told. */
const MAX_BITMAPS = 1000;

/** Counts what each bitmap takes of a stream; of ever more bitmaps only the first ones. */
export class TrafficCounter {
  /** How many more bitmaps there are than are told. */
  more = 0;
  #told = 0;
  readonly #byTarget: (Traffic | undefined)[] = [];
  /** Of the bitmap whose chunk's data come. */
  #current: Traffic | undefined;

  /** The header of a chunk; its data follow. */
  chunk(cursor: ChunkCursor, target: Target | undefined, phase: Phase): void {
    this.#current = target === undefined || cursor.kind === 'bare' ? undefined : this.#of(target);
    const traffic = this.#current;
    if (traffic === undefined) return;
    const { kind, headerLength, granularity, sectorCount } = cursor;
    if (kind === 'start') traffic.granularity = granularity;
    traffic.headerBytes += headerLength;
    traffic.phases[phase]++;
    if (kind === 'bits') traffic.dataChunks++;
    if (kind !== 'zeroes') return;
    traffic.zeroChunks++;
    if (traffic.granularity > 0) traffic.elidedBytes += Math.ceil((sectorCount * SECTOR) / traffic.granularity / 8);
  }

  /** Bytes of the data of the chunk before. */
  data(bytes: number): void {
    if (this.#current !== undefined) this.#current.dataBytes += bytes;
  }

  /** The traffic so far, in the order in which the bitmaps came. */
  list(): BitmapTraffic[] {
    return this.#byTarget.flatMap((traffic) => {
      if (traffic === undefined) return [];
      const { granularity: _granularity, ...told } = traffic;
      return [told];
    });
  }

  #of({ index, node, bitmap }: Target): Traffic | undefined {
    if (index in this.#byTarget) return this.#byTarget[index];
    if (this.#told >= MAX_BITMAPS) {
      this.#byTarget[index] = undefined;
      this.more++;
      return undefined;
    }
    this.#told++;
    const phases = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>;
    const counts = { headerBytes: 0, dataBytes: 0, dataChunks: 0, zeroChunks: 0, elidedBytes: 0 };
    const traffic: Traffic = { node: node.text, name: bitmap.text, ...counts, phases, granularity: 0 };
    this.#byTarget[index] = traffic;
    return traffic;
  }
}
