import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';
import { RunList } from './run-list.js';
import {
  type BitmapTraffic,
  type ChunkPlace,
  PHASES,
  type Phase,
  type Timeline,
  WIRE_USES,
  type WireUse,
} from './timeline.js';
import type { Vmdesc } from './vmdesc.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A bitmap's traffic, and what is needed to count it. */
interface Traffic extends Mutable<Omit<BitmapTraffic, 'phases'>> {
  readonly phases: Record<Phase, number>;
  /** Bytes; 0 where the stream does not start the bitmap. */
  granularity: number;
}

/** Bitmaps whose traffic is told. */
const MAX_BITMAPS = 1000;
/** Chunks whose places are told, besides the first of each kind. */
const FIRST_CHUNKS = 8;

/**
 * Follows a capture and keeps its {@link Timeline}, in memory that does not grow with it. It does not throw at bad input:
 * what cannot be followed ends the timeline.
 * @example
 * const reader = new TimelineReader();
 * for await (const piece of response.body) reader.push(piece);
 * console.log(reader.finish().uses.bits);
 */
export class TimelineReader {
  readonly #parser: CaptureParser;
  readonly #keeper = new Keeper();
  readonly #from: number;
  /** Bytes pushed or skipped. */
  #bytes = 0;
  #stopped = false;

  constructor(options: CaptureOptions = {}) {
    this.#parser = new CaptureParser(this.#keeper, options);
    this.#from = options.offset ?? 0;
  }

  /** Bytes after those pushed that nobody will look at; a reader that can seek may leave them out. */
  get skippable(): number {
    return this.#stopped ? Number.MAX_SAFE_INTEGER : this.#parser.skippable;
  }

  /** Whether the input could not be followed further: what comes changes nothing any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Says that `count` bytes, at most {@link TimelineReader.skippable}, were left out of what is pushed next. */
  skipped(count: number): void {
    this.#bytes += count;
    if (!this.#stopped) this.#parser.skipped(count);
  }

  /** Takes the next piece, which may be reused after the call. */
  push(piece: Uint8Array): void {
    this.#bytes += piece.length;
    this.#guarded(() => this.#parser.push(piece));
  }

  /** Says that the input ends here. */
  finish(): Timeline {
    this.#guarded(() => this.#parser.finish());
    this.#stopped = true;
    return this.#keeper.timeline(this.#from, this.#parser.offset, this.#bytes);
  }

  #guarded(step: () => void): void {
    if (this.#stopped) return;
    try {
      step();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError) || error.code === 'argument') throw error;
      this.#stopped = true;
    }
  }
}

/** Keeps what a parser tells in short. */
class Keeper implements CaptureHandler {
  readonly #runs = new RunList();
  readonly #phases = new Map<Phase, { items: number; bytes: number }>();
  readonly #uses = Object.fromEntries(WIRE_USES.map((use) => [use, 0])) as Record<WireUse, number>;
  readonly #byTarget: (Traffic | undefined)[] = [];
  /** Of the bitmap whose chunk's data come. */
  #traffic: Traffic | undefined;
  #bitmaps = 0;
  #moreBitmaps = 0;
  readonly #firstChunks: ChunkPlace[] = [];
  readonly #kinds = new Set<string>();
  #phase: Phase = 'setup';
  #begun = 0;
  #open: { readonly section: Section; readonly type: SectionType } | undefined;
  /** Chunk bytes in the section that is open. */
  #chunkBytes = 0;
  #packageEnd = 0;

  header(_version: number, offset: number): void {
    this.#item('header', '', offset, 8, 'other');
  }

  configuration(_configuration: Configuration, offset: number, length: number): void {
    this.#item('configuration', '', offset, length, 'other');
  }

  sectionBegin(section: Section, type: SectionType, offset: number): void {
    if (type === 'part' && this.#phase === 'setup') this.#phase = 'iteration';
    const ends = type === 'end' || type === 'full';
    if (ends && (this.#phase === 'setup' || this.#phase === 'iteration')) this.#phase = 'completion';
    this.#begun = offset;
    this.#open = { section, type };
    this.#chunkBytes = 0;
  }

  sectionEnd(section: Section, type: SectionType, _bodyEnd: number, end: number): void {
    this.#section(section, type, end);
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    const { headerLength, size, kind } = cursor;
    this.#chunkBytes += headerLength;
    this.#traffic = undefined;
    this.#uses['chunk-headers'] += headerLength;
    if (kind === 'bare') return;
    const first = !this.#kinds.has(kind);
    if (first || this.#firstChunks.length < FIRST_CHUNKS) {
      this.#kinds.add(kind);
      this.#firstChunks.push({ offset, length: headerLength + size });
    }
    const traffic = target && this.#trafficOf(target);
    if (traffic === undefined) return;
    this.#traffic = traffic;
    if (kind === 'start') traffic.granularity = cursor.granularity;
    traffic.headerBytes += headerLength;
    traffic.phases[this.#phase]++;
    if (kind === 'bits') traffic.dataChunks++;
    if (kind !== 'zeroes') return;
    traffic.zeroChunks++;
    if (traffic.granularity > 0)
      traffic.elidedBytes += Math.ceil((cursor.sectorCount * SECTOR) / traffic.granularity / 8);
  }

  data(_bytes: Uint8Array, start: number, end: number): void {
    this.#chunkBytes += end - start;
    this.#uses.bits += end - start;
    if (this.#traffic !== undefined) this.#traffic.dataBytes += end - start;
  }

  command(command: Command): void {
    const { id, name, offset, length, packageBytes = 0 } = command;
    if (id === COMMAND.PACKAGED || id === COMMAND.LISTEN || id === COMMAND.RUN) this.#phase = 'postcopy';
    // The commands in a package are told one by one, and their bytes are the package's.
    const inside = offset < this.#packageEnd;
    this.#runs.add(this.#run('command', name, offset, inside ? 0 : length + packageBytes));
    if (inside) return;
    this.#count(length + packageBytes);
    this.#uses.other += length;
    this.#uses.package += packageBytes;
    this.#packageEnd = offset + length + packageBytes;
  }

  endOfStream(offset: number): void {
    this.#item('end', '', offset, 1, 'other');
    this.#phase = 'trailer';
  }

  vmdesc(_vmdesc: Vmdesc | undefined, offset: number, length: number): void {
    this.#item('vmdesc', '', offset, length, 'other');
  }

  finding(): void {}

  /**
   * All of it.
   * @param from where the input begins, in bytes; `offset` is where the parser stands, and `bytes` what there was.
   */
  timeline(from: number, offset: number, bytes: number): Timeline {
    // A section that was cut counts as far as it goes.
    if (this.#open !== undefined) this.#section(this.#open.section, this.#open.type, Math.max(this.#begun, offset));
    const uses = { ...this.#uses };
    const told = WIRE_USES.reduce((sum, use) => sum + uses[use], 0);
    uses.other += Math.max(0, bytes - told);
    const { runs, leftOut } = this.#runs.list();
    const phases = PHASES.flatMap((phase) => {
      const found = this.#phases.get(phase);
      return found === undefined ? [] : [{ phase, ...found }];
    });
    const bitmaps = this.#byTarget.flatMap((one) => (one === undefined ? [] : [trafficData(one)]));
    return {
      bytes: Math.max(bytes, offset - from),
      ...{ runs, leftOut, phases, uses, bitmaps },
      ...{ moreBitmaps: this.#moreBitmaps, firstChunks: this.#firstChunks },
    };
  }

  #section({ name, instance }: Section, type: SectionType, end: number): void {
    const bytes = end - this.#begun;
    this.#open = undefined;
    this.#runs.add({ ...this.#run('section', name, this.#begun, bytes), instance, sectionType: type });
    this.#count(bytes);
    if (name === DIRTY_BITMAP) this.#uses['bitmap-sections'] += Math.max(0, bytes - this.#chunkBytes);
    else this.#uses[name === 'ram' ? 'ram' : 'devices'] += bytes;
  }

  #item(
    kind: 'header' | 'configuration' | 'end' | 'vmdesc',
    name: string,
    offset: number,
    bytes: number,
    use: WireUse,
  ): void {
    this.#runs.add(this.#run(kind, name, offset, bytes));
    this.#count(bytes);
    this.#uses[use] += bytes;
  }

  #run(
    kind: 'header' | 'configuration' | 'section' | 'command' | 'end' | 'vmdesc',
    name: string,
    offset: number,
    bytes: number,
  ) {
    return { kind, name, instance: 0, sectionType: null, phase: this.#phase, offset, bytes };
  }

  #count(bytes: number): void {
    const counts = this.#phases.get(this.#phase) ?? { items: 0, bytes: 0 };
    counts.items++;
    counts.bytes += bytes;
    this.#phases.set(this.#phase, counts);
  }

  #trafficOf({ index, node, bitmap }: Target): Traffic | undefined {
    const found = this.#byTarget[index];
    if (found !== undefined) return found;
    if (this.#bitmaps >= MAX_BITMAPS) {
      if (index in this.#byTarget) return undefined;
      this.#byTarget[index] = undefined;
      this.#moreBitmaps++;
      return undefined;
    }
    this.#bitmaps++;
    const phases = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>;
    const counts = { headerBytes: 0, dataBytes: 0, dataChunks: 0, zeroChunks: 0, elidedBytes: 0 };
    const traffic: Traffic = { node: node.text, name: bitmap.text, ...counts, phases, granularity: 0 };
    this.#byTarget[index] = traffic;
    return traffic;
  }
}

function trafficData({ granularity: _granularity, ...traffic }: Traffic): BitmapTraffic {
  return traffic;
}
