import { EventBatches } from '../bytes/batch.js';
import { type BadChunkEvent, ChunkCollector, type ChunkEvent } from '../chunk/chunk-collector.js';
import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import type { Finding } from '../findings.js';
import { type Code, RULES } from '../rules.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import type { Command, Configuration, Section, SectionType } from './items.js';
import type { Vmdesc } from './vmdesc.js';

/** Where an item lies, in bytes from the start of the input. */
export interface Place {
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/** What a {@link CaptureDecoder} yields. */
export type CaptureEvent =
  | ({ readonly type: 'header'; readonly version: number } & Place)
  | ({ readonly type: 'configuration'; readonly configuration: Configuration } & Place)
  /** The header of a section; its body follows. */
  | ({ readonly type: 'section'; readonly sectionType: SectionType; readonly section: Section } & Place)
  | ChunkEvent
  | BadChunkEvent
  /** The end of a section's body; `length` is that of its footer, 0 where it has none. */
  | ({ readonly type: 'section-end'; readonly sectionType: SectionType; readonly section: Section } & Place)
  | ({ readonly type: 'command'; readonly command: Command } & Place)
  | ({ readonly type: 'end' } & Place)
  | ({ readonly type: 'vmdesc'; readonly vmdesc: Vmdesc | undefined } & Place)
  | { readonly type: 'finding'; readonly finding: Finding };

/**
 * Decodes a captured migration stream into events. No IO: push what you have, take what is complete.
 *
 * Events come in a batch for each piece. The data of BITS chunks are views of the piece where they lie in one: valid
 * until the piece is reused; copy to keep. Any way of cutting the input gives the same events.
 * @example
 * const decoder = new CaptureDecoder();
 * for await (const piece of response.body) {
 *   for (const event of decoder.push(piece)) if (event.type === 'chunk') console.log(event.chunk.kind);
 * }
 * for (const event of decoder.finish()) console.log(event.type);
 */
export class CaptureDecoder {
  readonly #events = new EventBatches<CaptureEvent>();
  readonly #collector = new EventCollector(this.#events.emit);
  readonly #parser: CaptureParser;

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: CaptureOptions = {}) {
    this.#parser = new CaptureParser(this.#collector, options);
  }

  /** Offset in the input up to which events were given: what follows belongs to none of them. */
  get settledOffset(): number {
    return this.#collector.chunks.pendingOffset ?? this.#parser.offset;
  }

  /** Whether the stream's EOF marker was seen. */
  get complete(): boolean {
    return this.#parser.complete;
  }

  /** Bytes after those pushed that nobody will look at (RAM pages, a package); a reader that can seek may leave them out. */
  get skippable(): number {
    return this.#parser.skippable;
  }

  /** Says that `count` bytes, at most {@link CaptureDecoder.skippable}, were left out of what is pushed next. */
  skipped(count: number): void {
    this.#parser.skipped(count);
  }

  /**
   * The events that are complete now.
   * @throws DirtyBitmapError where the stream cannot be followed further: at the end of the iteration, after the events
   * before that place, and on every later call.
   */
  push(piece: Uint8Array): Iterable<CaptureEvent> {
    return this.#events.during(() => this.#parser.push(piece));
  }

  /**
   * Says that the input ends here, and gives the last events.
   * @throws DirtyBitmapError `stream-cut` where it ends too early, `magic-invalid` where it never began; as
   * {@link CaptureDecoder.push} at the end of the iteration.
   */
  finish(): Iterable<CaptureEvent> {
    return this.#events.during(() => this.#parser.finish());
  }
}

/** Makes events of what a `CaptureParser` tells, each as it is told. */
export class EventCollector implements CaptureHandler {
  readonly #emit: (event: CaptureEvent) => void;
  readonly chunks: ChunkCollector;

  constructor(emit: (event: CaptureEvent) => void) {
    this.#emit = emit;
    this.chunks = new ChunkCollector(emit);
  }

  header(version: number, offset: number): void {
    this.#emit({ type: 'header', version, offset, length: 8 });
  }

  configuration(configuration: Configuration, offset: number, length: number): void {
    this.#emit({ type: 'configuration', configuration, offset, length });
  }

  sectionBegin(section: Section, sectionType: SectionType, offset: number, bodyOffset: number): void {
    this.#emit({ type: 'section', sectionType, section, offset, length: bodyOffset - offset });
  }

  sectionEnd(section: Section, sectionType: SectionType, bodyEnd: number, end: number): void {
    this.#emit({ type: 'section-end', sectionType, section, offset: bodyEnd, length: end - bodyEnd });
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.chunks.chunk(cursor, target, offset);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    this.chunks.data(bytes, start, end, at);
  }

  command(command: Command): void {
    this.#emit({ type: 'command', command, offset: command.offset, length: command.length });
  }

  endOfStream(offset: number): void {
    this.#emit({ type: 'end', offset, length: 1 });
  }

  vmdesc(vmdesc: Vmdesc | undefined, offset: number, length: number): void {
    this.#emit({ type: 'vmdesc', vmdesc, offset, length });
  }

  finding(code: Code, message: string, offset: number): void {
    this.#emit({ type: 'finding', finding: { severity: RULES[code].severity, code, offset, message } });
  }
}
