import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { resolveLimits } from '../limits.js';
import { type GatheredBitmap, Gatherer } from '../migration/gatherer.js';
import type { Code } from '../rules.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';
import type { Vmdesc } from './vmdesc.js';

/** The sections of one name and instance, together. */
export interface SectionSummary {
  /** `ram`, `dirty-bitmap`, or that of a device. */
  readonly name: string;
  /** Which of the devices of one name. */
  readonly instance: number;
  /** As the header of the first of them says. */
  readonly version: number;
  /** How many START, PART, END and FULL sections. */
  readonly count: number;
  /** Bytes of them all, headers and footers included. */
  readonly bytes: number;
}

/** What a capture is, besides its bitmaps. */
export interface CaptureSummary {
  /** Stream version; undefined where the input does not begin as a stream. */
  readonly version: number | undefined;
  /** Machine type; undefined where the stream has no configuration section. */
  readonly machine: string | undefined;
  /** Those of the configuration section that are on. */
  readonly capabilities: readonly string[];
  /** Whether the migration switched over to postcopy. */
  readonly postcopy: boolean;
  /** Whether the stream goes on to its EOF marker. */
  readonly complete: boolean;
  /** Whether sections have footers; undefined where that could not be seen. */
  readonly footers: boolean | undefined;
  readonly sections: readonly SectionSummary[];
  /** Names of the commands in order, a name that comes again directly left out. */
  readonly commands: readonly string[];
}

/** Who else is told of a stream's items, as they come. */
type CaptureObserver = Partial<Pick<CaptureHandler, 'sectionBegin' | 'sectionEnd' | 'command' | 'endOfStream'>>;

/** How a capture is read. */
export interface CaptureReaderOptions extends CaptureOptions {
  readonly observer?: CaptureObserver | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Commands that are remembered: a stream may hold any number. */
const MAX_COMMANDS = 64;
/** Sections that are told apart; in a stream that makes up ever new ones the rest counts with the last. */
const MAX_SECTIONS = 65_536;

/**
 * Reads a whole capture: its bitmaps, its sections, and what is wrong with it. It does not throw at bad input: what
 * cannot be followed becomes the last finding, and what was read before stays.
 * @example
 * const reader = new CaptureReader();
 * for await (const piece of response.body) reader.push(piece);
 * reader.finish();
 * console.log(reader.bitmaps[0]?.bits.count(), reader.findings.list);
 */
export class CaptureReader {
  /** What was found so far. */
  readonly findings: Findings;
  readonly #parser: CaptureParser;
  readonly #gatherer: Gatherer;
  readonly #summary: Summary;
  /** Bytes pushed or skipped. */
  #bytes = 0;
  #stopped = false;

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: CaptureReaderOptions = {}) {
    const limits = resolveLimits(options.limits);
    this.findings = new Findings(limits.maxFindings);
    this.#gatherer = new Gatherer(this.findings, limits);
    this.#summary = new Summary(this.#gatherer, this.findings, options.observer ?? {});
    this.#parser = new CaptureParser(this.#summary, options);
  }

  /** The bitmaps so far, in the order in which the stream starts them. */
  get bitmaps(): readonly GatheredBitmap[] {
    return this.#gatherer.bitmaps;
  }

  /** The bitmaps as a document; the bits are shared. */
  get set(): ReturnType<Gatherer['toSet']> {
    return this.#gatherer.toSet();
  }

  /** Bytes of the input so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes after those pushed that nobody will look at; a reader that can seek may leave them out. */
  get skippable(): number {
    return this.#stopped ? Number.MAX_SAFE_INTEGER : this.#parser.skippable;
  }

  /** Whether the input could not be followed further: what comes changes nothing any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Says that `count` bytes, at most {@link CaptureReader.skippable}, were left out of what is pushed next. */
  skipped(count: number): void {
    this.#bytes += count;
    if (!this.#stopped) this.#parser.skipped(count);
  }

  /** Takes the next piece, which may be reused after the call. */
  push(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (!this.#stopped) this.#guarded(() => this.#parser.push(piece));
  }

  /** Says that the input ends here. */
  finish(): void {
    if (!this.#stopped) this.#guarded(() => this.#parser.finish());
    this.#stopped = true;
    this.#summary.finish(this.#parser.offset);
    this.#gatherer.finish();
    if (this.#parser.complete && !this.#summary.sections.some((section) => section.name === DIRTY_BITMAP)) {
      this.findings.add(
        'dirty-bitmap-absent',
        'the stream has no dirty-bitmap section: the source migrated with the capability dirty-bitmaps off',
      );
    }
  }

  /** What the capture is. */
  get summary(): CaptureSummary {
    const { version, settings, sections, commands } = this.#summary;
    return {
      version,
      machine: settings?.machine,
      capabilities: settings?.capabilities ?? [],
      postcopy: this.#parser.postcopy,
      complete: this.#parser.complete,
      footers: this.#parser.footers,
      sections,
      commands,
    };
  }

  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      this.findings.addError(error);
      this.#stopped = true;
    }
  }
}

/** Passes the chunks on and keeps the rest in short. */
class Summary implements CaptureHandler {
  version: number | undefined;
  settings: Configuration | undefined;
  readonly sections: Mutable<SectionSummary>[] = [];
  readonly commands: string[] = [];
  readonly #gatherer: Gatherer;
  readonly #findings: Findings;
  readonly #observer: CaptureObserver;
  readonly #byName = new Map<string, Mutable<SectionSummary>>();
  #last: Section | undefined;
  #lastSummary: Mutable<SectionSummary> | undefined;
  #begun = 0;
  #open: Section | undefined;

  constructor(gatherer: Gatherer, findings: Findings, observer: CaptureObserver) {
    this.#gatherer = gatherer;
    this.#findings = findings;
    this.#observer = observer;
  }

  header(version: number): void {
    this.version = version;
  }

  configuration(configuration: Configuration): void {
    this.settings = configuration;
  }

  sectionBegin(section: Section, type: SectionType, offset: number, bodyOffset: number): void {
    this.#begun = offset;
    this.#open = section;
    const summary = this.#summaryOf(section);
    summary.count++;
    this.#observer.sectionBegin?.(section, type, offset, bodyOffset);
  }

  sectionEnd(section: Section, type: SectionType, bodyEnd: number, end: number): void {
    this.#summaryOf(section).bytes += end - this.#begun;
    this.#open = undefined;
    this.#observer.sectionEnd?.(section, type, bodyEnd, end);
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.#gatherer.chunk(cursor, target, offset);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    this.#gatherer.data(bytes, start, end, at);
  }

  command(command: Command): void {
    if (command.id === COMMAND.PACKAGED || this.commands.at(-1) !== command.name) {
      if (this.commands.length < MAX_COMMANDS) this.commands.push(command.name);
    }
    this.#observer.command?.(command);
  }

  endOfStream(offset: number): void {
    this.#observer.endOfStream?.(offset);
  }

  vmdesc(_vmdesc: Vmdesc | undefined): void {}

  finding(code: Code, message: string, offset: number): void {
    this.#findings.add(code, message, offset);
  }

  /** The stream ends at an offset: a section that was cut counts as far as it goes. */
  finish(offset: number): void {
    if (this.#open !== undefined) this.#summaryOf(this.#open).bytes += Math.max(0, offset - this.#begun);
  }

  /** Sections of one name come in long rows; the last one is remembered. */
  #summaryOf(section: Section): Mutable<SectionSummary> {
    if (section === this.#last && this.#lastSummary !== undefined) return this.#lastSummary;
    const { name, instance, version } = section;
    const key = `${instance} ${name}`;
    let summary = this.#byName.get(key);
    if (summary === undefined && this.sections.length >= MAX_SECTIONS) summary = this.sections.at(-1);
    if (summary === undefined) {
      summary = { name, instance, version, count: 0, bytes: 0 };
      this.#byName.set(key, summary);
      this.sections.push(summary);
    }
    this.#last = section;
    this.#lastSummary = summary;
    return summary;
  }
}
