import { ByteWriter } from '../bytes/byte-writer.js';
import { type Name, quoted, toHex } from '../bytes/text.js';
import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import { FLAG, writeFlags } from '../chunk/flags.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Profile } from '../migration/cutter.js';
import { SentEnd } from '../migration/sent-end.js';
import type { BitmapSet, SetBitmap, SetNode } from '../set/bitmap-set.js';
import { type DiskEnd, diskEnd, oneDiskEnd } from '../set/disk-end.js';
import { entriesOf, type NewNames, nameKey } from '../set/rename-set.js';
import { bitsOf, type Named, type PutBitmap, putBitmap } from './bitmap-chunks.js';
import { EditList } from './splice-edits.js';
import { assertWire, headerWith } from './splice-headers.js';

/** What is done to the bitmaps of a capture: first some are left out, then some renamed, then those of a set put in. */
export interface SpliceChanges {
  /** Whether a bitmap is left out. */
  readonly drop?: ((bitmap: Target) => boolean) | undefined;
  /** Other names for a bitmap; undefined where they stay. */
  readonly rename?: ((bitmap: Target) => NewNames | undefined) | undefined;
  /** Bitmaps to put in: in the place of the one of that name, else added. Their bits are shared until they are written. */
  readonly put?: BitmapSet | undefined;
}

/** What was done to a bitmap. */
export interface SpliceDone {
  /** The bitmap of the capture by its old name, or of the set, as `NODE/NAME`. */
  readonly bitmap: string;
  readonly what: 'dropped' | 'renamed' | 'replaced' | 'added';
  /** Its new name, where it was renamed. */
  readonly to?: string;
}

/** A bitmap of the capture. */
interface State {
  readonly node: Name;
  readonly bitmap: Name;
  readonly nodeKey: string;
  readonly fate: 'keep' | 'drop';
  readonly renamed: boolean;
  /** What takes its place. */
  readonly put: PutBitmap | undefined;
  started: boolean;
  /** Whether the bits of `put` are in. */
  bitsPut: boolean;
  /** How far it was sent; known from its START on. */
  sent: SentEnd | undefined;
}

/** What is put in. */
interface Put {
  readonly label: string;
  readonly put: PutBitmap;
  readonly node: SetNode;
  readonly bitmap: SetBitmap;
}

const NO_NAMES = { node: undefined, bitmap: undefined };

/**
 * What has to be changed in the chunks of a capture, chunk by chunk: the edits, and what they do. Chunks of bitmaps that
 * stay are left as they are, unless a name that they leave out was that of a chunk that is gone.
 */
export class ChunkEdits {
  readonly edits = new EditList();
  readonly done: SpliceDone[] = [];
  readonly #changes: SpliceChanges;
  readonly #profile: Profile;
  readonly #puts = new Map<string, Put>();
  readonly #states = new Map<Target, State>();
  readonly #taken = new Set<string>();
  /** What the last chunk that came means. */
  #inState: State | undefined;
  /** What the last chunk that goes out names. */
  #outState: State | undefined;
  /** The node that it names, as a key. */
  #outNode: string | undefined;
  /** What a chunk of names alone meant that stayed as it was. */
  #bareTarget: Target | undefined;

  /** @throws DirtyBitmapError `size-unknown` for a bitmap that cannot be put in. */
  constructor(changes: SpliceChanges, profile: Profile) {
    this.#changes = changes;
    this.#profile = profile;
    for (const { node, bitmap } of entriesOf(changes.put ?? { nodes: [] })) {
      for (const [what, name] of [['node', node.node] as const, ['bitmap', bitmap.name] as const])
        assertWire(what, name);
      const label = `${node.node.text}/${bitmap.name.text}`;
      const put = putBitmap(node, bitmap, this.#profile);
      this.#puts.set(keyOf(node.node, bitmap.name), { label, put, node, bitmap });
    }
  }

  /**
   * Takes the next chunk.
   * @throws DirtyBitmapError `name-missing`, `started-twice`, `never-started` for one that no bitmap can be made of;
   * `bitmap-exists` where two bitmaps would have one name.
   */
  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    if (cursor.kind === 'bare') {
      this.#bare(cursor, target, offset);
      return;
    }
    if (target === undefined) {
      throw new DirtyBitmapError('name-missing', 'no node and bitmap were named before this chunk', { offset });
    }
    const state = this.#states.get(target) ?? this.#meet(target, offset);
    if (cursor.kind === 'start' && state.started) {
      const message = `bitmap ${labelOf(target)} is started a second time`;
      throw new DirtyBitmapError('started-twice', message, { offset });
    }
    if (cursor.kind !== 'start' && !state.started) {
      throw new DirtyBitmapError('never-started', `bitmap ${labelOf(target)} was not started`, { offset });
    }
    // A chunk of names alone has said them.
    if (this.#bareTarget === target && state.fate === 'keep' && !state.renamed) this.#outState = state;
    this.#bareTarget = undefined;
    state.started = true;
    this.#inState = state;
    if (cursor.kind === 'start') state.sent = new SentEnd(cursor.granularity);
    else if (cursor.kind !== 'complete') state.sent?.add(cursor);
    if (state.fate === 'drop') this.#remove(cursor, offset);
    else if (state.put === undefined) this.#keep(cursor, state, offset);
    else this.#replace(cursor, state, state.put, offset);
  }

  /** Names without a bitmap help nobody, and once something was changed they may be those of one that is gone. */
  #bare(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    if (cursor.nodeStart < 0 && cursor.bitmapStart < 0) return;
    if (this.done.length > 0) {
      this.edits.replace(offset, cursor.headerLength, headerWith(cursor, NO_NAMES));
      return;
    }
    if (cursor.nodeStart >= 0) this.#outNode = toHex(cursor.bytes.subarray(cursor.nodeStart, cursor.nodeEnd));
    this.#outState = undefined;
    this.#bareTarget = target;
  }

  /** Whether chunks that went on unchanged from here would change a bitmap that they do not mean, or one that was replaced. */
  get halfChanged(): boolean {
    const [came, went] = [this.#inState, this.#outState];
    return came !== undefined && went !== undefined && (came !== went || came.put !== undefined);
  }

  /** What is to be added because no bitmap of its name came so far. From now on it counts as there. */
  addRest(): readonly PutBitmap[] {
    const rest = [...this.#puts].filter(([key]) => !this.#taken.has(key));
    for (const [key, { label }] of rest) {
      this.#taken.add(key);
      this.done.push({ bitmap: label, what: 'added' });
    }
    return rest.map(([, { put }]) => put);
  }

  /**
   * A chunk of nothing but the names that the last one meant: after whole bitmaps that went out in between, those that
   * follow mean what they meant. QEMU 7.2 takes it, and dies of a node's name that is said again once the VM runs.
   */
  restateNames(): Uint8Array {
    if (this.#outState === undefined) return new Uint8Array(0);
    const { node, bitmap } = this.#outState;
    const out = new ByteWriter(640);
    writeFlags(out, FLAG.DEVICE_NAME | FLAG.BITMAP_NAME, 1);
    out.str8(node.bytes);
    out.str8(bitmap.bytes);
    return out.finish();
  }

  /**
   * Says that no more chunks come.
   * @throws DirtyBitmapError `complete-missing` for a bitmap that was to be replaced and did not come whole; `size-differs`
   * where one is put in for a disk of another size.
   */
  finish(): void {
    for (const [{ node, bitmap }, state] of this.#states) {
      if (state.put === undefined || state.bitsPut) continue;
      const message = `bitmap ${quoted(`${node.text}/${bitmap.text}`, 96)} of the capture is never completed`;
      throw new DirtyBitmapError('complete-missing', `${message}; only a whole capture can be edited`);
    }
    this.#assertSameDisks();
  }

  /** What becomes of a bitmap that is named for the first time. */
  #meet(target: Target, offset: number): State {
    const drop = this.#changes.drop?.(target) === true;
    const names = (drop ? undefined : this.#changes.rename?.(target)) ?? {};
    const { node = target.node, bitmap = target.bitmap } = names;
    // What a source sent stays as it is, even where nobody can read it.
    if (names.node !== undefined) assertWire('node', node);
    if (names.bitmap !== undefined) assertWire('bitmap', bitmap);
    const key = keyOf(node, bitmap);
    if (!drop && this.#taken.has(key)) {
      const message = `two bitmaps would be called ${quoted(`${node.text}/${bitmap.text}`, 96)}`;
      throw new DirtyBitmapError('bitmap-exists', `${message}; take another name for one`, { offset });
    }
    const put = drop ? undefined : this.#puts.get(key)?.put;
    const renamed = key !== keyOf(target.node, target.bitmap);
    if (!drop) this.#taken.add(key);
    const label = `${target.node.text}/${target.bitmap.text}`;
    if (drop) this.done.push({ bitmap: label, what: 'dropped' });
    if (renamed) this.done.push({ bitmap: label, what: 'renamed', to: `${node.text}/${bitmap.text}` });
    if (put !== undefined) this.done.push({ bitmap: label, what: 'replaced' });
    const fate = drop ? 'drop' : 'keep';
    const state: State = {
      ...{ node, bitmap, nodeKey: nameKey(node), fate, renamed, put },
      ...{ started: false, bitsPut: false, sent: undefined },
    };
    this.#states.set(target, state);
    return state;
  }

  #remove(cursor: ChunkCursor, offset: number): void {
    const length = cursor.headerLength + cursor.size;
    if (cursor.eos) this.edits.replace(offset, length, Uint8Array.of(FLAG.EOS));
    else this.edits.remove(offset, length);
  }

  #replace(cursor: ChunkCursor, state: State, put: PutBitmap, offset: number): void {
    if (cursor.kind === 'start') {
      this.#keep(cursor, state, offset, put);
      return;
    }
    if (!state.bitsPut) {
      state.bitsPut = true;
      const named: Named = this.#outState === state ? 'bitmap' : this.#sameNode(state) ? 'node' : 'nothing';
      const profile = this.#profile;
      this.edits.insert(offset, () => bitsOf(put, named, profile));
      // A bitmap that is all clean has no chunk in `compact`, and so names nothing.
      if (bitsOf(put, named, profile).next().done !== true) {
        this.#outState = state;
        this.#outNode = state.nodeKey;
      }
    }
    if (cursor.kind === 'complete') this.#keep(cursor, state, offset);
    else this.#remove(cursor, offset);
  }

  #sameNode(state: State): boolean {
    return this.#outNode === state.nodeKey;
  }

  /** A chunk whose header stays, but for names that must be said or are others, and for what a START says. */
  #keep(cursor: ChunkCursor, state: State, offset: number, put?: PutBitmap): void {
    const hadNode = cursor.nodeStart >= 0;
    const hadBitmap = cursor.bitmapStart >= 0;
    const node = hadNode || !this.#sameNode(state);
    const bitmap = hadBitmap || node !== hadNode || this.#outState !== state;
    this.#outState = state;
    this.#outNode = state.nodeKey;
    const same = node === hadNode && bitmap === hadBitmap && !(state.renamed && bitmap);
    if (same && put === undefined) return;
    const names = { node: node ? state.node : undefined, bitmap: bitmap ? state.bitmap : undefined };
    this.edits.replace(offset, cursor.headerLength, headerWith(cursor, names, put));
  }

  /** What is put in must be for the disk that the capture's bitmaps of that node are of. */
  #assertSameDisks(): void {
    const ends = new Map<string, (readonly [string, DiskEnd | undefined])[]>();
    const add = (nodeKey: string, label: string, end: DiskEnd | undefined): void => {
      ends.set(nodeKey, [...(ends.get(nodeKey) ?? []), [label, end]]);
    };
    for (const { label, node, bitmap } of this.#puts.values()) add(nameKey(node.node), label, diskEnd(node, bitmap));
    // The capture's own bitmaps are as their source sent them: they are looked at only beside others.
    for (const { nodeKey, node, bitmap, sent } of this.#states.values()) {
      if (sent === undefined || !ends.has(nodeKey)) continue;
      add(nodeKey, `${node.text}/${bitmap.text}`, { bytes: sent.end * SECTOR, exact: sent.isDiskEnd });
    }
    for (const one of ends.values()) oneDiskEnd(one);
  }
}

function labelOf({ node, bitmap }: Target): string {
  return quoted(`${node.text}/${bitmap.text}`, 96);
}

function keyOf(node: Name, bitmap: Name): string {
  return `${nameKey(node)}/${nameKey(bitmap)}`;
}
