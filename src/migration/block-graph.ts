import type { BitmapCreation, TrackedBitmap } from './tracked-bitmap.js';

/**
 * A node of the block graph: a disk image, or a filter over one. Implement it over your own storage, or use
 * `MemoryGraph`.
 */
export interface BlockNode {
  /** Node name, at most 31 bytes; empty, or with a leading `#`, where nobody gave it one. */
  readonly name: string;
  /** Bytes of the disk. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Whether it can keep persistent bitmaps (a qcow2 image that may be written). */
  readonly canStore: boolean;
  /** The node below, where this one is a filter (throttle, copy-on-read ...); else undefined. */
  readonly filtered: BlockNode | undefined;
  /** Its bitmaps, the newest first, without successors. */
  readonly bitmaps: readonly TrackedBitmap[];
  /**
   * Makes a bitmap.
   * @throws DirtyBitmapError `bitmap-exists`; `argument` for a bad name or granularity; `limit`.
   */
  create(creation: BitmapCreation): TrackedBitmap;
  /** Takes a bitmap away, whatever its state; nothing happens where it is gone already. */
  release(bitmap: TrackedBitmap): void;
}

/** A named block backend: what a guest device hangs on. Its name addresses the node below it. */
export interface BlockBackend {
  readonly name: string;
  /** Undefined where no medium is in. */
  readonly node: BlockNode | undefined;
}

/** The block devices of a machine: the world that source and destination act on. */
export interface BlockGraph {
  /** All nodes, the oldest first. */
  readonly nodes: Iterable<BlockNode>;
  /** The named backends, the oldest first. */
  readonly backends: Iterable<BlockBackend>;
}
