import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import { FLAG } from '../chunk/flags.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Profile } from '../migration/cutter.js';
import { wholeBitmaps } from './bitmap-chunks.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { ChunkEdits, type SpliceChanges, type SpliceDone } from './chunk-edits.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';
import { ownSection } from './own-section.js';
import { WaitingBytes } from './waiting-bytes.js';

/** What is done to a migration that passes. */
export interface StreamChanges extends SpliceChanges {
  /** Takes out SWITCHOVER_START, at which QEMU 5.2 to 7.2 refuse what 10.0 and later send. Source: versions.md. */
  readonly dropSwitchoverStart?: boolean | undefined;
}

/** What was done: to a bitmap, or to a command. */
export type StreamChange = SpliceDone | { readonly command: string; readonly what: 'dropped' };

/** How a stream is edited. */
export interface StreamEditorOptions extends Pick<CaptureOptions, 'limits'> {
  /** How bitmaps are written that are put in. Default `qemu`. */
  readonly profile?: Profile | undefined;
}

/**
 * Changes the bitmaps of a migration while it passes. All that belongs to no changed bitmap goes on as it is, and as soon
 * as it is known what it is: at most a header is held back. Where the stream cannot be followed or changed, the rest goes
 * on as it is.
 *
 * Bitmaps that are added come whole at the end of the START section, where the names of all others are known, and before
 * the VM of a postcopy runs, after which QEMU 7.2 dies of a node's name; in a stream without such a section, in one of
 * their own before RAM goes on.
 */
export class StreamEditor {
  /** Why nothing more is changed, where it is so before the end. */
  fault: DirtyBitmapError | undefined;
  /**
   * What the fault did where a bitmap was half changed, since chunks that leave out their names would mean another one:
   * `averted` where the destination is made to drop all bitmaps, `open` where it could not be.
   */
  harm: 'averted' | 'open' | undefined;
  readonly #parser: CaptureParser;
  readonly #chunks: ChunkEdits;
  readonly #profile: Profile;
  readonly #dropSwitchoverStart: boolean;
  readonly #waiting = new WaitingBytes();
  readonly #done: StreamChange[] = [];
  #told = 0;
  readonly #ids = new Set<number>();
  #type: SectionType = 'full';
  /** Where the next chunk begins; undefined outside of dirty-bitmap sections. */
  #boundary: number | undefined;
  /** Whether there is no place to add bitmaps any more. */
  #added = false;
  #ended = false;
  /** Whether something can still be changed. */
  #active = true;

  /** @throws DirtyBitmapError `size-unknown`, `name-empty`, ... for a bitmap that cannot be put in. */
  constructor(changes: StreamChanges, options: StreamEditorOptions = {}) {
    const { profile = 'qemu', limits } = options;
    this.#profile = profile;
    this.#chunks = new ChunkEdits(changes, profile);
    this.#dropSwitchoverStart = changes.dropSwitchoverStart === true;
    const handler: CaptureHandler = {
      configuration: (configuration) => refuseMappedRam(configuration),
      sectionBegin: (section, type, offset, bodyOffset) => {
        this.#section(section, type, offset);
        this.#boundary = section.name === DIRTY_BITMAP ? bodyOffset : undefined;
      },
      command: (command) => this.#command(command),
      chunk: (cursor, target, offset) => this.#chunk(cursor, target, offset),
      endOfStream: (offset) => {
        this.#addSection(offset);
        this.#release();
      },
      header() {},
      sectionEnd: () => {
        this.#boundary = undefined;
      },
      data() {},
      vmdesc() {},
      finding() {},
    };
    this.#parser = new CaptureParser(handler, { ...(limits && { limits }) });
  }

  /** What was done so far. */
  get done(): readonly StreamChange[] {
    const { done } = this.#chunks;
    for (; this.#told < done.length; this.#told++) this.#done.push(done[this.#told] as SpliceDone);
    return this.#done;
  }

  /** Takes the next piece, which must stay as it is. @returns what goes on, in order. */
  push(piece: Uint8Array): Uint8Array[] {
    this.#waiting.push(piece);
    this.#step(() => this.#parser.push(piece));
    return this.#out(this.#active ? this.#parser.offset : this.#waiting.end);
  }

  /** Says that the stream ends here. @returns what still goes on. */
  finish(): Uint8Array[] {
    // One that is cut ends unchanged where it is cut.
    this.#active = false;
    return this.#out(this.#waiting.end);
  }

  #step(step: () => void): void {
    if (!this.#active) return;
    try {
      step();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      this.fault = error;
      // Not where all bitmaps are through.
      if (this.#active && this.#chunks.halfChanged) this.#avert();
      this.#active = false;
    }
  }

  /** A name that no bitmap has makes a QEMU drop all bitmaps and go on. Source: dirty-bitmap-states.md section 3. */
  #avert(): void {
    const at = this.#boundary;
    this.harm = at === undefined ? 'open' : 'averted';
    if (at === undefined) return;
    const name = Uint8Array.from('dirtybitmap-change-failed', (letter) => letter.charCodeAt(0));
    this.#chunks.edits.replace(at, 0, Uint8Array.of(FLAG.BITMAP_NAME, name.length, ...name));
  }

  /** All that waits before an offset, edited. */
  #out(to: number): Uint8Array[] {
    const out: Uint8Array[] = [];
    const put = (bytes: Uint8Array): void => void out.push(bytes);
    for (const { offset, remove, insert } of this.#chunks.edits.drain()) {
      this.#waiting.take(offset, put);
      // Each is valid only until the next is made.
      for (const bytes of insert?.() ?? []) put(bytes.slice());
      this.#waiting.drop(offset + remove);
    }
    this.#waiting.take(to, put);
    return out;
  }

  #section({ id, name }: Section, type: SectionType, offset: number): void {
    this.#ids.add(id);
    this.#type = type;
    // Devices after the iterables: a precopy at its end. They may come to an end that nobody sees.
    if (type === 'full' && this.#ended) this.#release();
    if (type === 'part' || type === 'end') this.#addSection(offset);
    if (type === 'end') this.#ended = true;
    if (type === 'start' && name === DIRTY_BITMAP && this.#added) {
      const message = 'a second dirty-bitmap section, after bitmaps were added in one of their own';
      throw new DirtyBitmapError('unsupported', message, { offset });
    }
  }

  #command({ id, name, offset, length }: Command): void {
    if (id !== COMMAND.SWITCHOVER_START && id !== COMMAND.PACKAGED) return;
    this.#addSection(offset);
    if (id !== COMMAND.SWITCHOVER_START || !this.#dropSwitchoverStart) return;
    this.#chunks.edits.remove(offset, length);
    // In the order in which it was done.
    void this.done;
    this.#done.push({ command: name, what: 'dropped' });
  }

  #chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    if (this.#type === 'start' && cursor.eos && !this.#added) this.#addHere(cursor, offset);
    this.#chunks.chunk(cursor, target, offset);
    this.#boundary = offset + cursor.headerLength + cursor.size;
  }

  /** At the end of the START section. */
  #addHere({ kind }: ChunkCursor, offset: number): void {
    this.#added = true;
    const puts = this.#chunks.addRest();
    if (puts.length === 0) return;
    // No QEMU writes it so, and which bitmap it means is not known before it is looked at.
    if (kind !== 'bare') {
      throw new DirtyBitmapError('unsupported', 'nothing can be added: the START section ends with a chunk', {
        offset,
      });
    }
    const names = this.#chunks.restateNames();
    this.#chunks.edits.insert(offset, () => followedBy(wholeBitmaps(puts, this.#profile), names));
  }

  /** Where the START sections are over, and none was of dirty bitmaps. */
  #addSection(offset: number): void {
    if (this.#added) return;
    this.#added = true;
    const puts = this.#chunks.addRest();
    if (puts.length === 0) return;
    const footers = this.#parser.footers !== false;
    this.#chunks.edits.insert(offset, () => ownSection(puts, this.#profile, this.#ids, footers));
  }

  /** No bitmap follows: the rest goes on as it comes. */
  #release(): void {
    this.#active = false;
    this.#chunks.finish();
  }
}

function* followedBy(pieces: Iterable<Uint8Array>, last: Uint8Array): Generator<Uint8Array, void, void> {
  yield* pieces;
  yield last;
}

function refuseMappedRam({ capabilities }: Configuration): void {
  if (capabilities?.includes('mapped-ram') !== true) return;
  throw new DirtyBitmapError('unsupported', 'mapped-ram has its pages at fixed places: nothing can be changed');
}

/** What was done, in one line without names made printable. */
export function changeText(change: StreamChange): string {
  if ('command' in change) return `${change.command}: ${change.what}`;
  const { bitmap, what, to } = change;
  return `${bitmap}: ${what}${to === undefined ? '' : ` to ${to}`}`;
}
