import { type CaptureHandler, CaptureParser } from '../../src/capture/capture-parser.js';
import { COMMAND, type Command, DIRTY_BITMAP, type Section } from '../../src/capture/items.js';
import type { ChunkCursor } from '../../src/chunk/chunk-cursor.js';
import type { Target } from '../../src/chunk/name-memory.js';
import { DirtyBitmapError } from '../../src/errors.js';
import type { Destination } from '../../src/migration/destination.js';
import { inPieces } from './vectors.js';

const none = (): void => {};

/** Lets a destination load a whole capture: the VM starts at RUN (postcopy) or after the end (precopy). */
export class CaptureLoader implements CaptureHandler {
  readonly destination: Destination;
  readonly header = none;
  readonly configuration = none;
  readonly sectionEnd = none;
  readonly vmdesc = none;
  readonly finding = none;
  #started = false;

  constructor(destination: Destination) {
    this.destination = destination;
  }

  sectionBegin(section: Section, _type: unknown, offset: number): void {
    if (section.name === DIRTY_BITMAP) this.destination.section(section.version, offset);
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.destination.chunk(cursor, target, offset);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    this.destination.data(bytes, start, end, at);
  }

  command(command: Command): void {
    if (command.id === COMMAND.RUN) this.#vmStart();
  }

  endOfStream(offset: number): void {
    this.destination.end(offset);
  }

  /** Pushes the stream; what is fatal is in `destination.fault`. */
  load(stream: Uint8Array, piece = Number.POSITIVE_INFINITY): void {
    const parser = new CaptureParser(this, { total: stream.length });
    try {
      for (const part of inPieces(stream, Math.min(piece, stream.length))) parser.push(part);
      parser.finish();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      this.destination.fail(error);
      return;
    }
    this.#vmStart();
  }

  #vmStart(): void {
    if (this.#started) return;
    this.#started = true;
    this.destination.beforeVmStart();
  }
}
