import { assertBytes } from '../bitmap/arguments.js';
import type { MemoryBudget } from '../bitmap/bitmap.js';
import { type Name, nameFromText, quoted, toHex } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { resolveLimits } from '../limits.js';
import { assertAllowed } from './bitmap-operations.js';
import type { BlockBackend, BlockGraph, BlockNode } from './block-graph.js';
import { type BitmapCreation, type BitmapInfo, bitmapName, TrackedBitmap } from './tracked-bitmap.js';

/** Bytes of a node name at most. Source: dirty-bitmap-states.md section 5. */
export const MAX_NODE_NAME_BYTES = 31;

/** What a node is made with. */
export interface NodeCreation {
  /** At most 31 bytes; empty or with a leading `#` where it is not to be addressed. */
  readonly name: string;
  /** Bytes of the disk. */
  readonly size: number;
  /** The name of a block backend that is put on it. */
  readonly device?: string | undefined;
  /** Default false. */
  readonly readOnly?: boolean | undefined;
  /** Whether it can keep persistent bitmaps. Default: unless it is read-only. */
  readonly canStore?: boolean | undefined;
  /** The node below, where this one is a filter. */
  readonly filtered?: MemoryNode | undefined;
}

/** A node as QMP shows it, as far as bitmaps go. */
export interface NodeInfo {
  readonly node: string;
  /** Bytes. */
  readonly size: number;
  readonly 'dirty-bitmaps': readonly BitmapInfo[];
}

/** A node that exists only in memory. */
export class MemoryNode implements BlockNode {
  readonly name: string;
  readonly size: number;
  readonly readOnly: boolean;
  readonly canStore: boolean;
  readonly filtered: MemoryNode | undefined;
  readonly #memory: MemoryBudget;
  readonly #bitmaps: TrackedBitmap[] = [];

  /**
   * Made by {@link MemoryGraph.addNode}.
   * @throws DirtyBitmapError `argument` for a size that is no whole number of bytes.
   */
  constructor(creation: NodeCreation, memory: MemoryBudget) {
    assertBytes(creation.size, 'size');
    this.name = creation.name;
    this.size = creation.size;
    this.readOnly = creation.readOnly ?? false;
    this.canStore = creation.canStore ?? !this.readOnly;
    this.filtered = creation.filtered;
    this.#memory = memory;
  }

  get bitmaps(): readonly TrackedBitmap[] {
    return this.#bitmaps;
  }

  /** The bitmap of a name, or undefined. */
  find(name: string | Name): TrackedBitmap | undefined {
    const key = keyOf(name);
    return this.#bitmaps.find((bitmap) => bitmap.name !== undefined && keyOf(bitmap.name) === key);
  }

  create(creation: BitmapCreation): TrackedBitmap {
    if (creation.name !== undefined) this.#assertFree(creation.name);
    const bitmap = new TrackedBitmap(creation, this.size, this.#memory);
    this.#bitmaps.unshift(bitmap);
    return bitmap;
  }

  /**
   * Removes a bitmap as QMP does.
   * @throws DirtyBitmapError `bitmap-busy`, `bitmap-readonly`.
   */
  remove(bitmap: TrackedBitmap): void {
    assertAllowed('remove', bitmap);
    this.release(bitmap);
  }

  release(bitmap: TrackedBitmap): void {
    const at = this.#bitmaps.indexOf(bitmap);
    if (at < 0) return;
    this.#bitmaps.splice(at, 1);
    bitmap.successor?.bits.clearAll();
    bitmap.bits.clearAll();
  }

  /** @throws DirtyBitmapError `bitmap-busy`, `bitmap-readonly`, `bitmap-inconsistent`, `bitmap-exists`, `argument`. */
  rename(bitmap: TrackedBitmap, name: string | Name): void {
    assertAllowed('rename', bitmap);
    this.#assertFree(name);
    bitmap.rename(bitmapName(name));
  }

  /**
   * Lets the successor of a bitmap take its place under its name; what the bitmap held is gone.
   * @returns the successor.
   * @throws DirtyBitmapError `successor-missing`.
   */
  abdicate(bitmap: TrackedBitmap): TrackedBitmap {
    const successor = bitmap.abdicate();
    this.#bitmaps.splice(this.#bitmaps.indexOf(bitmap), 1, successor);
    bitmap.bits.clearAll();
    return successor;
  }

  /**
   * The guest writes `length` bytes at byte `offset`: every bitmap that records gets them.
   * @throws DirtyBitmapError `node-readonly`; `bitmap-readonly` where one would have to record; `argument` for a range
   * that is not within the disk. Nothing is recorded then.
   */
  recordWrite(offset: number, length: number): void {
    assertBytes(offset, 'offset');
    assertBytes(length, 'length');
    if (offset + length > this.size) {
      throw new DirtyBitmapError('argument', `a write up to byte ${offset + length} of a disk of ${this.size} bytes`);
    }
    if (this.readOnly) throw new DirtyBitmapError('node-readonly', `node ${quoted(this.name)} is read-only`);
    const recording = [...this.#all()].filter((bitmap) => bitmap.enabled);
    const blocked = recording.find((bitmap) => bitmap.readOnly);
    if (blocked !== undefined) {
      const message = `bitmap ${quoted(blocked.name?.text ?? '')} records writes and is read-only; make it writable first`;
      throw new DirtyBitmapError('bitmap-readonly', message);
    }
    if (length > 0) for (const bitmap of recording) bitmap.bits.set(offset, length);
  }

  /** What QMP shows of it; a successor stands before its bitmap. */
  info(): NodeInfo {
    const bitmaps = [...this.#all()].map((bitmap) => bitmap.info());
    return { node: this.name, size: this.size, 'dirty-bitmaps': bitmaps };
  }

  /** Puts a bitmap that was saved behind those there are. */
  restoreBitmap(bitmap: TrackedBitmap): void {
    this.#bitmaps.push(bitmap);
  }

  *#all(): Generator<TrackedBitmap, void, void> {
    for (const bitmap of this.#bitmaps) {
      if (bitmap.successor !== undefined) yield bitmap.successor;
      yield bitmap;
    }
  }

  #assertFree(name: string | Name): void {
    if (this.find(name) === undefined) return;
    const text = typeof name === 'string' ? name : name.text;
    throw new DirtyBitmapError(
      'bitmap-exists',
      `node ${quoted(this.name)} has a bitmap ${quoted(text)} already; remove it, or take another name`,
    );
  }
}

/**
 * A block graph that exists only in memory: for a process that tracks changes itself, for tests, for loading a stream.
 * @example
 * const graph = new MemoryGraph();
 * const disk = graph.addNode({ name: 'disk0', size: 2 ** 30 });
 * const bitmap = disk.create({ name: 'backup', granularity: 65536 });
 * disk.recordWrite(4096, 512);
 * console.log(bitmap.info().count); // 65536
 */
export class MemoryGraph implements BlockGraph {
  readonly memory: MemoryBudget;
  readonly #nodes: MemoryNode[] = [];
  readonly #backends: BlockBackend[] = [];

  /**
   * A graph without nodes.
   * @param memory what all bitmaps together may occupy; by default `maxBitmapMemory`.
   */
  constructor(memory: MemoryBudget = { used: 0, max: resolveLimits().maxBitmapMemory }) {
    this.memory = memory;
  }

  get nodes(): readonly MemoryNode[] {
    return this.#nodes;
  }

  get backends(): readonly BlockBackend[] {
    return this.#backends;
  }

  /** @throws DirtyBitmapError `argument` for a name that is too long, a name that is taken, or a bad size. */
  addNode(creation: NodeCreation): MemoryNode {
    const { name, device } = creation;
    if (nameFromText(name).bytes.length > MAX_NODE_NAME_BYTES) {
      throw new DirtyBitmapError('argument', `node name ${quoted(name)}: at most ${MAX_NODE_NAME_BYTES} bytes`);
    }
    const taken = [...this.#nodes, ...this.#backends].map((each) => each.name);
    if ((name !== '' && taken.includes(name)) || (device !== undefined && taken.includes(device))) {
      throw new DirtyBitmapError('argument', `node name ${quoted(name)} or device ${quoted(device ?? '')} is taken`);
    }
    const node = new MemoryNode(creation, this.memory);
    this.#nodes.push(node);
    if (device !== undefined) this.addBackend(device, node);
    return node;
  }

  /** Puts a named backend on a node. */
  addBackend(name: string, node: MemoryNode | undefined): void {
    this.#backends.push({ name, node });
  }

  /** The node of a name, or undefined. */
  find(name: string): MemoryNode | undefined {
    return this.#nodes.find((node) => node.name === name);
  }

  /** What QMP's `query-named-block-nodes` says of the bitmaps. */
  query(): readonly NodeInfo[] {
    return this.#nodes.map((node) => node.info());
  }
}

function keyOf(name: string | Name): string {
  return toHex((typeof name === 'string' ? nameFromText(name) : name).bytes);
}
