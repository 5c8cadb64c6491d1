import { quoted } from '../bytes/text.js';
import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { ChunkHandler } from '../chunk/chunk-parser.js';
import { DEVIATION_BIT, type Deviation, deviationsOf } from '../chunk/deviation.js';
import { deviationMessage } from '../chunk/deviation-message.js';
import { FLAG, KNOWN_FLAGS } from '../chunk/flags.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Findings, FindingsSnapshot } from '../findings.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { BlockBitmapMapping } from './block-bitmap-mapping.js';
import type { BlockGraph } from './block-graph.js';
import {
  DESTINATION_TRANSITIONS,
  type DestinationEvent,
  type DestinationState,
  FAULT_EFFECTS,
  type FaultCode,
} from './destination-transitions.js';
import { type Fault, Faults } from './faults.js';
import type { Incoming } from './incoming-bitmap.js';
import { IncomingChunks, type IncomingSnapshot } from './incoming-chunks.js';

/**
 * What a receiver does: `merged` is QEMU since 2.12. `patch-2017` is the seed of the format: a bitmap of the same
 * granularity that is there already is reused, START's byte is a boolean, and every fault is fatal.
 */
export type DestinationPolicy = 'merged' | 'patch-2017';

/** How bitmaps are received. */
export interface DestinationOptions {
  /** Default `merged`. */
  readonly policy?: DestinationPolicy | undefined;
  /** What the names in the stream mean here; without one they are backend and node names. */
  readonly mapping?: BlockBitmapMapping | undefined;
  /** Makes the migration fail on every fault, also on what only gives up the bitmaps or is only reported otherwise. */
  readonly strict?: boolean | undefined;
  /**
   * COMPLETE for a bitmap of which not every range came: `report` it, `accept` it (a sender that leaves out what is
   * clean), or `refuse` it. Default `report`, and `refuse` with `strict`.
   */
  readonly holes?: 'report' | 'accept' | 'refuse' | undefined;
  readonly limits?: Partial<Limits> | undefined;
}

/** Where a destination stands, as plain data; the block graph is not part of it. */
export interface DestinationSnapshot {
  readonly state: DestinationState;
  readonly fault: Fault | null;
  readonly named: boolean;
  readonly flagless: number;
  readonly findings: FindingsSnapshot;
  /** What was reported already, of which bitmaps, so that it is not said twice. */
  readonly reported: readonly string[];
  readonly chunks: IncomingSnapshot;
}

/** Chunks without any flag that are stepped over: no sender makes even one. */
const MAX_FLAGLESS = 1024;

/**
 * Receives bitmaps into a block graph. Give it to a parser of sections or captures as its handler, tell it when the VM
 * starts ({@link Destination.beforeVmStart}) and when the stream ends ({@link Destination.end}).
 *
 * A fault is fatal (thrown, and again by every later call), cancels all bitmaps (the rest of the stream is stepped over,
 * see {@link Destination.fault}), or is only reported ({@link Destination.findings}); `FAULT_EFFECTS` says which.
 * Every chunk is checked before anything is touched. Source: dirty-bitmap-states.md sections 3, 4 and 7.
 * @example
 * const destination = new Destination(graph);
 * const parser = new SectionParser(destination);
 * for await (const piece of socket) parser.push(piece);
 * parser.finish();
 * destination.end();
 * destination.beforeVmStart(); // from here on the bitmaps record
 */
export class Destination implements ChunkHandler {
  readonly #faults: Faults;
  readonly #chunks: IncomingChunks;
  readonly #patch: boolean;
  #state: DestinationState = 'loading';
  #fault: Fault | undefined;
  #error: unknown;
  /** Whether any chunk told its bitmap yet. */
  #named = false;
  #flagless = 0;

  /**
   * @param graph where the bitmaps are made.
   * @throws DirtyBitmapError `argument` for a limit that is no whole number.
   */
  constructor(graph: BlockGraph, options: DestinationOptions = {}) {
    const { mapping, strict = false, holes = strict ? 'refuse' : 'report' } = options;
    const { maxFindings, maxRanges } = resolveLimits(options.limits);
    this.#patch = options.policy === 'patch-2017';
    this.#faults = new Faults(strict, this.#patch, maxFindings, {
      cancel: (fault) => this.#cancel(fault),
      fail: (error) => this.fail(error),
    });
    this.#chunks = new IncomingChunks({ graph, mapping, patch: this.#patch, holes, maxRanges }, this.#faults);
  }

  /** Which step of the migration is next: see {@link DestinationState}. */
  get state(): DestinationState {
    return this.#state;
  }

  /** What made the bitmaps be given up, or the migration fail. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Everything that was wrong or odd. */
  get findings(): Findings {
    return this.#faults.findings;
  }

  /** The bitmaps that the stream started, in the order in which it first named them; given up or not. */
  get bitmaps(): readonly Incoming[] {
    return this.#chunks.entries.filter((entry) => entry !== undefined);
  }

  /**
   * A dirty-bitmap section begins.
   * @throws DirtyBitmapError `section-version` for any version but 1; `state-invalid` after the end.
   */
  section(version: number, offset?: number): void {
    this.#move('chunk');
    if (version === 1) return;
    this.#faults.raise('section-version', `section dirty-bitmap: expected version 1, found ${version}`, offset);
  }

  /** @throws DirtyBitmapError what is fatal; `state-invalid` after the end. */
  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    const chunks = this.#chunks;
    chunks.progress.into = -1;
    this.#move('chunk');
    if ((cursor.deviations & DEVIATION_BIT['name-empty']) !== 0) {
      this.#faults.raise('name-empty', deviationMessage('name-empty', cursor), offset);
    }
    if (this.#state === 'cancelled') return;
    // QEMU looks the names up before it reads on, also where no kind of chunk follows; only a name that it would cut
    // short is refused before.
    const cutName = (cursor.deviations & DEVIATION_BIT['name-nul']) !== 0;
    if (!cutName && !this.#namesFit(cursor, target, offset)) return;
    if (cursor.deviations !== 0) this.#deviations(cursor, offset);
    if (target === undefined || cursor.kind === 'bare') return;
    if (cursor.nodeStart >= 0 && cursor.bitmapStart < 0) {
      const message = `node ${quoted(target.node.text)} is named again without a bitmap; taken to mean the bitmap before`;
      this.#faults.report(target.index, 'name-ambiguous', message, offset);
    }
    if (cursor.kind === 'start') chunks.start(cursor, target, this.#state === 'running', offset);
    else if (cursor.kind === 'complete') chunks.complete(target, offset);
    else chunks.bits(cursor, target, offset);
  }

  /** @throws DirtyBitmapError `limit`; with `strict` also `bits-padding`, `bits-past-end`. */
  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    this.#chunks.data(bytes, start, end, at);
  }

  /**
   * The VM is about to start, here: complete bitmaps record, and what is written goes into the successors of those whose
   * bits still come. In precopy after the end of the stream, in postcopy before.
   * @throws DirtyBitmapError `state-invalid` the second time.
   */
  beforeVmStart(): void {
    if (this.#move('vm-start') === 'cancelled') return;
    for (const entry of this.#chunks.entries) entry?.vmStart();
  }

  /**
   * The stream came to its end. What is not complete stays busy, as in QEMU; {@link Destination.cancel} gives it up.
   * @returns the bitmaps that are not complete.
   * @throws DirtyBitmapError `stream-cut` where it ends inside a chunk; `state-invalid` the second time.
   */
  end(offset?: number): readonly Incoming[] {
    if (this.#chunks.progress.into >= 0) {
      this.#faults.abort('stream-cut', 'the stream ends inside the bits of a chunk', offset);
    }
    this.#move('end');
    const open = this.bitmaps.filter(({ state }) => state === 'loading' || state === 'live');
    for (const { nodeAlias, alias } of open) {
      const what = quoted(`${nodeAlias.text}/${alias.text}`, 96);
      const message = `bitmap ${what} was started and never completed: it stays busy until it is given up`;
      this.findings.add('complete-missing', message, offset);
    }
    return open;
  }

  /** Gives up all bitmaps but those that are complete in a VM that was started. Nothing happens after a failure. */
  cancel(message = 'the bitmaps were given up here'): void {
    this.#cancel({ code: 'bitmaps-cancelled', message, offset: undefined, effect: 'cancel' });
  }

  /**
   * The connection broke: before the VM was started the migration fails, after that the bitmaps that are not complete
   * are given up and the VM goes on.
   */
  connectionLost(offset?: number): void {
    const to = DESTINATION_TRANSITIONS[this.#state].lost;
    if (to === this.#state) return;
    const message = 'the connection was lost before the end of the stream';
    if (to === 'cancelled') this.#cancel({ code: 'stream-cut', message, offset, effect: 'cancel' });
    else this.fail(new DirtyBitmapError('stream-cut', message, offset === undefined ? {} : { offset }));
  }

  /**
   * The migration failed: here, or in the stream around the bitmaps. They are given up as in {@link Destination.cancel},
   * and every later call throws this error.
   */
  fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#error = error;
    this.#state = DESTINATION_TRANSITIONS[this.#state].fail;
    const known = error instanceof DirtyBitmapError;
    if (known) this.findings.addError(error);
    this.#fault = {
      code: known ? error.code : 'bitmaps-cancelled',
      message: error instanceof Error ? error.message : String(error),
      offset: known ? error.offset : undefined,
      effect: 'fatal',
    };
    this.#chunks.drop();
  }

  /** Where it stands, to go on from in another process with the same block graph. */
  snapshot(): DestinationSnapshot {
    return {
      state: this.#state,
      fault: this.#fault ?? null,
      named: this.#named,
      flagless: this.#flagless,
      findings: this.findings.snapshot(),
      reported: this.#faults.reported(),
      chunks: this.#chunks.snapshot(),
    };
  }

  /**
   * Goes on from a snapshot; only before anything came, and over the same block graph, as it was then.
   * @throws DirtyBitmapError `snapshot-invalid` where the block graph is another one.
   */
  restore(snapshot: DestinationSnapshot): void {
    this.#chunks.restore(snapshot.chunks);
    this.#state = snapshot.state;
    this.#named = snapshot.named;
    this.#flagless = snapshot.flagless;
    this.#faults.restore(snapshot.findings, snapshot.reported);
    if (snapshot.fault === null) return;
    this.#fault = snapshot.fault;
    const { code, message, offset } = snapshot.fault;
    if (this.#state === 'failed') this.#error = new DirtyBitmapError(code, message, offset == null ? {} : { offset });
  }

  /** Judges what is malformed about a chunk. */
  #deviations(cursor: ChunkCursor, offset: number): void {
    for (const code of deviationsOf(cursor.deviations)) {
      if (this.#isFine(code, cursor)) continue;
      const known = code as FaultCode;
      if (FAULT_EFFECTS[known] === 'report') this.#faults.report(-1, known, deviationMessage(code, cursor), offset);
      else this.#faults.raise(known, deviationMessage(code, cursor), offset);
    }
    if ((cursor.deviations & DEVIATION_BIT['flags-none']) === 0 || ++this.#flagless <= MAX_FLAGLESS) return;
    this.#faults.abort('limit', `more than ${MAX_FLAGLESS} chunks without any flag; no sender makes even one`, offset);
  }

  #isFine(code: Deviation, cursor: ChunkCursor): boolean {
    // Ranges of no sectors are judged where the disk is known.
    if (code === 'sector-count-zero' || code === 'start-flags-autoload') return true;
    if (code === 'start-flags-reserved') return this.#patch;
    return code === 'granularity-invalid' && cursor.kind !== 'start';
  }

  /** Whether the names of a chunk mean something here; else the fault is raised. EOS alone and no flag at all need none. */
  #namesFit(cursor: ChunkCursor, target: Target | undefined, offset: number): boolean {
    const named = this.#named;
    if (target !== undefined) this.#named = true;
    if ((cursor.flags & ~FLAG.EOS & KNOWN_FLAGS) === 0) return true;
    if (target !== undefined) return this.#chunks.named(target, cursor.kind === 'start', offset);
    this.#nameless(cursor, named, offset);
    return false;
  }

  #nameless(cursor: ChunkCursor, named: boolean, offset: number): void {
    if (cursor.nodeStart >= 0 && named) {
      const message = 'a new node is named without a bitmap, so it is not known which one is meant';
      this.#faults.raise('name-ambiguous', message, offset);
    } else {
      this.#faults.raise('name-missing', 'no node and bitmap were named before this chunk', offset);
    }
  }

  #cancel(fault: Fault): void {
    const before = this.#state;
    this.#state = DESTINATION_TRANSITIONS[before].cancel;
    if (before === this.#state) return;
    this.#fault = fault;
    const message = `${fault.message}; all bitmaps that are not complete in a running VM are given up`;
    this.findings.add(fault.code, message, fault.offset);
    this.#chunks.drop();
  }

  #move(event: DestinationEvent): DestinationState {
    if (this.#state === 'failed') throw this.#error;
    const next = DESTINATION_TRANSITIONS[this.#state][event];
    if (next === 'state-invalid') {
      throw new DirtyBitmapError('state-invalid', `${event} is not possible: the destination is ${this.#state}`);
    }
    this.#state = next;
    return next;
  }
}
