import { DirtyBitmapError } from '../errors.js';
import type { BlockGraph } from './block-graph.js';
import { ChunkOutput, MAX_HEADER } from './chunk-output.js';
import { CLEAR_CHUNK, DATA_HEADER } from './chunk-rows.js';
import { CompactCutter } from './cut-compact.js';
import { WholeCutter } from './cut-whole.js';
import type { Cutter, CutterInput, Profile } from './cutter.js';
import { type PlannedBitmap, type PlanOptions, planSource, type SourcePlan } from './source-plan.js';
import { SOURCE_TRANSITIONS, type SourceEvent, type SourceState } from './source-transitions.js';

/** How bitmaps are sent. */
export interface SourceOptions extends PlanOptions {
  /** Default `qemu`. */
  readonly profile?: Profile | undefined;
}

/** What is still to be sent. */
export interface SourcePending {
  /** Granules (bits) that no chunk covered yet: what QEMU reports, and takes for bytes. */
  readonly granules: number;
  /** Bitmaps that are not sent to the end. */
  readonly bitmaps: number;
}

/** Bytes that a window has at least: the largest chunk fits. */
export const MIN_WINDOW = 16_384;

/** Bytes of a window where none is given: what a pipe holds. */
export const WINDOW = 65_536;

interface Entry {
  readonly planned: PlannedBitmap;
  readonly names: {
    readonly nodeAlias: PlannedBitmap['nodeAlias'];
    readonly alias: PlannedBitmap['alias'];
    readonly node: object;
  };
  readonly input: CutterInput;
  /** Made when the first bits go out, so that it sees what was written until then. */
  cutter: Cutter | undefined;
  done: boolean;
}

/** States in which something is to be sent. */
const PENDING: readonly SourceState[] = ['setup', 'precopy', 'postcopy', 'completing'];

/** What comes next in the section that is being written. */
type Step = 'none' | 'starts' | 'bits' | 'completes' | 'eos';

/**
 * Sends the bitmaps of a block graph: a pure machine that is told what happens ({@link Source.setup},
 * {@link Source.iterate}, {@link Source.switchover}, {@link Source.complete}) and asked for the bytes of the
 * dirty-bitmap section that this makes ({@link Source.encodeInto}). A section must be taken to its end before the next
 * one begins. Source: dirty-bitmap-states.md section 4.
 * @example
 * // A process that tracks changes itself: a Bitmap of the writes so far, and the disk they belong to.
 * const graph = new MemoryGraph();
 * const disk = graph.addNode({ name: 'disk0', size: 2 ** 40 });
 * disk.create({ name: 'backup', granularity: 65536, bits: writes });
 * const source = new Source(graph, { profile: 'compact' });
 * for (const bytes of source.sections()) {
 *   await socket.write(bytes); // valid until the next step of the loop; leaving the loop cancels
 *   console.log(source.pending().granules);
 * }
 */
export class Source {
  readonly #graph: BlockGraph;
  readonly #options: SourceOptions;
  readonly #compact: boolean;
  #plan: SourcePlan | undefined;
  #entries: readonly Entry[] = [];
  readonly #output = new ChunkOutput();
  #state: SourceState = 'idle';
  #step: Step = 'none';
  /** The bitmap at which `starts` and `completes` are. */
  #index = 0;
  /** The first bitmap that may not be sent to the end. */
  #bulk = 0;
  /** Bytes of bits that the section may still take. */
  #budget = 0;
  #sent = 0;

  /** Nothing is touched before {@link Source.setup}. */
  constructor(graph: BlockGraph, options: SourceOptions = {}) {
    this.#graph = graph;
    this.#options = options;
    this.#compact = options.profile === 'compact';
  }

  /**
   * What is sent, what is left out, what is in the way. Made when it is first asked for, and again by
   * {@link Source.setup}, which goes by it.
   */
  get plan(): SourcePlan {
    this.#plan ??= planSource(this.#graph, this.#options);
    return this.#plan;
  }

  /** Which step of the migration is next: see {@link SourceState}. */
  get state(): SourceState {
    return this.#state;
  }

  /** Bytes handed out so far. */
  get sentBytes(): number {
    return this.#sent;
  }

  /**
   * Begins: all bitmaps become busy. What is asked for next are the bytes of the START section.
   * @throws DirtyBitmapError the code of the first refusal of {@link Source.plan}: then no bitmap was touched, and the
   * source has failed; `state-invalid`.
   */
  setup(): void {
    const plan = planSource(this.#graph, this.#options);
    this.#go('setup', 'starts');
    this.#plan = plan;
    const refusal = plan.refusals[0];
    if (refusal !== undefined) {
      this.fail();
      throw new DirtyBitmapError(refusal.code, refusal.message);
    }
    this.#entries = plan.bitmaps.map((planned) => ({
      planned,
      names: { nodeAlias: planned.nodeAlias, alias: planned.alias, node: planned.node },
      input: { bits: planned.bitmap.bits, ...pick(planned) },
      cutter: undefined,
      done: false,
    }));
    for (const { planned } of this.#entries) {
      planned.bitmap.busy = true;
      planned.bitmap.skipStore = true;
    }
  }

  /**
   * A PART section: in precopy, while the guest still writes, nothing but its end; after {@link Source.switchover} bits
   * until `budget` bytes are reached or exceeded by the last chunk.
   * @throws DirtyBitmapError `state-invalid`.
   */
  iterate(budget: number = Number.POSITIVE_INFINITY): void {
    this.#go('iterate', this.#state === 'postcopy' ? 'bits' : 'eos');
    this.#budget = budget;
    if (budget <= 0) this.#step = 'eos';
  }

  /**
   * The guest has stopped here for good and goes on at the destination, before all bits are there (postcopy).
   * @throws DirtyBitmapError `state-invalid`.
   */
  switchover(): void {
    this.#go('switchover', 'none');
  }

  /**
   * The END section: the rest of the bits, then COMPLETE for each bitmap. The guest has stopped.
   * @throws DirtyBitmapError `state-invalid`.
   */
  complete(): void {
    this.#go('complete', 'bits');
    this.#budget = Number.POSITIVE_INFINITY;
  }

  /** Gives up, whatever the state; the bitmaps are free again. Nothing happens after the end. */
  cancel(): void {
    this.#over('cancel');
  }

  /** The sending failed; else as {@link Source.cancel}. */
  fail(): void {
    this.#over('fail');
  }

  /**
   * Writes the next chunks of the section into `window`, as many as fit, and never a part of one.
   * @returns how many bytes were written; 0 when the section is at its end.
   * @throws DirtyBitmapError `argument` for a window of less than {@link MIN_WINDOW} bytes.
   */
  encodeInto(window: Uint8Array): number {
    if (window.length < MIN_WINDOW) {
      throw new DirtyBitmapError('argument', `window: at least ${MIN_WINDOW} bytes, found ${window.length}`);
    }
    if (this.#step === 'none') return 0;
    const output = this.#output;
    output.begin(window);
    while (this.#write(output));
    this.#sent += output.pos;
    return output.pos;
  }

  /** What QEMU counts as pending. */
  pending(): SourcePending {
    let granules = 0;
    let bitmaps = 0;
    for (const { planned, cutter, done } of this.#entries) {
      if (done) continue;
      bitmaps++;
      const left = planned.sectors - (cutter?.position ?? 0);
      granules += Math.ceil((left * 512) / planned.granularity);
    }
    return { granules, bitmaps };
  }

  /**
   * The bytes that an END section would have now, or that are left of it; 0 before the beginning and after the end. Looks
   * at all bits that are not sent.
   */
  pendingBytes(): number {
    if (this.#entries.length === 0 || !PENDING.includes(this.#state)) return 0;
    const output = this.#output.clone();
    let bytes = 1;
    if (this.#state === 'completing' && this.#step === 'eos') return bytes;
    for (const entry of this.#entries) {
      if (entry.done) continue;
      const cutter = entry.cutter?.clone() ?? this.#cutter(entry);
      while (cutter.next()) {
        bytes += output.namesLength(entry.names) + (cutter.zeroes ? CLEAR_CHUNK : DATA_HEADER + cutter.size);
        output.remember(entry.names);
      }
    }
    const completed = this.#step === 'completes' ? this.#index : 0;
    for (const { names } of this.#entries.slice(completed)) {
      bytes += 1 + output.namesLength(names);
      output.remember(names);
    }
    return bytes;
  }

  /**
   * All of a migration without a guest that goes on: the bodies of the START and the END section, as views of one
   * window, each valid until the next is asked for. Leaving the loop early cancels.
   * @param window by default 64 KiB of its own: what a pipe holds, so that its reader goes on with that while the next is
   * encoded. In memory 1 MiB, used again and again, is the quickest.
   * @throws DirtyBitmapError as {@link Source.setup}.
   */
  *sections(window: Uint8Array = new Uint8Array(WINDOW)): Generator<Uint8Array, void, void> {
    // Not within the try: a source that has begun, and refuses, is not to be cancelled for it.
    this.setup();
    try {
      yield* this.section(window);
      this.complete();
      yield* this.section(window);
    } finally {
      this.cancel();
    }
  }

  /** The rest of the section that was begun, as views of one window, each valid until the next is asked for. */
  *section(window: Uint8Array): Generator<Uint8Array, void, void> {
    for (let length = this.encodeInto(window); length > 0; length = this.encodeInto(window)) {
      yield length === window.length ? window : window.subarray(0, length);
    }
  }

  /** Writes one chunk, or goes on to the next step; false where the window is full or the section at its end. */
  #write(output: ChunkOutput): boolean {
    const entry = this.#entries[this.#index];
    switch (this.#step) {
      case 'starts':
        if (entry === undefined) return this.#next('eos');
        if (output.room < MAX_HEADER) return false;
        output.start(entry.names, entry.planned.granularity, entry.planned.startFlags);
        this.#index++;
        return true;
      case 'bits':
        return this.#writeBits(output);
      case 'completes':
        if (entry === undefined) return this.#next('eos');
        if (output.room < MAX_HEADER) return false;
        output.complete(entry.names);
        this.#index++;
        return true;
      case 'eos':
        if (output.room < 1) return false;
        output.endOfSection();
        this.#step = 'none';
        this.#sectionSent();
        return false;
      default:
        return false;
    }
  }

  /** Writes chunks of bits until the window is full (false), or the budget or the bits are used up. */
  #writeBits(output: ChunkOutput): boolean {
    for (; this.#bulk < this.#entries.length; this.#bulk++) {
      const entry = this.#entries[this.#bulk] as Entry;
      entry.cutter ??= this.#cutter(entry);
      const most = MAX_HEADER + entry.cutter.maxSize;
      while (this.#budget > 0 && !entry.done) {
        if (output.room < most) return false;
        const before = output.pos;
        entry.done = !this.#writeRange(output, entry, entry.cutter);
        this.#budget -= output.pos - before;
      }
      if (!entry.done) break;
    }
    return this.#next(this.#state === 'completing' ? 'completes' : 'eos');
  }

  /** Writes the next chunk of a bitmap, or a row of them; false where there is none. */
  #writeRange(output: ChunkOutput, { names, input }: Entry, cutter: Cutter): boolean {
    if (output.continues(names) && cutter.writeRow(output, this.#budget)) return true;
    if (!cutter.next()) return false;
    output.range(names, cutter, input.bits);
    return true;
  }

  #next(step: Step): true {
    this.#step = step;
    this.#index = 0;
    return true;
  }

  #cutter(entry: Entry): Cutter {
    return this.#compact ? new CompactCutter(entry.input) : new WholeCutter(entry.input);
  }

  #sectionSent(): void {
    this.#move('sent');
    if (this.#state === 'done') this.#letGo();
  }

  #go(event: SourceEvent, step: Step): void {
    if (this.#step !== 'none') {
      const message = `${event}: the section before is not written to its end; call encodeInto() until it returns 0`;
      throw new DirtyBitmapError('state-invalid', message);
    }
    this.#move(event);
    this.#next(step);
    // Without bitmaps there is a START section, and none after it. Source: dirty-bitmap-states.md section 2.
    if (this.#entries.length > 0 || event === 'setup' || step === 'none') return;
    this.#step = 'none';
    this.#sectionSent();
  }

  #over(event: 'cancel' | 'fail'): void {
    const before = this.#state;
    this.#move(event);
    this.#step = 'none';
    if (before !== this.#state && before !== 'idle') this.#letGo();
  }

  #move(event: SourceEvent): void {
    const state = SOURCE_TRANSITIONS[this.#state][event];
    if (state === 'state-invalid') {
      throw new DirtyBitmapError('state-invalid', `${event} is not possible: the source is ${this.#state}`);
    }
    this.#state = state;
  }

  /** The bitmaps belong to nobody again. Only after the end are they the destination's, and not to be stored here. */
  #letGo(): void {
    for (const { planned } of this.#entries) {
      planned.bitmap.busy = false;
      if (this.#state !== 'done') planned.bitmap.skipStore = false;
    }
  }
}

function pick({ granularity, granules, sectors }: PlannedBitmap): Omit<CutterInput, 'bits'> {
  return { granularity, granules, sectors };
}
