import type { TimelineRun } from './timeline.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Runs kept of the beginning of a stream, and as many of its end. */
const MAX_RUNS = 100;

/** The runs of a stream of any length: those of its beginning and those of its end, in bounded memory. */
export class RunList {
  readonly #first: Mutable<TimelineRun>[] = [];
  /** A ring; the oldest is at `#oldest`. */
  readonly #last: Mutable<TimelineRun>[] = [];
  #oldest = 0;
  #open: Mutable<TimelineRun> | undefined;
  readonly #leftOut = { runs: 0, items: 0, bytes: 0 };

  /** Adds an item: to the run before it where it is one more of the same. */
  add(item: Omit<TimelineRun, 'count'>): void {
    const open = this.#open;
    if (open !== undefined && isSame(open, item)) {
      open.count++;
      open.bytes += item.bytes;
      return;
    }
    this.#open = { ...item, count: 1 };
    if (this.#first.length < MAX_RUNS) this.#first.push(this.#open);
    else this.#keepLast(this.#open);
  }

  /** What is kept, and what is not. */
  list(): {
    runs: readonly TimelineRun[];
    leftOut: { after: number; runs: number; items: number; bytes: number } | null;
  } {
    const last = [...this.#last.slice(this.#oldest), ...this.#last.slice(0, this.#oldest)];
    const leftOut = this.#leftOut.runs > 0 ? { after: this.#first.length, ...this.#leftOut } : null;
    return { runs: [...this.#first, ...last], leftOut };
  }

  #keepLast(run: Mutable<TimelineRun>): void {
    if (this.#last.length < MAX_RUNS) {
      this.#last.push(run);
      return;
    }
    const gone = this.#last[this.#oldest] as TimelineRun;
    this.#leftOut.runs++;
    this.#leftOut.items += gone.count;
    this.#leftOut.bytes += gone.bytes;
    this.#last[this.#oldest] = run;
    this.#oldest = (this.#oldest + 1) % MAX_RUNS;
  }
}

function isSame(a: TimelineRun, b: Omit<TimelineRun, 'count'>): boolean {
  return (
    a.kind === b.kind &&
    a.name === b.name &&
    a.instance === b.instance &&
    a.sectionType === b.sectionType &&
    a.phase === b.phase
  );
}
