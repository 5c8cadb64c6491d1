import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import { TrafficCounter } from './bitmap-traffic.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';
import { RunList } from './run-list.js';
import {
  type ChunkPlace,
  PHASES,
  type Phase,
  type Timeline,
  type TimelineRun,
  WIRE_USES,
  type WireUse,
} from './timeline.js';
import type { Vmdesc } from './vmdesc.js';

/** Chunks whose places are told, besides the first of each kind. */
const FIRST_CHUNKS = 8;

/** Who else is told of the chunks, as they come. */
type ChunkObserver = CaptureHandler['chunk'];

/** How a capture is followed. */
export interface TimelineOptions extends CaptureOptions {
  /** Called with each chunk, as its header is read. */
  readonly onChunk?: ChunkObserver | undefined;
}

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
  readonly #keeper: Keeper;
  readonly #from: number;
  /** Bytes pushed or skipped. */
  #bytes = 0;
  #stopped = false;

  /** Begins with the first byte of a capture; `offset` is where that lies in the input. */
  constructor(options: TimelineOptions = {}) {
    this.#keeper = new Keeper(options.onChunk);
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
  readonly #onChunk: ChunkObserver | undefined;
  readonly #runs = new RunList();
  readonly #phases = new Map<Phase, { items: number; bytes: number }>();
  readonly #uses = Object.fromEntries(WIRE_USES.map((use) => [use, 0])) as Record<WireUse, number>;
  readonly #traffic = new TrafficCounter();
  readonly #firstChunks: ChunkPlace[] = [];
  readonly #kinds = new Set<string>();
  #phase: Phase = 'setup';
  #begun = 0;
  #open: { readonly section: Section; readonly type: SectionType } | undefined;
  /** Chunk bytes in the section that is open. */
  #chunkBytes = 0;
  /** Where the last package ends. */
  #packageEnd = 0;
  /** What reaches furthest: it may be told before all of it is there. */
  #furthest: { readonly use: WireUse; readonly phase: Phase; readonly end: number } | undefined;

  constructor(onChunk: ChunkObserver | undefined) {
    this.#onChunk = onChunk;
  }

  header(_version: number, offset: number): void {
    this.#item('header', offset, 8);
  }

  configuration(_configuration: Configuration, offset: number, length: number): void {
    this.#item('configuration', offset, length);
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
    this.#onChunk?.(cursor, target, offset);
    this.#chunkBytes += headerLength;
    this.#traffic.chunk(cursor, target, this.#phase);
    this.#uses['chunk-headers'] += headerLength;
    if (kind === 'bare') return;
    const first = !this.#kinds.has(kind);
    if (first || this.#firstChunks.length < FIRST_CHUNKS) {
      this.#kinds.add(kind);
      this.#firstChunks.push({ offset, length: headerLength + size });
    }
  }

  data(_bytes: Uint8Array, start: number, end: number): void {
    this.#chunkBytes += end - start;
    this.#uses.bits += end - start;
    this.#traffic.data(end - start);
  }

  command(command: Command): void {
    const { id, name, offset, length, packageBytes = 0 } = command;
    if (id === COMMAND.PACKAGED || id === COMMAND.LISTEN || id === COMMAND.RUN) this.#phase = 'postcopy';
    // The commands in a package are told one by one, and their bytes are the package's.
    const inside = offset < this.#packageEnd;
    this.#runs.add(this.#run('command', name, offset, inside ? 0 : length + packageBytes));
    if (inside) return;
    this.#count('other', length, offset + length);
    this.#packageEnd = offset + length + packageBytes;
    if (packageBytes > 0) this.#count('package', packageBytes, this.#packageEnd);
  }

  endOfStream(offset: number): void {
    this.#item('end', offset, 1);
    this.#phase = 'trailer';
  }

  vmdesc(_vmdesc: Vmdesc | undefined, offset: number, length: number): void {
    this.#item('vmdesc', offset, length);
  }

  finding(): void {}

  /**
   * All of it.
   * @param from where the input begins, in bytes; `offset` is where the parser stands, and `bytes` what there was.
   */
  timeline(from: number, offset: number, bytes: number): Timeline {
    // A section that was cut counts as far as it goes; the parser may stand behind the end, at that of a page.
    const last = Math.max(this.#begun, Math.min(offset, from + bytes));
    if (this.#open !== undefined) this.#section(this.#open.section, this.#open.type, last);
    const uses = { ...this.#uses };
    const missing = Math.max(0, (this.#furthest?.end ?? 0) - from - bytes);
    const cut = this.#furthest && this.#phases.get(this.#furthest.phase);
    if (this.#furthest !== undefined) uses[this.#furthest.use] -= missing;
    if (cut !== undefined) cut.bytes -= missing;
    const told = WIRE_USES.reduce((sum, use) => sum + uses[use], 0);
    uses.other += Math.max(0, bytes - told);
    const { runs, leftOut } = this.#runs.list();
    const phases = PHASES.flatMap((phase) => {
      const found = this.#phases.get(phase);
      return found === undefined ? [] : [{ phase, ...found }];
    });
    return {
      bytes,
      ...{ runs, leftOut, phases, uses, bitmaps: this.#traffic.list() },
      ...{ moreBitmaps: this.#traffic.more, firstChunks: this.#firstChunks },
    };
  }

  #section({ name, instance }: Section, type: SectionType, end: number): void {
    const bytes = end - this.#begun;
    this.#open = undefined;
    this.#runs.add({ ...this.#run('section', name, this.#begun, bytes), instance, sectionType: type });
    const use = name === DIRTY_BITMAP ? 'bitmap-sections' : name === 'ram' ? 'ram' : 'devices';
    this.#count(use, bytes, end);
    // The chunks were counted one by one.
    if (name === DIRTY_BITMAP) this.#uses[use] -= Math.min(bytes, this.#chunkBytes);
  }

  #item(kind: Exclude<TimelineRun['kind'], 'section' | 'command'>, offset: number, bytes: number): void {
    this.#runs.add(this.#run(kind, '', offset, bytes));
    this.#count('other', bytes, offset + bytes);
  }

  #run(kind: TimelineRun['kind'], name: string, offset: number, bytes: number): Omit<TimelineRun, 'count'> {
    return { kind, name, instance: 0, sectionType: null, phase: this.#phase, offset, bytes };
  }

  #count(use: WireUse, bytes: number, end: number): void {
    this.#uses[use] += bytes;
    const counts = this.#phases.get(this.#phase) ?? { items: 0, bytes: 0 };
    counts.items++;
    counts.bytes += bytes;
    this.#phases.set(this.#phase, counts);
    if (end > (this.#furthest?.end ?? 0)) this.#furthest = { use, phase: this.#phase, end };
  }
}
