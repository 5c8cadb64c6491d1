import type { Bitmap } from '../bitmap/bitmap.js';
import { granulesIn, MAX_GRANULES } from '../bitmap/granularity.js';
import { nameFromBytes } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { MemoryGraph, type MemoryNode } from './memory-graph.js';
import { checkGraphSnapshot } from './snapshot-shape.js';
import { TrackedBitmap } from './tracked-bitmap.js';

/** A bitmap as plain data. */
export interface BitmapSnapshot {
  /** Null for an unnamed one. */
  readonly name: Uint8Array | null;
  /** Bytes. */
  readonly granularity: number;
  readonly enabled: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  readonly readOnly: boolean;
  readonly inconsistent: boolean;
  readonly skipStore: boolean;
  readonly loading: boolean;
  /** Bytes of the bitmap that are not all zero, and at which byte they begin. */
  readonly bits: readonly (readonly [at: number, bytes: Uint8Array])[];
  readonly successor: BitmapSnapshot | null;
}

/** A node as plain data. */
export interface NodeSnapshot {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  readonly canStore: boolean;
  /** The index of the node that it filters, or -1. */
  readonly filtered: number;
  /** The newest first. */
  readonly bitmaps: readonly BitmapSnapshot[];
}

/** A block graph as plain data: it goes through MessagePack as it is. */
export interface GraphSnapshot {
  readonly nodes: readonly NodeSnapshot[];
  /** Name, and the index of the node below, or -1. */
  readonly backends: readonly (readonly [name: string, node: number])[];
}

/** Bytes of a page of a bitmap, and of a piece of a snapshot at most. */
const PAGE = 1024;
const MAX_PIECE = 64 * PAGE;

/** A block graph as plain data. Bytes are copies. */
export function snapshotGraph(graph: MemoryGraph): GraphSnapshot {
  return {
    nodes: graph.nodes.map((node) => ({
      name: node.name,
      size: node.size,
      readOnly: node.readOnly,
      canStore: node.canStore,
      filtered: node.filtered === undefined ? -1 : graph.nodes.indexOf(node.filtered),
      bitmaps: node.bitmaps.map(snapshotBitmap),
    })),
    backends: graph.backends.map(({ name, node }) => [name, graph.nodes.indexOf(node as MemoryNode)] as const),
  };
}

/**
 * The block graph of a snapshot.
 * @throws DirtyBitmapError `snapshot-invalid` where it does not hold together; `argument`; `limit`.
 */
export function restoreGraph(snapshot: GraphSnapshot, memory?: MemoryGraph['memory']): MemoryGraph {
  checkGraphSnapshot(snapshot);
  const graph = new MemoryGraph(memory);
  for (const { name, size, readOnly, canStore, filtered, bitmaps } of snapshot.nodes) {
    if (filtered >= graph.nodes.length)
      throw new DirtyBitmapError('snapshot-invalid', 'a node filters one that follows');
    const node = graph.addNode({ name, size, readOnly, canStore, filtered: graph.nodes[filtered] });
    for (const bitmap of bitmaps) node.restoreBitmap(restoreBitmap(bitmap, size, graph.memory));
  }
  for (const [name, node] of snapshot.backends) graph.addBackend(name, graph.nodes[node]);
  return graph;
}

function snapshotBitmap(bitmap: TrackedBitmap): BitmapSnapshot {
  const { granularity, enabled, busy, persistent, readOnly, inconsistent, skipStore, loading } = bitmap;
  return {
    name: bitmap.name?.bytes.slice() ?? null,
    granularity,
    enabled,
    busy,
    persistent,
    readOnly,
    inconsistent,
    skipStore,
    loading,
    bits: pieces(bitmap.bits),
    successor: bitmap.successor === undefined ? null : snapshotBitmap(bitmap.successor),
  };
}

function restoreBitmap(snapshot: BitmapSnapshot, size: number, memory: MemoryGraph['memory']): TrackedBitmap {
  const { granularity, readOnly, inconsistent, persistent } = snapshot;
  const name = snapshot.name === null ? undefined : nameFromBytes(snapshot.name);
  const bitmap = new TrackedBitmap({ name, granularity, readOnly, inconsistent, persistent }, size, memory);
  bitmap.enabled = snapshot.enabled;
  bitmap.busy = snapshot.busy;
  bitmap.skipStore = snapshot.skipStore;
  bitmap.loading = snapshot.loading;
  for (const [at, bytes] of snapshot.bits) bitmap.bits.writeBytes(at, bytes);
  if (bitmap.bits.anyBits(granulesIn(size, granularity), MAX_GRANULES)) {
    throw new DirtyBitmapError('snapshot-invalid', `a bitmap has bits past the end of its disk of ${size} bytes`);
  }
  if (snapshot.successor !== null) bitmap.restoreSuccessor(restoreBitmap(snapshot.successor, size, memory));
  return bitmap;
}

/** The pages that hold anything, neighbours together. */
function pieces(bits: Bitmap): (readonly [at: number, bytes: Uint8Array])[] {
  const found: (readonly [number, Uint8Array])[] = [];
  for (let page = bits.nextUsedPage(0); page >= 0; page = bits.nextUsedPage(page)) {
    const first = page;
    while (!bits.pageIsZero(page) && (page - first) * PAGE < MAX_PIECE) page++;
    if (page === first) page++;
    else {
      const bytes = new Uint8Array((page - first) * PAGE);
      bits.readBytes(first * PAGE, bytes);
      found.push([first * PAGE, bytes]);
    }
  }
  return found;
}
