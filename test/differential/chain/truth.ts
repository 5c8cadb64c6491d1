import { Bitmap } from '../../../src/bitmap/bitmap.js';

/** A write of the guest, in bytes. */
export interface Write {
  readonly offset: number;
  readonly length: number;
  /** The active layer then. */
  readonly layer: number;
}

/** A checkpoint's bitmap as the one who made it thinks of it: what was written since, wherever that went. */
interface Tracked {
  /** In bytes. */
  readonly granularity: number;
  readonly persistent: boolean;
  /** The layer on which it was made. */
  readonly made: number;
  /** Once stopped, it does not see all. */
  recording: boolean;
  /** A layer further down has an older bitmap of the name, with one between that has none. */
  readonly hole: boolean;
  /** All since it was made. */
  readonly writes: Write[];
}

/** All bitmaps that the top layer has, by name. */
export type Track = Map<string, Tracked>;

/** A copy that later writes do not reach. */
export function copyTrack(track: Track): Track {
  return new Map([...track].map(([name, one]) => [name, { ...one, writes: [...one.writes] }]));
}

/** Names whose changes are known: those that must be merged. */
export function whole(track: Track): string[] {
  return [...track]
    .filter(([, { recording, hole, persistent }]) => recording && !hole && persistent)
    .map(([name]) => name);
}

/** Bits of writes. `coarse` are such as QEMU sees in whole clusters: through a job, or in a bitmap of its own granularity. */
export function bitsOf(
  size: number,
  granularity: number,
  cluster: number,
  exact: readonly Write[],
  coarse: readonly Write[],
): Bitmap {
  const bits = new Bitmap(granularity, { size });
  for (const { offset, length } of exact) bits.set(offset, length);
  for (const { offset, length } of coarse) {
    const first = Math.floor(offset / cluster) * cluster;
    const end = Math.min(size, Math.ceil((offset + length) / cluster) * cluster);
    bits.set(first, end - first);
  }
  return bits;
}
