import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Profile } from '../migration/cutter.js';
import { type Code, RULES } from '../rules.js';
import { wholeBitmaps } from './bitmap-chunks.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { ChunkEdits, type SpliceChanges, type SpliceDone } from './chunk-edits.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';
import { ownSection } from './own-section.js';
import type { SpliceEdit } from './splice-edits.js';
import { locateVmdesc, parseVmdesc } from './vmdesc.js';

/** How a capture is read and how bitmaps are written into it. */
export interface SpliceOptions extends Omit<CaptureOptions, 'refuse'> {
  /** Default `qemu`. */
  readonly profile?: Profile | undefined;
}

/** What becomes of a capture. */
export interface SplicePlan {
  /** In the order of the input; all other bytes stay as they are. */
  readonly edits: readonly SpliceEdit[];
  readonly done: readonly SpliceDone[];
}

/**
 * Finds out where a capture has to be edited. Push it as to a `CaptureParser`; nothing of it is kept, so that a capture
 * of any size is read once to plan and once to copy.
 *
 * Chunks of bitmaps that stay are copied as they are, unless a name that they leave out was that of a chunk that is gone.
 * A bitmap that is replaced keeps its places; those that are added come whole at the beginning of the START section,
 * before the VM of a postcopy runs, after which QEMU 7.2 dies of a node's name.
 */
export class SplicePlanner implements CaptureHandler {
  readonly #parser: CaptureParser;
  readonly #chunks: ChunkEdits;
  readonly #profile: Profile;
  readonly #ids = new Set<number>();
  #error: DirtyBitmapError | undefined;
  #mappedRam = false;
  /** Where the body of the START section begins, in bytes. */
  #addAt: number | undefined;
  #afterRam: number | undefined;
  /** The first device, package or EOF. */
  #firstOther = 0;

  /** @throws DirtyBitmapError `size-unknown` for a bitmap that cannot be put in. */
  constructor(changes: SpliceChanges, options: SpliceOptions = {}) {
    const { profile, ...capture } = options;
    this.#profile = profile ?? 'qemu';
    this.#chunks = new ChunkEdits(changes, this.#profile);
    this.#parser = new CaptureParser(this, capture);
  }

  /** See `CaptureParser.skippable`. */
  get skippable(): number {
    return this.#parser.skippable;
  }

  /** See `CaptureParser.skipped`. */
  skipped(count: number): void {
    this.#parser.skipped(count);
  }

  /** Takes the next piece, which may be reused after the call. @throws DirtyBitmapError where it cannot be followed. */
  push(piece: Uint8Array): void {
    this.#parser.push(piece);
  }

  /**
   * Says that the capture ends here.
   * @throws DirtyBitmapError what is wrong with the capture: only a whole one can be edited; `bitmap-exists` where two
   * bitmaps would have one name; `size-differs` where a bitmap is put in for a disk of another size; `unsupported` for mapped-ram where RAM pages would move.
   */
  finish(): SplicePlan {
    this.#parser.finish();
    if (this.#error !== undefined) throw this.#error;
    this.#chunks.finish();
    this.#addRest();
    const edits = this.#chunks.edits.sorted();
    if (this.#mappedRam) assertPagesStay(edits, this.#afterRam ?? 0);
    return { edits, done: this.#chunks.done };
  }

  header(): void {}

  configuration({ capabilities }: Configuration): void {
    this.#mappedRam = capabilities?.includes('mapped-ram') ?? false;
  }

  sectionBegin(section: Section, type: SectionType, offset: number, bodyOffset: number): void {
    this.#ids.add(section.id);
    if (type === 'full') this.#other(offset);
    if (type === 'start' && section.name === DIRTY_BITMAP) this.#addAt ??= bodyOffset;
  }

  sectionEnd(section: Section, type: SectionType, _bodyEnd: number, end: number): void {
    if (type === 'start' && section.name === 'ram') this.#afterRam = end;
  }

  /** Called by the parser. */
  command({ id, offset }: Command): void {
    if (id === COMMAND.PACKAGED) this.#other(offset);
  }

  endOfStream(offset: number): void {
    this.#other(offset);
  }

  vmdesc(): void {}

  data(): void {}

  finding(code: Code, message: string, offset: number): void {
    if (RULES[code].severity === 'error') this.#error ??= new DirtyBitmapError(code, message, { offset });
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.#chunks.chunk(cursor, target, offset);
  }

  #other(offset: number): void {
    if (this.#firstOther === 0) this.#firstOther = offset;
  }

  /** Adds what took no other's place: to the section there is, or in one of its own. */
  #addRest(): void {
    const puts = this.#chunks.addRest();
    if (puts.length === 0) return;
    const profile = this.#profile;
    const { edits } = this.#chunks;
    if (this.#addAt !== undefined) edits.insertFirst(this.#addAt, () => wholeBitmaps(puts, profile));
    else {
      const footers = this.#parser.footers !== false;
      edits.insert(this.#afterRam ?? this.#firstOther, () => ownSection(puts, profile, this.#ids, footers));
    }
  }
}

/**
 * A capture with other bitmaps, as pieces that are each valid until the next is asked for; every byte that does not
 * belong to a changed bitmap is as it was.
 * @throws DirtyBitmapError before the first piece, as {@link SplicePlanner}.
 */
export function* spliceCapture(
  capture: Uint8Array,
  changes: SpliceChanges,
  options: Pick<SpliceOptions, 'profile' | 'limits'> = {},
): Generator<Uint8Array, void, void> {
  const place = locateVmdesc(capture, 0);
  const vmdesc = place && parseVmdesc(capture.subarray(place.textOffset, place.textOffset + place.textLength));
  const planner = new SplicePlanner(changes, { ...options, total: capture.length, vmdesc });
  planner.push(capture);
  let at = 0;
  for (const { offset, remove, insert } of planner.finish().edits) {
    if (offset > at) yield capture.subarray(at, offset);
    if (insert !== undefined) yield* insert();
    at = offset + remove;
  }
  if (at < capture.length) yield capture.subarray(at);
}

/** Offsets of RAM pages are those of the file: nothing before them may change its length. */
function assertPagesStay(edits: readonly SpliceEdit[], end: number): void {
  let moved: number | undefined = 0;
  for (const { offset, growth } of edits) {
    if (offset >= end) break;
    moved = moved === undefined || growth === undefined ? undefined : moved + growth;
  }
  if (moved === 0) return;
  throw new DirtyBitmapError(
    'unsupported',
    'the capture is of mapped-ram: its RAM pages lie at fixed places in the file, and this change would move them; ' +
      'only what follows them can change its length',
  );
}
