import { type Name, nameFromBytes } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { ChunkCursor } from './chunk-cursor.js';

/** A bitmap as the stream names it. One object stands for one bitmap throughout a migration. */
export interface Target {
  /** 0 for the first bitmap that the stream names, then 1, ... */
  readonly index: number;
  /** Node name, device name or alias: what the wire carries. */
  readonly node: Name;
  /** Bitmap name or alias. */
  readonly bitmap: Name;
}

/** What a {@link NameMemory} remembers, as plain data. */
export interface NameMemoryState {
  /** Node and bitmap of every target, in order. */
  readonly targets: readonly (readonly [node: Uint8Array, bitmap: Uint8Array])[];
  /** The node that a chunk without a node name means, or null. */
  readonly node: Uint8Array | null;
  /** The index of the target that a chunk without names means, or -1. */
  readonly target: number;
}

interface Node {
  readonly name: Name;
  readonly targets: Map<string, Target>;
}

/**
 * Which bitmap a chunk means. Names are left out where they are those of the chunk before, and that memory lives as
 * long as the migration: across sections and across the package of a postcopy. Source: wire-format.md, Names.
 */
export class NameMemory {
  /** Every bitmap named so far, in the order in which they were first named. */
  readonly targets: Target[] = [];
  readonly #nodes = new Map<string, Node>();
  readonly #maxBitmaps: number;
  #node: Node | undefined;
  #target: Target | undefined;

  constructor(maxBitmaps: number) {
    this.#maxBitmaps = maxBitmaps;
  }

  /**
   * Takes note of the names that the chunk under the cursor carries.
   * @returns the bitmap it means, or undefined where the stream has not said so: no name yet, or a new node's name
   * without a bitmap's.
   * @throws DirtyBitmapError `limit` where the stream names more bitmaps than allowed.
   */
  resolve(cursor: ChunkCursor, offset: number): Target | undefined {
    if (cursor.nodeStart < 0 && cursor.bitmapStart < 0) return this.#target;
    if (cursor.nodeStart >= 0) {
      const node = this.#nodeOf(cursor.bytes.subarray(cursor.nodeStart, cursor.nodeEnd));
      // The same node again leaves no doubt which bitmap is meant; another one does.
      if (node !== this.#node) this.#enter(node);
    }
    if (cursor.bitmapStart >= 0) {
      this.#target = this.#node && this.#targetOf(this.#node, cursor, offset);
    }
    return this.#target;
  }

  /** The node that the next chunk without a node name means. */
  get node(): Name | undefined {
    return this.#node?.name;
  }

  #enter(node: Node): void {
    // A node without bitmaps is not worth a place: forgotten as soon as another is named, whether that one is new or not.
    if (this.#node?.targets.size === 0) this.#nodes.delete(keyOf(this.#node.name.bytes));
    this.#node = node;
    this.#target = undefined;
  }

  /** What is remembered, to go on with in another place. */
  snapshot(): NameMemoryState {
    return {
      targets: this.targets.map(({ node, bitmap }) => [node.bytes, bitmap.bytes] as const),
      node: this.#node?.name.bytes ?? null,
      target: this.#target?.index ?? -1,
    };
  }

  /** Goes on with what was remembered elsewhere; only before anything was resolved here. */
  restore({ targets, node, target }: NameMemoryState): void {
    for (const [nodeBytes, bitmapBytes] of targets) {
      const owner = this.#nodeOf(nodeBytes);
      const made = { index: this.targets.length, node: owner.name, bitmap: nameFromBytes(bitmapBytes) };
      owner.targets.set(keyOf(bitmapBytes), made);
      this.targets.push(made);
    }
    this.#node = node === null ? undefined : this.#nodeOf(node);
    this.#target = this.targets[target];
  }

  #nodeOf(bytes: Uint8Array): Node {
    const key = keyOf(bytes);
    let node = this.#nodes.get(key);
    if (node === undefined) {
      node = { name: nameFromBytes(bytes), targets: new Map() };
      this.#nodes.set(key, node);
    }
    return node;
  }

  #targetOf(node: Node, cursor: ChunkCursor, offset: number): Target {
    const bytes = cursor.bytes.subarray(cursor.bitmapStart, cursor.bitmapEnd);
    const key = keyOf(bytes);
    let target = node.targets.get(key);
    if (target === undefined) {
      if (this.targets.length >= this.#maxBitmaps) {
        throw new DirtyBitmapError(
          'limit',
          `the stream names more than ${this.#maxBitmaps} bitmaps; raise the limit maxBitmaps if that is meant`,
          { offset },
        );
      }
      target = { index: this.targets.length, node: node.name, bitmap: nameFromBytes(bytes) };
      node.targets.set(key, target);
      this.targets.push(target);
    }
    return target;
  }
}

/** One character a byte: a key that tells all names apart, clean UTF-8 or not. */
function keyOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
