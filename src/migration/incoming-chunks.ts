import { granulesIn, tooManyGranules } from '../bitmap/granularity.js';
import { nameFromBytes, nameFromText, quoted, toHex } from '../bytes/text.js';
import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import { refusalOf } from './bitmap-operations.js';
import type { BlockBitmapMapping } from './block-bitmap-mapping.js';
import type { BlockGraph } from './block-graph.js';
import { checkRange, type Range, rangeMessage } from './check-range.js';
import {
  FAULT_EFFECTS,
  type FaultCode,
  INCOMING_TRANSITIONS,
  type IncomingEvent,
  type IncomingState,
} from './destination-transitions.js';
import type { Faults } from './faults.js';
import { type Incoming, IncomingBitmap } from './incoming-bitmap.js';
import { RangeList } from './range-list.js';
import { type Resolved, resolveTarget } from './resolve-target.js';
import { TrackedBitmap } from './tracked-bitmap.js';

/** How chunks are applied. */
export interface IncomingOptions {
  readonly graph: BlockGraph;
  readonly mapping: BlockBitmapMapping | undefined;
  /** A bitmap that is there is reused, START's byte is a boolean. */
  readonly patch: boolean;
  readonly holes: 'report' | 'accept' | 'refuse';
  readonly maxRanges: number;
}

/** The BITS chunk whose data are coming. Plain data, for snapshots. */
export interface DataProgress {
  /** The index of its bitmap, or -1 where no data are wanted. */
  into: number;
  readonly range: Range;
  /** Bytes of its data, padding included. */
  size: number;
  /** Where the chunk is in the input, in bytes. */
  offset: number;
  paddingDirty: boolean;
}

/** A bitmap that came, as plain data. */
export interface EntrySnapshot {
  /** The index of its target. */
  readonly target: number;
  readonly nodeAlias: Uint8Array;
  readonly alias: Uint8Array;
  /** Which of the graph's nodes, and which of the node's bitmaps, or -1 where it is gone. */
  readonly node: number;
  readonly bitmap: number;
  readonly granularity: number;
  readonly recording: boolean;
  readonly reused: boolean | null;
  readonly state: IncomingState;
  /** Starts and ends of the ranges that came, in sectors. */
  readonly edges: readonly number[];
  readonly overflowed: boolean;
}

/** What came, as plain data. */
export interface IncomingSnapshot {
  readonly progress: DataProgress;
  readonly entries: readonly EntrySnapshot[];
}

/** Applies the chunks of a stream to a block graph: checks each against its bitmap, then touches it. */
export class IncomingChunks {
  /** The bitmaps by the index of their target. */
  readonly entries: (IncomingBitmap | undefined)[] = [];
  readonly progress: DataProgress = {
    into: -1,
    range: { firstBit: 0, endBit: 0, needed: 0 },
    size: 0,
    offset: 0,
    paddingDirty: false,
  };
  readonly #options: IncomingOptions;
  readonly #faults: Faults;

  constructor(options: IncomingOptions, faults: Faults) {
    this.#options = options;
    this.#faults = faults;
  }

  /** START. `late` where the VM runs already. */
  start(cursor: ChunkCursor, target: Target, late: boolean, offset: number): void {
    const { graph, mapping, patch, maxRanges } = this.#options;
    const outcome = this.#outcome(target, late ? 'start-late' : 'start');
    if (outcome !== 'loading') {
      const what =
        outcome === 'started-twice'
          ? 'is started a second time'
          : 'is started after the VM: what was written since then is in no bitmap';
      this.#faults.raise(outcome as FaultCode, `bitmap ${wire(target)} ${what}`, offset);
      return;
    }
    const resolved = resolveTarget(graph, mapping, target);
    if ('code' in resolved) {
      this.#faults.raise(resolved.code, resolved.message, offset);
      return;
    }
    const { granularity, startFlags } = cursor;
    const recording = patch ? startFlags !== 0 : (startFlags & 1) !== 0;
    const persistent = resolved.persistent ?? (!patch && (startFlags & 2) !== 0);
    const tooLarge = tooManyGranules(resolved.node.size, granularity);
    if (tooLarge !== undefined) {
      this.#faults.raise('bitmap-too-large', `bitmap ${wire(target)}: ${tooLarge}`, offset);
      return;
    }
    const there = this.#existing(resolved, granularity, offset);
    if (!target.node.clean || !target.bitmap.clean) {
      this.#faults.report(
        target.index,
        'name-not-utf8',
        `the name of ${wire(target)} is not clean UTF-8; shown with \\xNN`,
        offset,
      );
    }
    const { node, name } = resolved;
    if (persistent && !node.canStore) {
      const message = `bitmap ${wire(target)} is persistent, and its node cannot store it: it will be lost with the process`;
      this.#faults.report(target.index, 'persistent-unstorable', message, offset);
    }
    const reused = there?.enabled;
    const bitmap = there ?? this.#faults.guard(() => node.create({ name, granularity, recording: false, persistent }));
    const entry = new IncomingBitmap({
      nodeAlias: target.node,
      alias: target.bitmap,
      node,
      bitmap,
      recording,
      reused,
      granules: granulesIn(node.size, granularity),
      ranges: new RangeList(maxRanges),
    });
    entry.begin();
    this.entries[target.index] = entry;
  }

  /** BITS, with or without data. */
  bits(cursor: ChunkCursor, target: Target, offset: number): void {
    const entry = this.#known(target, 'bits', offset);
    if (entry === undefined) return;
    const { progress } = this;
    const { granularity, bits } = entry.bitmap;
    const code = checkRange(cursor, granularity, entry.granules, entry.node.size, progress.range);
    if (code !== undefined) {
      const message = `bitmap ${label(entry)}: ${rangeMessage(code, cursor, granularity, entry.node.size)}`;
      this.#faults.raise(code, message, offset);
      return;
    }
    this.#cover(cursor, target, entry, offset);
    const { firstBit, needed } = progress.range;
    if (cursor.kind === 'zeroes') {
      bits.zeroBytes(firstBit / 8, needed);
      return;
    }
    progress.into = target.index;
    progress.size = cursor.size;
    progress.offset = offset;
    progress.paddingDirty = false;
  }

  /** Whether the names mean something here: a node, and, unless it starts now, a bitmap that this stream started. */
  named(target: Target, starts: boolean, offset: number): boolean {
    if (this.entries[target.index] !== undefined) return true;
    const resolved = resolveTarget(this.#options.graph, this.#options.mapping, target);
    if (!('code' in resolved)) {
      if (starts) return true;
      this.#faults.raise('never-started', `a chunk for ${wire(target)}, which this stream did not start`, offset);
    } else {
      this.#faults.raise(resolved.code, resolved.message, offset);
    }
    return false;
  }

  /** COMPLETE. */
  complete(target: Target, offset: number): void {
    const entry = this.#known(target, 'complete', offset);
    if (entry === undefined) return;
    if (this.#options.holes !== 'accept') this.#checkHoles(target, entry, offset);
    this.#faults.guard(() => entry.finish());
  }

  /** A part of the data of the BITS chunk just told; bytes that nobody wants are dropped. */
  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    const { progress } = this;
    const entry = this.entries[progress.into];
    if (entry === undefined) return;
    const { range } = progress;
    const dataEnd = Math.min(end, start + Math.max(0, range.needed - at));
    if (dataEnd > start) {
      this.#faults.guard(() => entry.bitmap.bits.writeBytes(range.firstBit / 8 + at, bytes, start, dataEnd));
    }
    for (let pos = dataEnd; pos < end; pos++) {
      if (bytes[pos] !== 0) progress.paddingDirty = true;
    }
    if (at + end - start === progress.size) this.#endOfData(entry);
  }

  /** Gives up all bitmaps that are not the VM's. */
  drop(): void {
    this.progress.into = -1;
    for (const entry of this.entries) entry?.drop();
  }

  /** What came so far; the bits are in the block graph. */
  snapshot(): IncomingSnapshot {
    const nodes = [...this.#options.graph.nodes];
    const entries: EntrySnapshot[] = [];
    this.entries.forEach((entry, target) => {
      if (entry === undefined) return;
      const { recording, state, reused } = entry;
      const { overflowed } = entry.ranges;
      entries.push({
        target,
        nodeAlias: entry.nodeAlias.bytes,
        alias: entry.alias.bytes,
        node: nodes.indexOf(entry.node),
        bitmap: entry.node.bitmaps.indexOf(entry.bitmap),
        granularity: entry.bitmap.granularity,
        recording,
        reused: reused ?? null,
        state,
        edges: entry.ranges.edges,
        overflowed,
      });
    });
    return { progress: { ...this.progress, range: { ...this.progress.range } }, entries };
  }

  /** @throws DirtyBitmapError `snapshot-invalid` where the block graph is not that of the snapshot. */
  restore({ progress, entries }: IncomingSnapshot): void {
    const nodes = [...this.#options.graph.nodes];
    for (const saved of entries) {
      const { granularity } = saved;
      const node = nodes[saved.node];
      // What is gone is only remembered, so that its name is not taken for a new one.
      const gone = saved.bitmap < 0 && node !== undefined;
      const bitmap = gone
        ? new TrackedBitmap({ name: undefined, granularity }, node.size)
        : node?.bitmaps[saved.bitmap];
      if (node === undefined || bitmap?.granularity !== granularity) {
        throw new DirtyBitmapError(
          'snapshot-invalid',
          'the snapshot is not of this block graph; restore that one first',
        );
      }
      const entry = new IncomingBitmap({
        nodeAlias: nameFromBytes(saved.nodeAlias),
        alias: nameFromBytes(saved.alias),
        node,
        bitmap,
        recording: saved.recording,
        reused: saved.reused ?? undefined,
        granules: granulesIn(node.size, granularity),
        ranges: this.#ranges(saved.edges, saved.overflowed),
      });
      entry.state = saved.state;
      this.entries[saved.target] = entry;
    }
    Object.assign(this.progress, progress);
  }

  #ranges(edges: readonly number[], overflowed: boolean): RangeList {
    const ranges = new RangeList(this.#options.maxRanges);
    // A snapshot may come from anywhere: adding sorts and merges.
    for (let at = 0; at < edges.length; at += 2) ranges.add(edges[at] as number, edges[at + 1] as number);
    ranges.overflowed = overflowed;
    return ranges;
  }

  #endOfData(entry: IncomingBitmap): void {
    const { progress } = this;
    const target = progress.into;
    progress.into = -1;
    const pastEnd = entry.maskEnd();
    if (progress.paddingDirty) {
      const message = `bitmap ${label(entry)}: the padding after the bits is not zero; ignored`;
      this.#faults.report(target, 'bits-padding', message, progress.offset);
    }
    if (!pastEnd) return;
    const message = `bitmap ${label(entry)}: bits after the end of the disk are set; taken off`;
    this.#faults.report(target, 'bits-past-end', message, progress.offset);
  }

  /** The bitmap of that name that is there, where the policy lets it be reused. */
  #existing(resolved: Resolved, granularity: number, offset: number): TrackedBitmap | undefined {
    const { node, name } = resolved;
    const wanted = typeof name === 'string' ? nameFromText(name) : name;
    const key = toHex(wanted.bytes);
    const there = node.bitmaps.find((bitmap) => bitmap.name !== undefined && toHex(bitmap.name.bytes) === key);
    if (there === undefined) return undefined;
    const what = quoted(`${node.name}/${wanted.text}`, 96);
    if (!this.#options.patch) {
      this.#faults.raise('bitmap-exists', `bitmap ${what} is there already; remove it before the migration`, offset);
    } else if (there.granularity !== granularity) {
      const message = `bitmap ${what} has granularity ${there.granularity}, the one that comes has ${granularity} bytes`;
      this.#faults.raise('granularity-differs', message, offset);
    }
    const refusal = refusalOf('merge-into', there);
    if (refusal !== undefined) this.#faults.raise(refusal.code as FaultCode, refusal.message, offset);
    return there;
  }

  #cover(cursor: ChunkCursor, target: Target, entry: IncomingBitmap, offset: number): void {
    const { firstSector, sectorCount } = cursor;
    if (sectorCount === 0) return;
    const effect = entry.ranges.add(firstSector, firstSector + sectorCount);
    if (effect === 'next' || effect === 'apart') return;
    const what = `bitmap ${label(entry)}: sectors from ${firstSector} to ${firstSector + sectorCount}`;
    if (effect === 'overlap') {
      this.#faults.report(target.index, 'chunk-overlap', `${what} came before; the last chunk wins`, offset);
    } else {
      this.#faults.report(target.index, 'chunk-order', `${what} come after higher ones`, offset);
    }
  }

  #checkHoles(target: Target, entry: IncomingBitmap, offset: number): void {
    const { ranges } = entry;
    const sectors = granulesIn(entry.node.size, SECTOR);
    const hole = ranges.hole() ?? (ranges.end < sectors ? ([ranges.end, sectors] as const) : undefined);
    if (hole === undefined && !ranges.overflowed) return;
    const [from, to] = hole ?? [0, sectors];
    const message =
      `bitmap ${label(entry)} is complete, but nothing came for the bytes from ${from * SECTOR} to ${to * SECTOR} of ` +
      'the disk: they read as clean, which loses changes unless the sender left them out because they are clean';
    if (this.#options.holes === 'refuse') this.#faults.abort('chunk-gap', message, offset);
    this.#faults.report(target.index, 'chunk-gap', message, offset);
  }

  /** The bitmap that a BITS or COMPLETE is for, where that is one of this stream and it may come now. */
  #known(target: Target, event: 'bits' | 'complete', offset: number): IncomingBitmap | undefined {
    const outcome = this.#outcome(target, event);
    const entry = this.entries[target.index];
    const what = event === 'bits' ? 'BITS' : 'COMPLETE';
    if (entry === undefined) {
      const resolved = resolveTarget(this.#options.graph, this.#options.mapping, target);
      if ('code' in resolved) this.#faults.raise(resolved.code, resolved.message, offset);
      else this.#faults.raise('never-started', `${what} for ${wire(target)}, which this stream did not start`, offset);
      return undefined;
    }
    if (!(outcome in FAULT_EFFECTS)) return entry;
    this.#faults.raise(outcome as FaultCode, `${what} for ${label(entry)} after it was completed`, offset);
    return undefined;
  }

  #outcome(target: Target, event: IncomingEvent): string {
    const entry = this.entries[target.index];
    if (entry !== undefined) return entry.outcome(event);
    return INCOMING_TRANSITIONS.none[event];
  }
}

function wire(target: Target): string {
  return quoted(`${target.node.text}/${target.bitmap.text}`, 96);
}

function label(entry: Incoming): string {
  return quoted(`${entry.nodeAlias.text}/${entry.alias.text}`, 96);
}
