import { DirtyBitmapError } from '../errors.js';
import { DEFAULT_LIMITS } from '../limits.js';

/** Memory that the bitmaps of one input may occupy together; give the same object to all of them. In bytes. */
export interface MemoryBudget {
  /** Bytes in use now. Kept up to date by the bitmaps. */
  used: number;
  /** Bytes that may be in use at most. */
  readonly max: number;
}

/** A budget of its own, of the default size (`maxBitmapMemory`), for a bitmap that was given none. */
export function ownBudget(): MemoryBudget {
  return { used: 0, max: DEFAULT_LIMITS.maxBitmapMemory };
}

/** What one bitmap has taken from a budget. Everything is in bytes. */
export class MemoryAccount {
  readonly budget: MemoryBudget;
  /** Bytes that this bitmap holds. */
  allocated = 0;

  constructor(budget: MemoryBudget) {
    this.budget = budget;
  }

  /** Bytes that may still be taken. */
  get available(): number {
    return this.budget.max - this.budget.used;
  }

  /**
   * Refuses a need that the budget does not cover, before anything is allocated.
   * @throws DirtyBitmapError `limit`.
   */
  require(bytes: number): void {
    if (bytes <= this.available) return;
    throw new DirtyBitmapError(
      'limit',
      `the bitmaps need ${bytes} more bytes of memory beside the ${this.budget.used} in use, which is over the limit ` +
        `of ${this.budget.max}; raise maxBitmapMemory, or use a coarser granularity`,
    );
  }

  /**
   * Takes bytes from the budget; call it before allocating them.
   * @throws DirtyBitmapError `limit` when the budget does not hold so many.
   */
  take(bytes: number): void {
    this.require(bytes);
    this.budget.used += bytes;
    this.allocated += bytes;
  }

  /** Gives bytes back. */
  giveBack(bytes: number): void {
    this.budget.used -= bytes;
    this.allocated -= bytes;
  }
}
