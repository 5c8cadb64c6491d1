import type { Name } from '../bytes/text.js';
import type { BlockNode } from './block-graph.js';
import { INCOMING_TRANSITIONS, type IncomingEvent, type IncomingState } from './destination-transitions.js';
import type { RangeList } from './range-list.js';
import type { TrackedBitmap } from './tracked-bitmap.js';

/** A bitmap that a stream brings, as others may see it. */
export interface Incoming {
  /** Node and bitmap as the stream names them. */
  readonly nodeAlias: Name;
  readonly alias: Name;
  readonly node: BlockNode;
  readonly bitmap: TrackedBitmap;
  readonly state: IncomingState;
  /** START's flag: whether it records when it is complete and the VM runs. */
  readonly recording: boolean;
  /** Bytes of the disk up to the end of the highest range that came. */
  readonly coveredBytes: number;
}

type Outcome = (typeof INCOMING_TRANSITIONS)[IncomingState][IncomingEvent];

/** What an incoming bitmap is made of. */
export interface IncomingParts {
  readonly nodeAlias: Name;
  readonly alias: Name;
  readonly node: BlockNode;
  readonly bitmap: TrackedBitmap;
  readonly recording: boolean;
  /** It was there before (policy `patch-2017`): whether it recorded then; else undefined. */
  readonly reused: boolean | undefined;
  readonly granules: number;
  /** Ranges that came, in sectors. */
  ranges: RangeList;
}

/** A bitmap that a stream brings: its state, and what each step does to the block graph. */
export class IncomingBitmap implements Incoming {
  readonly nodeAlias: Name;
  readonly alias: Name;
  readonly node: BlockNode;
  readonly bitmap: TrackedBitmap;
  readonly recording: boolean;
  readonly reused: boolean | undefined;
  readonly granules: number;
  ranges: RangeList;
  state: IncomingState = 'loading';

  constructor(parts: IncomingParts) {
    this.nodeAlias = parts.nodeAlias;
    this.alias = parts.alias;
    this.node = parts.node;
    this.bitmap = parts.bitmap;
    this.recording = parts.recording;
    this.reused = parts.reused;
    this.granules = parts.granules;
    this.ranges = parts.ranges;
  }

  get coveredBytes(): number {
    return this.ranges.end * 512;
  }

  /** What an event would lead to: a state, or the code of the fault. */
  outcome(event: IncomingEvent): Outcome {
    return INCOMING_TRANSITIONS[this.state][event];
  }

  /** START: the bitmap stands still and is busy; a successor is there for what is written before it is complete. */
  begin(): void {
    this.bitmap.enabled = false;
    if (this.recording) this.bitmap.createSuccessor();
    this.bitmap.busy = true;
    this.bitmap.loading = true;
  }

  /** COMPLETE: what the successor recorded comes in. Before the VM starts it does not record yet. */
  finish(): void {
    // The memory may not do for it; then this is no end, and the bitmap is given up with the others.
    if (this.bitmap.successor !== undefined) this.bitmap.reclaim();
    this.state = INCOMING_TRANSITIONS[this.state].complete as IncomingState;
    this.bitmap.loading = false;
    this.bitmap.busy = false;
  }

  /** The VM is about to start: who is complete records now, who is not lets its successor record. */
  vmStart(): void {
    const before = this.state;
    this.state = INCOMING_TRANSITIONS[before]['vm-start'];
    if (!this.recording) return;
    if (before === 'waiting' && this.isThere()) this.bitmap.enabled = true;
    else if (before === 'loading') this.bitmap.enableSuccessor();
  }

  /** Gives it up, unless it belongs to the VM: it is deleted; one that was there before is left as it stands. */
  drop(): void {
    const before = this.state;
    this.state = INCOMING_TRANSITIONS[before].cancel;
    if (this.state !== 'dropped' || before === 'dropped') return;
    const { bitmap } = this;
    // What came to its end is nobody's any more: a user may have removed it, or a job may use it.
    if (before === 'waiting' && (bitmap.busy || !this.isThere())) return;
    bitmap.loading = false;
    if (this.reused === undefined) {
      bitmap.busy = false;
      this.node.release(bitmap);
      return;
    }
    this.maskEnd();
    this.#takeBack();
    bitmap.enabled = this.reused;
  }

  /** Takes off bits past the end of the disk; whether there were any. */
  maskEnd(): boolean {
    const { bits } = this.bitmap;
    const wordEnd = Math.ceil(this.granules / 64) * 64;
    if (!bits.anyBits(this.granules, wordEnd)) return false;
    bits.clearBits(this.granules, wordEnd);
    return true;
  }

  /** What was written meanwhile comes into the bitmap that was there before. */
  #takeBack(): void {
    const { bitmap } = this;
    try {
      if (bitmap.successor !== undefined) bitmap.reclaim();
      bitmap.busy = false;
    } catch {
      // Giving up must not fail for want of memory. The successor stays and records, and can be reclaimed later.
    }
  }

  /** Whether the bitmap is still on its node. */
  isThere(): boolean {
    return this.node.bitmaps.includes(this.bitmap);
  }
}
