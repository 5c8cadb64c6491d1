import { Bitmap, type MemoryBudget } from '../bitmap/bitmap.js';
import { isGranularity } from '../bitmap/granularity.js';
import { type Name, quoted } from '../bytes/text.js';
import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import type { ChunkHandler } from '../chunk/chunk-parser.js';
import { DEVIATION_BIT, deviationsOf } from '../chunk/deviation.js';
import { deviationMessage } from '../chunk/deviation-message.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { Limits } from '../limits.js';
import type { Code } from '../rules.js';
import type { BitmapSet, SetBitmap, SetNode } from '../set/bitmap-set.js';
import { RangeList } from './range-list.js';
import { SentEnd } from './sent-end.js';

/** A bitmap as a stream carried it. */
export interface GatheredBitmap {
  readonly node: Name;
  readonly name: Name;
  /** Bytes. */
  readonly granularity: number;
  /** START's byte. */
  readonly startFlags: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  /** Whether COMPLETE came. */
  readonly complete: boolean;
  /** End of the highest range sent, in bytes of the disk: the disk's size is at least so much, less a sector. */
  readonly coveredBytes: number;
  /** Whether that is also where the disk ends, as far as can be told: it was sent as QEMU sends, from end to end. */
  readonly diskEnd: boolean;
  /** Bytes of its chunks on the wire. */
  readonly wireBytes: number;
  readonly chunks: { readonly data: number; readonly zeroes: number };
  /** Offset of its START in the input, in bytes. */
  readonly offset: number;
  /** What is dirty, as far as its ranges came. */
  readonly bits: Bitmap;
}

/** QEMU pads the data of BITS to this, in bytes, and takes no more than that. */
const PADDING = 32;
/** Chunks without any flag that are stepped over: no sender makes one. */
const MAX_FLAGLESS = 65_536;
/** Granules of the unit that ranges are aligned to, and units of a granule. */
const UNIT = 64;
const PER_UNIT: number = 1 / UNIT;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Entry extends Mutable<Omit<GatheredBitmap, 'chunks'>> {
  chunks: Mutable<GatheredBitmap['chunks']>;
  readonly label: string;
  /** Granules of a sector: a power of two, so that multiplying is exact (and quicker than dividing). */
  readonly perSector: number;
  /** Ranges that were sent, in sectors. */
  readonly ranges: RangeList;
  readonly sent: SentEnd;
  /** End of a range that was not a multiple of 64 granules, in sectors: it must have been the end of the disk. */
  shortEnd: number;
  /** A chunk of no sectors at sector 0: the disk has none, or the source loops. */
  emptyRange: boolean;
  readonly reported: Set<Code>;
}

/**
 * Makes bitmaps of the chunks of a stream, and says what is wrong with them. It never gives up on what can be read: a
 * chunk that makes no sense is reported and left out, and the rest goes on.
 * Source: wire-format.md; dirty-bitmap-states.md sections 2 and 7.
 */
export class Gatherer implements ChunkHandler {
  readonly #findings: Findings;
  readonly #limits: Limits;
  readonly #memory: MemoryBudget;
  readonly #entries: Entry[] = [];
  /** The entry of each target, by its index: the newest START's. */
  readonly #byTarget: (Entry | undefined)[] = [];
  readonly #reported = new Map<Target | undefined, Set<Code>>();
  /** Bitmaps whose START made no sense; that was reported. */
  readonly #refused = new Set<Target>();

  // The BITS chunk whose data are coming: its bitmap (undefined to drop them), its range in sectors, and where in the
  // bitmap they go.
  #into: Entry | undefined;
  /** Whose chunk the data belong to, applied or not. */
  #chunkOf: Entry | undefined;
  #flagless = 0;
  #at = -1;
  #first = 0;
  #end = 0;
  #received = 0;
  #bitsEnd = 0;
  #dataBytes = 0;
  #offset = 0;
  #size = 0;
  #paddingDirty = false;

  constructor(findings: Findings, limits: Limits) {
    this.#findings = findings;
    this.#limits = limits;
    this.#memory = { used: 0, max: limits.maxBitmapMemory };
  }

  /** The bitmaps so far, in the order in which they were started. */
  get bitmaps(): readonly GatheredBitmap[] {
    return this.#entries;
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.#into = undefined;
    this.#chunkOf = undefined;
    if (cursor.deviations !== 0) this.#deviations(cursor, offset);
    if (cursor.kind === 'bare') {
      if (cursor.flags === 0 && ++this.#flagless > MAX_FLAGLESS) {
        const message = `more than ${MAX_FLAGLESS} chunks without any flag: this is no dirty-bitmap section`;
        throw new DirtyBitmapError('limit', message, { offset });
      }
      if (target === undefined && cursor.nodeStart >= 0) this.#nameless(cursor, offset);
      return;
    }
    if (target === undefined) {
      this.#nameless(cursor, offset);
      return;
    }
    if (cursor.nodeStart >= 0 && cursor.bitmapStart < 0) {
      const message = `node ${quoted(target.node.text)} is named again without a bitmap; taken to mean the bitmap before`;
      this.#once(target, 'name-ambiguous', message, offset);
    }
    if (cursor.kind === 'start') {
      this.#start(cursor, target, offset);
      return;
    }
    const entry = this.#byTarget[target.index];
    if (entry === undefined) {
      if (this.#refused.has(target)) return;
      const what = cursor.kind === 'complete' ? 'COMPLETE' : 'BITS';
      const message = `${what} for ${label(target)}, which this stream did not start; the chunk is left out`;
      this.#once(target, 'never-started', message, offset);
      return;
    }
    entry.wireBytes += cursor.headerLength;
    if (cursor.size > 0) this.#chunkOf = entry;
    if (cursor.kind === 'complete') this.#complete(entry, offset);
    else this.#range(entry, cursor, offset);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    if (this.#chunkOf !== undefined) this.#chunkOf.wireBytes += end - start;
    const entry = this.#into;
    if (entry === undefined) return;
    const dataEnd = Math.min(end, start + Math.max(0, this.#dataBytes - at));
    if (dataEnd > start) entry.bits.writeBytes(this.#at + at, bytes, start, dataEnd);
    for (let pos = dataEnd; pos < end; pos++) {
      if (bytes[pos] !== 0) this.#paddingDirty = true;
    }
    this.#received = at + end - start;
    if (this.#received === this.#size) this.#endOfData(entry);
  }

  /** Says that no more chunks come: what was not completed is reported. */
  finish(): void {
    if (this.#into !== undefined) this.#cutInData(this.#into);
    for (const entry of this.#entries) {
      if (entry.complete) continue;
      this.#holes(entry, entry.offset);
      this.#findings.add(
        'complete-missing',
        `bitmap ${entry.label} was started and never completed: a QEMU that loads this keeps it busy for ever; ` +
          'the source failed, was cancelled, or the stream is not all here',
        entry.offset,
      );
    }
  }

  /** The bitmaps as a set, nodes in the order in which they were first started. The bits are shared, not copied. */
  toSet(): BitmapSet {
    const nodes = new Map<Name, SetNode & { bitmaps: SetBitmap[] }>();
    for (const bitmap of this.#entries) {
      const node = nodes.get(bitmap.node) ?? { node: bitmap.node, size: undefined, bitmaps: [] };
      nodes.set(bitmap.node, node);
      // Where no range came at all, nothing tells how far the bitmap reaches; a disk of no bytes does tell.
      const untold = bitmap.coveredBytes === 0 && !bitmap.emptyRange;
      node.bitmaps.push(untold ? { ...bitmap, coveredBytes: undefined } : bitmap);
    }
    return { nodes: [...nodes.values()] };
  }

  #deviations(cursor: ChunkCursor, offset: number): void {
    // Ranges of no sectors are judged where it is known what came before them.
    for (const code of deviationsOf(cursor.deviations & ~DEVIATION_BIT['sector-count-zero'])) {
      this.#findings.add(code, deviationMessage(code, cursor), offset);
    }
  }

  #nameless(cursor: ChunkCursor, offset: number): void {
    const code = cursor.nodeStart >= 0 ? 'name-ambiguous' : 'name-missing';
    const message =
      code === 'name-ambiguous'
        ? 'a new node is named without a bitmap, so it is not known which one is meant (QEMU goes on with the bitmap of ' +
          'the node before); the chunk is left out'
        : 'no node and bitmap were named before this chunk; it is left out (QEMU drops all bitmaps)';
    this.#once(undefined, code, message, offset);
  }

  #start(cursor: ChunkCursor, target: Target, offset: number): void {
    const granularity = cursor.granularity;
    if (!isGranularity(granularity)) {
      this.#refused.add(target);
      return;
    }
    if (this.#entries.length >= this.#limits.maxBitmaps) {
      throw new DirtyBitmapError('limit', `more than ${this.#limits.maxBitmaps} bitmaps; raise maxBitmaps`, { offset });
    }
    if (this.#byTarget[target.index] !== undefined) {
      const message = `bitmap ${label(target)} is started a second time; listed twice (QEMU fails the migration)`;
      this.#findings.add('started-twice', message, offset);
    }
    if (!target.node.clean || !target.bitmap.clean) {
      this.#once(target, 'name-not-utf8', `the name of ${label(target)} is not clean UTF-8; shown with \\xNN`, offset);
    }
    const entry: Entry = {
      node: target.node,
      name: target.bitmap,
      label: label(target),
      granularity,
      startFlags: cursor.startFlags,
      recording: (cursor.startFlags & 1) !== 0,
      persistent: (cursor.startFlags & 2) !== 0,
      complete: false,
      coveredBytes: 0,
      diskEnd: false,
      wireBytes: cursor.headerLength,
      chunks: { data: 0, zeroes: 0 },
      offset,
      bits: new Bitmap(granularity, { memory: this.#memory }),
      perSector: SECTOR / granularity,
      ranges: new RangeList(this.#limits.maxRanges),
      sent: new SentEnd(granularity),
      shortEnd: Number.POSITIVE_INFINITY,
      emptyRange: false,
      reported: new Set(),
    };
    this.#entries.push(entry);
    this.#byTarget[target.index] = entry;
  }

  #complete(entry: Entry, offset: number): void {
    if (entry.complete) {
      this.#findings.add('completed-twice', `bitmap ${entry.label} is completed a second time`, offset);
      return;
    }
    entry.complete = true;
    entry.diskEnd = entry.sent.isDiskEnd || entry.emptyRange;
    this.#holes(entry, offset);
  }

  #holes(entry: Entry, offset: number): void {
    const hole = entry.ranges.hole();
    if (hole === undefined && !entry.ranges.overflowed) return;
    const holes =
      hole === undefined
        ? 'holes (more ranges than are remembered)'
        : `${entry.ranges.holes()} hole(s), the first from byte ${hole[0] * SECTOR} to ${hole[1] * SECTOR} of the disk`;
    this.#findings.add(
      'chunk-gap',
      `the ranges of bitmap ${entry.label} leave ${holes}: they read as clean, ` +
        'which loses changes unless the sender left them out because they are clean (QEMU does not)',
      offset,
    );
  }

  #range(entry: Entry, cursor: ChunkCursor, offset: number): void {
    const { firstSector: first, sectorCount: count } = cursor;
    if (cursor.kind === 'bits') entry.chunks.data++;
    else entry.chunks.zeroes++;
    if ((cursor.deviations & DEVIATION_BIT['sector-overflow']) !== 0) return;
    if (count === 0) {
      this.#emptyRange(entry, cursor, offset);
      return;
    }
    if (entry.emptyRange) {
      const message = `bitmap ${entry.label}: a chunk of 0 sectors, which only a disk of no bytes has, and yet a range follows`;
      this.#say(entry, 'sector-count-zero', message, offset);
    }
    if (entry.complete) {
      this.#say(entry, 'bits-after-complete', `bits for ${entry.label} after it was completed`, offset);
    }
    const end = first + count;
    if (!this.#aligned(entry, first, end, offset)) return;
    entry.sent.add(cursor);
    const firstBit = first * entry.perSector;
    const endBit = Math.ceil(end * entry.perSector);
    const needed = Math.ceil((endBit - firstBit) * PER_UNIT) * 8;
    if (cursor.kind === 'bits' && !this.#sizeFits(entry, cursor, needed, endBit - firstBit, offset)) return;
    if (cursor.kind === 'zeroes') {
      // Above all that came before the bitmap is clean.
      const above = first >= entry.ranges.end;
      this.#cover(entry, first, end, offset);
      if (!above) entry.bits.zeroBytes(firstBit / 8, needed);
      return;
    }
    this.#into = entry;
    this.#first = first;
    this.#end = end;
    this.#at = firstBit / 8;
    this.#received = 0;
    this.#bitsEnd = endBit;
    this.#dataBytes = Math.min(needed, cursor.size);
    this.#size = cursor.size;
    this.#offset = offset;
    this.#paddingDirty = false;
  }

  /** A range of no sectors: right for a disk of no bytes, once; else nothing moves on. */
  #emptyRange(entry: Entry, cursor: ChunkCursor, offset: number): void {
    if (!entry.emptyRange && entry.ranges.end === 0 && (cursor.deviations & DEVIATION_BIT['sector-count-zero']) === 0) {
      entry.emptyRange = true;
      return;
    }
    const loops = entry.granularity >= 2 ** 28;
    this.#say(
      entry,
      loops ? 'source-loops' : 'sector-count-zero',
      loops
        ? `bitmap ${entry.label}: a chunk of 0 sectors; with a granularity of ${entry.granularity} bytes a QEMU source ` +
            'loops here for ever (its count of sectors does not fit 32 bits): use a granularity below 256 MiB'
        : `bitmap ${entry.label}: a chunk of 0 sectors at sector ${cursor.firstSector} covers nothing`,
      offset,
    );
  }

  /** Whether the range begins on 64 granules and, unless it ends the disk, ends there. */
  #aligned(entry: Entry, first: number, end: number, offset: number): boolean {
    const firstUnit = first * entry.perSector * PER_UNIT;
    if (firstUnit !== Math.floor(firstUnit)) {
      const message = `bitmap ${entry.label}: a range begins at sector ${first}, not a multiple of ${UNIT / entry.perSector}; it is left out (QEMU aborts)`;
      this.#findings.add('bits-misaligned', message, offset);
      return false;
    }
    if (end > entry.shortEnd) {
      this.#say(
        entry,
        'bits-misaligned',
        `bitmap ${entry.label}: a range ended at sector ${entry.shortEnd}, not a multiple of ${UNIT / entry.perSector}, so that ` +
          `was the end of the disk, yet one more ends at sector ${end} (QEMU aborts on one of them)`,
        offset,
      );
    }
    const endUnit = end * entry.perSector * PER_UNIT;
    if (endUnit !== Math.floor(endUnit)) entry.shortEnd = Math.min(entry.shortEnd, end);
    return true;
  }

  #sizeFits(entry: Entry, cursor: ChunkCursor, needed: number, granules: number, offset: number): boolean {
    const most = Math.ceil(needed / PADDING) * PADDING;
    if (cursor.size >= needed && cursor.size <= most) return true;
    this.#findings.add(
      'bits-size-mismatch',
      `bitmap ${entry.label}: ${granules} granules need ${needed} to ${most} bytes of data, found ${cursor.size}; ` +
        'the range is left out (QEMU drops all bitmaps)',
      offset,
    );
    return false;
  }

  #cover(entry: Entry, first: number, end: number, offset: number): void {
    const effect = entry.ranges.add(first, end);
    entry.coveredBytes = entry.ranges.end * SECTOR;
    if (effect === 'overlap') {
      const message = `bitmap ${entry.label}: sectors from ${first} to ${end} were sent before; the last chunk wins`;
      this.#say(entry, 'chunk-overlap', message, offset);
    } else if (effect === 'earlier') {
      const message = `bitmap ${entry.label}: sectors from ${first} to ${end} come after higher ones; QEMU sends them in order`;
      this.#say(entry, 'chunk-order', message, offset);
    }
  }

  /** The stream ends inside the data of a chunk: what came of them counts. */
  #cutInData(entry: Entry): void {
    const sectors = (Math.min(this.#received, this.#dataBytes) * 8 * entry.granularity) / SECTOR;
    if (sectors > 0) this.#cover(entry, this.#first, Math.min(this.#end, this.#first + sectors), this.#offset);
    this.#maskEnd(entry);
    this.#into = undefined;
  }

  #endOfData(entry: Entry): void {
    this.#into = undefined;
    this.#cover(entry, this.#first, this.#end, this.#offset);
    if (this.#paddingDirty) {
      this.#say(
        entry,
        'bits-padding',
        `bitmap ${entry.label}: the padding after the bits is not zero; ignored`,
        this.#offset,
      );
    }
    this.#maskEnd(entry);
  }

  /** Takes off the bits behind the last granule of the range, in its last word. */
  #maskEnd(entry: Entry): void {
    const wordEnd = Math.ceil(this.#bitsEnd / UNIT) * UNIT;
    if (wordEnd === this.#bitsEnd || !entry.bits.anyBits(this.#bitsEnd, wordEnd)) return;
    entry.bits.clearBits(this.#bitsEnd, wordEnd);
    const message =
      `bitmap ${entry.label}: bits after the last granule of the range (${this.#bitsEnd}) are set; taken off ` +
      '(QEMU keeps them in memory and does not count them)';
    this.#say(entry, 'bits-past-end', message, this.#offset);
  }

  /** Reports a rule once for a bitmap: a fault that a source makes, it makes in every chunk. */
  #say(entry: Entry, code: Code, message: string, offset: number): void {
    if (entry.reported.has(code)) return;
    entry.reported.add(code);
    this.#findings.add(code, message, offset);
  }

  #once(target: Target | undefined, code: Code, message: string, offset: number): void {
    const codes = this.#reported.get(target) ?? new Set();
    if (codes.has(code)) return;
    this.#reported.set(target, codes.add(code));
    this.#findings.add(code, message, offset);
  }
}

function label(target: Target): string {
  return quoted(`${target.node.text}/${target.bitmap.text}`, 96);
}
