import { ByteWriter } from '../../bytes/byte-writer.js';
import { DirtyBitmapError } from '../../errors.js';
import type { Qcow2Header } from '../header.js';
import type { ByteRange, Steps } from '../random-access.js';
import { clustersPerBlock, getRefcount, refcountBlockOffset, refcountTableSteps, setRefcount } from '../refcounts.js';
import type { FileGeometry } from '../table.js';
import { type Phase, type PlannedWrite, type PlanStep, sync, write } from './plan.js';

/** Bytes of the refcount table that QEMU still opens. */
const MAX_TABLE_BYTES = 8 * 1024 * 1024;
/** Where the header tells of the refcount table: offset (8 bytes) and clusters (4 bytes). */
const TABLE_FIELDS = 48;

/** A refcount block, as it will be. */
interface Block {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** It is not in the table yet. */
  readonly isNew: boolean;
  /** Bytes that are to be written, from and to. */
  from: number;
  to: number;
}

/**
 * Takes and gives back clusters in memory, and says what has to be written for it. Clusters are only taken behind the
 * end of the file: a wrong refcount of 0 inside it would cost data. Source: qcow2-bitmaps.md sections 5 and 9.
 */
export class RefcountEditor {
  /** Clusters that were taken, also those for refcounts. */
  taken = 0;
  readonly #header: Qcow2Header;
  readonly #file: FileGeometry;
  readonly #table: Uint8Array;
  readonly #perBlock: number;
  readonly #blocks = new Map<number, Block>();
  /** Clusters that were taken and whose block is not there yet, by the number of the block. */
  readonly #uncounted = new Map<number, number[]>();
  #next: number;
  /** Where a larger table lies, in clusters. */
  #grown: { readonly first: number; readonly clusters: number } | undefined;

  private constructor(header: Qcow2Header, file: FileGeometry, table: Uint8Array) {
    this.#header = header;
    this.#file = file;
    this.#table = table;
    this.#perBlock = clustersPerBlock(header);
    this.#next = Math.ceil(file.fileSize / file.clusterSize);
  }

  /** Reads the refcount table. @throws DirtyBitmapError `qcow2-refcount-table-outside`. */
  static *open(header: Qcow2Header, file: FileGeometry): Steps<RefcountEditor> {
    return new RefcountEditor(header, file, yield* refcountTableSteps(header, file.fileSize));
  }

  /**
   * Takes clusters that lie side by side.
   * @returns where they begin, in bytes.
   * @throws DirtyBitmapError `qcow2-refcount-block`, `u64-too-large`.
   */
  *take(count: number): Steps<number> {
    let first = this.#next;
    for (let cluster = first; cluster < first + count; cluster++) {
      const block = yield* this.#block(Math.floor(cluster / this.#perBlock));
      if (block !== undefined && this.#get(block, cluster) !== 0) first = cluster + 1;
    }
    this.#next = first + count;
    this.taken += count;
    for (let cluster = first; cluster < first + count; cluster++) {
      const number = Math.floor(cluster / this.#perBlock);
      const block = this.#blocks.get(number);
      if (block !== undefined) this.#set(block, cluster, 1);
      else this.#leaveUncounted(number, cluster);
    }
    return first * this.#file.clusterSize;
  }

  /**
   * Makes the blocks, and the larger table, that count what was taken: they are taken themselves, and counted.
   * @throws DirtyBitmapError `qcow2-no-room` where the table would get too large.
   */
  *settle(): Steps<void> {
    yield* this.#makeBlocks();
    const words = this.#table.length / 8;
    if (this.#lastBlock() < words) return;
    const { clusterSize } = this.#file;
    // A half more than is needed, so that the next commits find room; and the table's own clusters need blocks.
    const wanted = Math.ceil((this.#lastBlock() + 2) * 1.5) + 8;
    const clusters = Math.ceil(Math.min(wanted * 8, MAX_TABLE_BYTES) / clusterSize);
    const first = (yield* this.take(clusters)) / clusterSize;
    this.#grown = { first, clusters };
    yield* this.#makeBlocks();
    if (this.#lastBlock() < (clusters * clusterSize) / 8) return;
    const message = `its refcount table would need more than QEMU's ${MAX_TABLE_BYTES} bytes`;
    throw new DirtyBitmapError('qcow2-no-room', `the image has no room for more clusters: ${message}`);
  }

  /**
   * Gives a cluster back, given as its offset in bytes.
   * @returns false where its refcount is not 1, and it is left alone.
   */
  *free(offset: number): Steps<boolean> {
    const cluster = offset / this.#file.clusterSize;
    const block = yield* this.#block(Math.floor(cluster / this.#perBlock));
    if (block === undefined || this.#get(block, cluster) !== 1) return false;
    this.#set(block, cluster, 0);
    return true;
  }

  /** Writes of the blocks that were changed since the last time, and of new ones. */
  *changes(phase: Phase): Generator<PlannedWrite, void, void> {
    for (const block of this.#blocks.values()) {
      const { offset, bytes, isNew, from, to } = block;
      if (from >= to) continue;
      const what = isNew && phase === 'allocate' ? 'new refcount block' : 'refcounts';
      const [start, end] = isNew && phase === 'allocate' ? [0, bytes.length] : [from, to];
      yield write(phase, offset + start, what, bytes.slice(start, end));
      block.from = bytes.length;
      block.to = 0;
    }
    if (phase === 'allocate' && this.#grown !== undefined) {
      yield write(phase, this.#grown.first * this.#file.clusterSize, 'larger refcount table', this.#grownTable());
    }
  }

  /**
   * Makes the new blocks count: each one only after the block that counts its own cluster does, or all with one write of
   * where the larger table is.
   */
  hooks(): PlanStep[] {
    const { clusterSize } = this.#file;
    if (this.#grown !== undefined) {
      const out = new ByteWriter(12);
      out.u64(this.#grown.first * clusterSize);
      out.u32(this.#grown.clusters);
      return [write('hook', TABLE_FIELDS, 'where the refcount table is', out.finish()), sync('hook')];
    }
    const steps: PlanStep[] = [];
    const counts = new Set<number>();
    let waiting = [...this.#blocks].filter(([, block]) => block.isNew);
    for (const [number, block] of this.#blocks) if (!block.isNew) counts.add(number);
    while (waiting.length > 0) {
      const ready = waiting.filter(([number, { offset }]) => {
        const own = Math.floor(offset / clusterSize / this.#perBlock);
        return own === number || counts.has(own);
      });
      for (const [number, { offset }] of ready) {
        const at = this.#header.refcountTableOffset + number * 8;
        steps.push(write('hook', at, 'word of the refcount table', u64Bytes(offset)));
        counts.add(number);
      }
      waiting = waiting.filter(([number]) => !counts.has(number));
      steps.push(sync('hook'));
    }
    return steps;
  }

  /** The refcount table that a larger one took the place of; undefined where none did. */
  get oldTable(): ByteRange | undefined {
    if (this.#grown === undefined) return undefined;
    return { offset: this.#header.refcountTableOffset, length: this.#table.length };
  }

  *#makeBlocks(): Steps<void> {
    for (;;) {
      const [number] = this.#uncounted.keys();
      if (number === undefined) return;
      // It comes behind what it counts, in its own range or in one that is made after it: no two wait for each other.
      const offset = yield* this.take(1);
      const bytes = new Uint8Array(this.#file.clusterSize);
      const block = { offset, bytes, isNew: true, from: 0, to: bytes.length };
      this.#blocks.set(number, block);
      for (const cluster of this.#uncounted.get(number) ?? []) this.#set(block, cluster, 1);
      this.#uncounted.delete(number);
    }
  }

  /** A block that there is, or undefined where its refcounts are all 0. */
  *#block(number: number): Steps<Block | undefined> {
    const known = this.#blocks.get(number);
    if (known !== undefined) return known;
    const offset = refcountBlockOffset(this.#table, number, this.#header, this.#file);
    if (offset === 0) return undefined;
    const bytes = new Uint8Array(yield { offset, length: this.#file.clusterSize });
    const block = { offset, bytes, isNew: false, from: bytes.length, to: 0 };
    this.#blocks.set(number, block);
    return block;
  }

  #get(block: Block, cluster: number): number {
    return getRefcount(block.bytes, cluster % this.#perBlock, this.#header.refcountBits, block.offset);
  }

  #set(block: Block, cluster: number, count: 0 | 1): void {
    const { refcountBits } = this.#header;
    const index = cluster % this.#perBlock;
    setRefcount(block.bytes, index, refcountBits, count);
    const start = Math.floor((index * refcountBits) / 8);
    block.from = Math.min(block.from, start);
    block.to = Math.max(block.to, start + Math.max(1, refcountBits / 8));
  }

  #leaveUncounted(block: number, cluster: number): void {
    const clusters = this.#uncounted.get(block);
    if (clusters === undefined) this.#uncounted.set(block, [cluster]);
    else clusters.push(cluster);
  }

  /** The highest of the new blocks, or -1. */
  #lastBlock(): number {
    let last = -1;
    for (const [number, { isNew }] of this.#blocks) if (isNew && number > last) last = number;
    return last;
  }

  #grownTable(): Uint8Array {
    const bytes = new Uint8Array((this.#grown?.clusters ?? 0) * this.#file.clusterSize);
    bytes.set(this.#table);
    for (const [number, { offset, isNew }] of this.#blocks) {
      if (isNew) bytes.set(u64Bytes(offset), number * 8);
    }
    return bytes;
  }
}

function u64Bytes(value: number): Uint8Array {
  const out = new ByteWriter(8);
  out.u64(value);
  return out.finish();
}
