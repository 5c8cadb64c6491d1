import { ByteWriter } from '../bytes/byte-writer.js';
import { type Name, quoted } from '../bytes/text.js';
import { type ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import { FLAG } from '../chunk/flags.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Profile } from '../migration/cutter.js';
import { SentEnd } from '../migration/sent-end.js';
import { type Code, RULES } from '../rules.js';
import type { BitmapSet, SetBitmap, SetNode } from '../set/bitmap-set.js';
import { type DiskEnd, diskEnd, oneDiskEnd } from '../set/disk-end.js';
import { entriesOf, type NewNames, nameKey } from '../set/rename-set.js';
import { bitsOf, type Named, type PutBitmap, putBitmap, wholeBitmaps } from './bitmap-chunks.js';
import { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture-parser.js';
import { writeFooter, writeSectionHeader } from './encode-items.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';
import { EditList, type SpliceEdit } from './splice-edits.js';
import { assertWire, headerWith } from './splice-headers.js';
import { locateVmdesc, parseVmdesc } from './vmdesc.js';

/** What is done to the bitmaps of a capture: first some are left out, then some renamed, then those of a set put in. */
export interface SpliceChanges {
  /** Whether a bitmap is left out. */
  readonly drop?: ((bitmap: Target) => boolean) | undefined;
  /** Other names for a bitmap; undefined where they stay. */
  readonly rename?: ((bitmap: Target) => NewNames | undefined) | undefined;
  /** Bitmaps to put in: in the place of the one of that name, else added. Their bits are shared until they are written. */
  readonly put?: BitmapSet | undefined;
}

/** How a capture is read and how bitmaps are written into it. */
export interface SpliceOptions extends Omit<CaptureOptions, 'refuse'> {
  /** Default `qemu`. */
  readonly profile?: Profile | undefined;
}

/** What becomes of a capture. */
export interface SplicePlan {
  /** In the order of the input; all other bytes stay as they are. */
  readonly edits: readonly SpliceEdit[];
  /** What was done to which bitmap of the capture, by its old name, or of the set. */
  readonly done: readonly { readonly bitmap: string; readonly what: 'dropped' | 'renamed' | 'replaced' | 'added' }[];
}

/** A bitmap of the capture. */
interface State {
  readonly node: Name;
  readonly bitmap: Name;
  readonly nodeKey: string;
  readonly fate: 'keep' | 'drop';
  readonly renamed: boolean;
  /** What takes its place. */
  readonly put: PutBitmap | undefined;
  started: boolean;
  /** Whether the bits of `put` are in. */
  bitsPut: boolean;
  /** How far it was sent; known from its START on. */
  sent: SentEnd | undefined;
}

/** What is put in. */
interface Put {
  readonly label: string;
  readonly put: PutBitmap;
  readonly node: SetNode;
  readonly bitmap: SetBitmap;
}

const NO_NAMES = { node: undefined, bitmap: undefined };

/** An id that no QEMU comes to, which counts from 0: the sections in a package are not looked at. */
const FIRST_ID = 0x6462_6d70;

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
  readonly #changes: SpliceChanges;
  readonly #profile: Profile;
  readonly #puts = new Map<string, Put>();
  readonly #states = new Map<Target, State>();
  readonly #taken = new Set<string>();
  readonly #edits = new EditList();
  readonly #done: { bitmap: string; what: 'dropped' | 'renamed' | 'replaced' | 'added' }[] = [];
  readonly #ids = new Set<number>();
  #error: DirtyBitmapError | undefined;
  #mappedRam = false;
  /** Where the body of the START section begins, in bytes. */
  #addAt: number | undefined;
  #afterRam: number | undefined;
  /** The first device, package or EOF. */
  #firstOther = 0;
  /** What the last chunk that goes out names. */
  #outState: State | undefined;

  /** @throws DirtyBitmapError `size-unknown` for a bitmap that cannot be put in. */
  constructor(changes: SpliceChanges, options: SpliceOptions = {}) {
    const { profile, ...capture } = options;
    this.#changes = changes;
    this.#profile = profile ?? 'qemu';
    this.#parser = new CaptureParser(this, capture);
    for (const { node, bitmap } of entriesOf(changes.put ?? { nodes: [] })) {
      for (const [what, name] of [['node', node.node] as const, ['bitmap', bitmap.name] as const])
        assertWire(what, name);
      const label = `${node.node.text}/${bitmap.name.text}`;
      const put = putBitmap(node, bitmap, this.#profile);
      this.#puts.set(keyOf(node.node, bitmap.name), { label, put, node, bitmap });
    }
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
    for (const [{ node, bitmap }, state] of this.#states) {
      if (state.put === undefined || state.bitsPut) continue;
      const message = `bitmap ${quoted(`${node.text}/${bitmap.text}`, 96)} of the capture is never completed`;
      throw new DirtyBitmapError('complete-missing', `${message}; only a whole capture can be edited`);
    }
    this.#assertSameDisks();
    this.#addRest();
    const edits = this.#edits.sorted();
    if (this.#mappedRam) assertPagesStay(edits, this.#afterRam ?? 0);
    return { edits, done: this.#done };
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
    if (cursor.kind === 'bare') {
      // Names without a bitmap help nobody, and may be those of one that is gone.
      const named = cursor.nodeStart >= 0 || cursor.bitmapStart >= 0;
      if (named && this.#done.length > 0)
        this.#edits.replace(offset, cursor.headerLength, headerWith(cursor, NO_NAMES));
      return;
    }
    if (target === undefined) {
      throw new DirtyBitmapError('name-missing', 'no node and bitmap were named before this chunk', { offset });
    }
    const state = this.#states.get(target) ?? this.#meet(target, offset);
    if (cursor.kind === 'start' && state.started) {
      const message = `bitmap ${labelOf(target)} is started a second time`;
      throw new DirtyBitmapError('started-twice', message, { offset });
    }
    if (cursor.kind !== 'start' && !state.started) {
      throw new DirtyBitmapError('never-started', `bitmap ${labelOf(target)} was not started`, { offset });
    }
    state.started = true;
    if (cursor.kind === 'start') state.sent = new SentEnd(cursor.granularity);
    else if (cursor.kind !== 'complete') state.sent?.add(cursor);
    if (state.fate === 'drop') this.#remove(cursor, offset);
    else if (state.put === undefined) this.#keep(cursor, state, offset);
    else this.#replace(cursor, state, state.put, offset);
  }

  #other(offset: number): void {
    if (this.#firstOther === 0) this.#firstOther = offset;
  }

  /** What becomes of a bitmap that is named for the first time. */
  #meet(target: Target, offset: number): State {
    const drop = this.#changes.drop?.(target) === true;
    const names = (drop ? undefined : this.#changes.rename?.(target)) ?? {};
    const { node = target.node, bitmap = target.bitmap } = names;
    // What a source sent stays as it is, even where nobody can read it.
    if (names.node !== undefined) assertWire('node', node);
    if (names.bitmap !== undefined) assertWire('bitmap', bitmap);
    const key = keyOf(node, bitmap);
    if (!drop && this.#taken.has(key)) {
      const message = `two bitmaps would be called ${quoted(`${node.text}/${bitmap.text}`, 96)}`;
      throw new DirtyBitmapError('bitmap-exists', `${message}; take another name for one`, { offset });
    }
    const put = drop ? undefined : this.#puts.get(key)?.put;
    const renamed = key !== keyOf(target.node, target.bitmap);
    if (!drop) this.#taken.add(key);
    const label = `${target.node.text}/${target.bitmap.text}`;
    if (drop) this.#done.push({ bitmap: label, what: 'dropped' });
    if (renamed) this.#done.push({ bitmap: label, what: 'renamed' });
    if (put !== undefined) this.#done.push({ bitmap: label, what: 'replaced' });
    const fate = drop ? 'drop' : 'keep';
    const state: State = {
      ...{ node, bitmap, nodeKey: nameKey(node), fate, renamed, put },
      ...{ started: false, bitsPut: false, sent: undefined },
    };
    this.#states.set(target, state);
    return state;
  }

  #remove(cursor: ChunkCursor, offset: number): void {
    const length = cursor.headerLength + cursor.size;
    if (cursor.eos) this.#edits.replace(offset, length, Uint8Array.of(FLAG.EOS));
    else this.#edits.remove(offset, length);
  }

  #replace(cursor: ChunkCursor, state: State, put: PutBitmap, offset: number): void {
    if (cursor.kind === 'start') {
      this.#keep(cursor, state, offset, put);
      return;
    }
    if (!state.bitsPut) {
      state.bitsPut = true;
      const named: Named = this.#outState === state ? 'bitmap' : this.#sameNode(state) ? 'node' : 'nothing';
      const profile = this.#profile;
      this.#edits.insert(offset, () => bitsOf(put, named, profile));
      // A bitmap that is all clean has no chunk in `compact`, and so names nothing.
      if (bitsOf(put, named, profile).next().done !== true) this.#outState = state;
    }
    if (cursor.kind === 'complete') this.#keep(cursor, state, offset);
    else this.#remove(cursor, offset);
  }

  #sameNode(state: State): boolean {
    return this.#outState?.nodeKey === state.nodeKey;
  }

  /** A chunk whose header stays, but for names that must be said or are others, and for what a START says. */
  #keep(cursor: ChunkCursor, state: State, offset: number, put?: PutBitmap): void {
    const hadNode = cursor.nodeStart >= 0;
    const hadBitmap = cursor.bitmapStart >= 0;
    const node = hadNode || !this.#sameNode(state);
    const bitmap = hadBitmap || node !== hadNode || this.#outState !== state;
    this.#outState = state;
    const same = node === hadNode && bitmap === hadBitmap && !(state.renamed && bitmap);
    if (same && put === undefined) return;
    const names = { node: node ? state.node : undefined, bitmap: bitmap ? state.bitmap : undefined };
    this.#edits.replace(offset, cursor.headerLength, headerWith(cursor, names, put));
  }

  /** What is put in must be for the disk that the capture's bitmaps of that node are of. */
  #assertSameDisks(): void {
    const ends = new Map<string, (readonly [string, DiskEnd | undefined])[]>();
    const add = (nodeKey: string, label: string, end: DiskEnd | undefined): void => {
      ends.set(nodeKey, [...(ends.get(nodeKey) ?? []), [label, end]]);
    };
    for (const { label, node, bitmap } of this.#puts.values()) add(nameKey(node.node), label, diskEnd(node, bitmap));
    // The capture's own bitmaps are as their source sent them: they are looked at only beside others.
    for (const { nodeKey, node, bitmap, sent } of this.#states.values()) {
      if (sent === undefined || !ends.has(nodeKey)) continue;
      add(nodeKey, `${node.text}/${bitmap.text}`, { bytes: sent.end * SECTOR, exact: sent.isDiskEnd });
    }
    for (const one of ends.values()) oneDiskEnd(one);
  }

  /** Adds what took no other's place: to the section there is, or in one of its own. */
  #addRest(): void {
    const rest = [...this.#puts].filter(([key]) => !this.#taken.has(key)).map(([, one]) => one);
    if (rest.length === 0) return;
    for (const { label } of rest) this.#done.push({ bitmap: label, what: 'added' });
    const puts = rest.map(({ put }) => put);
    const profile = this.#profile;
    if (this.#addAt !== undefined) this.#edits.insertFirst(this.#addAt, () => wholeBitmaps(puts, profile));
    else this.#edits.insert(this.#afterRam ?? this.#firstOther, () => this.#ownSection(puts));
  }

  *#ownSection(puts: readonly PutBitmap[]): Generator<Uint8Array, void, void> {
    let id = FIRST_ID;
    while (this.#ids.has(id)) id++;
    const section: Section = { id, name: DIRTY_BITMAP, instance: 0, version: 1 };
    const out = new ByteWriter();
    writeSectionHeader(out, 'start', section);
    yield out.view();
    yield* wholeBitmaps(puts, this.#profile);
    out.reset();
    for (const type of ['start', 'end'] as const) {
      if (type === 'end') writeSectionHeader(out, 'end', section);
      out.u8(FLAG.EOS);
      if (this.#parser.footers !== false) writeFooter(out, id);
    }
    yield out.view();
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

function labelOf({ node, bitmap }: Target): string {
  return quoted(`${node.text}/${bitmap.text}`, 96);
}

function keyOf(node: Name, bitmap: Name): string {
  return `${nameKey(node)}/${nameKey(bitmap)}`;
}
