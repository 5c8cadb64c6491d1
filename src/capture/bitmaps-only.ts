import { DirtyBitmapError } from '../errors.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { type Command, DIRTY_BITMAP, ITEM, type Section, type SectionType } from './items.js';
import { WaitingBytes } from './waiting-bytes.js';

/** A package of nothing but LISTEN and RUN, with the command that announces it. Source: container.md section 4. */
const PACKAGE = Uint8Array.of(8, 0, 7, 0, 4, 0, 0, 0, 10, 8, 0, 4, 0, 0, 8, 0, 5, 0, 0);
const EOF = Uint8Array.of(ITEM.EOF);

/**
 * Makes of a capture, as it comes, one of its bitmaps alone: header, configuration, dirty-bitmap sections, commands and
 * the end. RAM and devices are left out, and a package becomes one of nothing. A reader finds the same bitmaps in it; where the
 * capture cannot be followed, it ends there.
 */
export class BitmapsOnly {
  readonly #parser: CaptureParser;
  readonly #waiting = new WaitingBytes();
  #out: Uint8Array[] = [];
  /** Up to which offset bytes are kept; those behind are dropped. */
  #keepTo = 0;
  #over = false;

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: Pick<CaptureOptions, 'limits'> = {}) {
    const keep = (from: number, to: number): void => this.#keep(from, to);
    const handler: CaptureHandler = {
      header: (_version, offset) => keep(offset, offset + 8),
      configuration: (_configuration, offset, length) => keep(offset, offset + length),
      sectionBegin: (section, type, offset) => this.#begin(section, type, offset),
      sectionEnd: (_section, _type, _bodyEnd, end) => this.#end(end),
      command: (command) => this.#command(command),
      endOfStream: (offset) => {
        this.#keep(offset, offset);
        this.#out.push(EOF);
        this.#over = true;
      },
      chunk() {},
      data() {},
      vmdesc() {},
      finding() {},
    };
    this.#parser = new CaptureParser(handler, options);
  }

  /** Takes the next piece, which must stay as it is. @returns what is kept, as views. */
  push(piece: Uint8Array): readonly Uint8Array[] {
    // What comes then, however much, waits for nothing.
    if (this.#over) return [];
    this.#waiting.push(piece);
    return this.#step(() => this.#parser.push(piece));
  }

  /** Says that the capture ends here. @returns what is still kept. */
  finish(): readonly Uint8Array[] {
    return this.#step(() => {
      this.#parser.finish();
      // The end of a stretch that cannot be followed, after the last bitmap.
      if (this.#parser.complete && !this.#over) this.#out.push(EOF);
    });
  }

  #step(step: () => void): readonly Uint8Array[] {
    if (this.#over) return [];
    try {
      step();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      this.#pass(this.#parser.offset);
      this.#over = true;
    }
    if (!this.#over) this.#pass(this.#parser.offset);
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** What comes before an offset is decided on. */
  #pass(to: number): void {
    this.#waiting.take(Math.min(to, this.#keepTo), (bytes) => this.#out.push(bytes));
    this.#waiting.drop(to);
  }

  #keep(from: number, to: number): void {
    this.#pass(from);
    this.#keepTo = to;
  }

  #begin({ name }: Section, type: SectionType, offset: number): void {
    const kept = name === DIRTY_BITMAP && type !== 'full';
    this.#keep(offset, kept ? Number.MAX_SAFE_INTEGER : offset);
  }

  #end(end: number): void {
    this.#pass(end);
    this.#keepTo = end;
  }

  #command({ offset, length, packageBytes }: Command): void {
    const packaged = packageBytes !== undefined;
    this.#keep(offset, packaged ? offset : offset + length);
    if (packaged) this.#out.push(PACKAGE);
  }
}
