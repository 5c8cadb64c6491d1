import { Bitmap, type MemoryBudget } from '../bitmap/bitmap.js';
import { granulesIn } from '../bitmap/granularity.js';
import { DirtyBitmapError } from '../errors.js';
import type { QemuDestination, QemuNode, QemuOldBitmap } from './qemu-destination.js';
import { keyOfText, type QemuName } from './qemu-name.js';

/** Granules of the unit that ranges are aligned to. */
const UNIT = 64;
/** Bytes of the largest disk that is reckoned with: a Number is exact up to here. */
export const MAX_BYTES: number = 2 ** 53;

/** A bitmap in the memory of the destination. */
export class HostBitmap {
  readonly node: HostNode;
  readonly name: QemuName;
  /** Bytes. */
  readonly granularity: number;
  readonly bits: Bitmap;
  /** Came with this migration. */
  readonly arrived: boolean;
  /** START's offset in the input, in bytes. */
  readonly offset: number;
  /** Recording on the source, and so here once the guest runs. */
  recordingWanted = false;
  /** Started after the guest: never turned on. */
  late = false;
  finished = false;
  persistent = false;
  /** It was there before, and the stream wrote into it. */
  overwritten = false;
  /** What QMP calls count, in bytes: not kept up to date by BITS, only by COMPLETE. */
  count = 0;

  // Where the size of the disk is not known, what would have to be asked of it.
  /** Granule in which the first range ended that was not a multiple of 64 granules, its offset and its sectors. */
  shortEnd: { readonly granule: number; readonly offset: number; readonly sectors: number } | undefined;
  /** The first such range that ended elsewhere. */
  otherShortEnd: { readonly offset: number; readonly sectors: number } | undefined;
  /** A range of no sectors at sector 0. */
  emptyRange = false;
  /** Offset of the first COMPLETE. */
  completedAt: number | undefined;

  constructor(node: HostNode, name: QemuName, bits: Bitmap, arrivedAt: number | undefined) {
    this.node = node;
    this.name = name;
    this.bits = bits;
    this.granularity = bits.granularity;
    this.arrived = arrivedAt !== undefined;
    this.offset = arrivedAt ?? 0;
  }

  /** Granules of the disk, as far as its size is known or was seen. */
  get granules(): number {
    return granulesIn(this.node.knownBytes, this.granularity);
  }

  /** Counts anew. Bits after the last granule are kept, and not counted. */
  recount(): void {
    this.count = (this.bits.dirtyGranules() - this.#bitsPastEnd()) * this.granularity;
  }

  #bitsPastEnd(): number {
    const granules = this.granules;
    const odd = granules % UNIT;
    if (odd === 0) return 0;
    const word = new Uint8Array(UNIT / 8);
    this.bits.readBytes((granules - odd) / 8, word);
    let count = 0;
    for (let bit = odd; bit < UNIT; bit++) count += ((word[bit >>> 3] as number) >>> (bit & 7)) & 1;
    return count;
  }
}

/** A node of the destination, given or assumed. */
export class HostNode {
  readonly name: QemuName;
  /** Bytes of the disk; undefined where the node is only assumed. */
  readonly size: number | undefined;
  readonly readOnly: boolean;
  /** Whether the image can store bitmaps, where that is known. */
  readonly canStore: boolean | undefined;
  readonly bitmaps = new Map<string, HostBitmap>();
  /** End of the highest range that came, in bytes of the disk. */
  end = 0;
  /** Its image could not be activated. */
  broken = false;

  constructor(name: QemuName, known?: QemuNode) {
    this.name = name;
    this.size = known?.size;
    this.readOnly = known?.readOnly ?? false;
    this.canStore = known?.canStore;
  }

  /** Bytes of the disk, or what was seen of it. */
  get knownBytes(): number {
    return this.size ?? this.end;
  }

  /** Takes in a bitmap that is there without the stream. */
  addOld(old: QemuOldBitmap, persistent: boolean): void {
    const bits = old.bits?.clone() ?? new Bitmap(old.granularity);
    const bitmap = new HostBitmap(this, { key: keyOfText(old.name), text: old.name }, bits, undefined);
    bitmap.recordingWanted = old.recording ?? true;
    bitmap.persistent = persistent;
    bitmap.finished = true;
    bitmap.recount();
    this.bitmaps.set(bitmap.name.key, bitmap);
  }
}

/** The nodes and bitmaps of the destination. Source: dirty-bitmap-states.md section 3. */
export class QemuHost {
  /** Offset in the input at which the guest starts (if it is not paused), in bytes; undefined before that. */
  startedAt: number | undefined;
  /** Every bitmap that came, also those deleted since, where sizes can be judged only at the end. */
  readonly toJudge: HostBitmap[] = [];
  /** Whether nodes are taken to exist as soon as the stream names them. */
  readonly assumed: boolean;
  readonly #nodes: HostNode[] = [];
  readonly #byDevice = new Map<string, HostNode>();
  readonly #byName = new Map<string, HostNode>();
  readonly #stored: { readonly node: HostNode; readonly bitmaps: readonly QemuOldBitmap[] }[] = [];
  readonly #memory: MemoryBudget;
  /** What a cancellation deletes, by arrival. */
  #incoming = new Set<HostBitmap>();

  constructor(destination: QemuDestination, maxBitmapMemory: number) {
    this.#memory = { used: 0, max: maxBitmapMemory };
    this.assumed = destination.nodes === undefined;
    for (const known of destination.nodes ?? []) {
      assertSize(known);
      const node = new HostNode({ key: keyOfText(known.node), text: known.node }, known);
      for (const old of known.bitmaps ?? []) node.addOld(old, old.persistent ?? false);
      if (known.stored !== undefined) this.#stored.push({ node, bitmaps: known.stored });
      this.#nodes.push(node);
      this.#byName.set(node.name.key, node);
      if (known.device !== undefined) this.#byDevice.set(keyOfText(known.device), node);
    }
  }

  /** Whether the guest runs, or would if it were not paused. */
  get started(): boolean {
    return this.startedAt !== undefined;
  }

  /** The nodes that are given, and those assumed that got a bitmap. */
  get nodes(): readonly HostNode[] {
    return this.#nodes;
  }

  /** The node that a name means: a drive's, unless only node names count, else a node's. */
  find(name: QemuName, onlyNodeNames: boolean): HostNode | undefined {
    const drive = onlyNodeNames ? undefined : this.#byDevice.get(name.key);
    const found = drive ?? this.#byName.get(name.key);
    // Kept only once it has a bitmap: a stream may name any number of nodes.
    return found ?? (this.assumed ? new HostNode(name) : undefined);
  }

  /** A bitmap that the stream starts. `offset` is its START's, in bytes. */
  create(node: HostNode, name: QemuName, granularity: number, offset: number): HostBitmap {
    const bitmap = new HostBitmap(node, name, new Bitmap(granularity, { memory: this.#memory }), offset);
    if (this.assumed && !this.#byName.has(node.name.key)) {
      this.#byName.set(node.name.key, node);
      this.#nodes.push(node);
    }
    node.bitmaps.set(name.key, bitmap);
    bitmap.late = this.started;
    this.#incoming.add(bitmap);
    if (this.assumed) this.toJudge.push(bitmap);
    return bitmap;
  }

  /** COMPLETE. */
  complete(bitmap: HostBitmap, offset: number): void {
    bitmap.completedAt ??= offset;
    bitmap.recount();
    bitmap.finished = true;
    if (this.started) this.#incoming.delete(bitmap);
  }

  /** Deletes what came: all of it before the guest starts, afterwards what is not complete. Returns how many that were. */
  cancel(): number {
    for (const bitmap of this.#incoming) {
      bitmap.bits.clearAll();
      bitmap.node.bitmaps.delete(bitmap.name.key);
    }
    const count = this.#incoming.size;
    this.#incoming = new Set();
    return count;
  }

  /**
   * The guest starts: complete bitmaps are safe from now on, and the images are activated.
   * @returns the stored bitmap that keeps an image from being activated, where there is one.
   */
  start(offset: number): { readonly node: HostNode; readonly bitmap: string } | undefined {
    if (this.started) return undefined;
    this.startedAt = offset;
    for (const bitmap of this.#incoming) if (bitmap.finished) this.#incoming.delete(bitmap);
    let problem: { readonly node: HostNode; readonly bitmap: string } | undefined;
    for (const { node, bitmaps } of this.#stored) {
      const twice = bitmaps.find((old) => node.bitmaps.has(keyOfText(old.name)));
      if (twice === undefined) for (const old of bitmaps) node.addOld(old, true);
      else {
        node.broken = true;
        problem ??= { node, bitmap: twice.name };
      }
    }
    return problem;
  }
}

function assertSize({ node, size }: QemuNode): void {
  if (Number.isInteger(size) && size >= 0 && size <= MAX_BYTES) return;
  throw new DirtyBitmapError('argument', `size of node ${node}: expected a whole number from 0 to 2^53, found ${size}`);
}
