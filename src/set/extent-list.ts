import { DirtyBitmapError } from '../errors.js';

/** Extents that one document may still list; give the same object to all of its lists. */
export interface ExtentBudget {
  left: number;
  readonly max: number;
}

const FIRST_LENGTH = 32;

/**
 * Extents as a document lists them, before it is known whether they make sense: 16 bytes each, where an array of arrays
 * takes five times that, and outside the engine's heap, which ends a process when it is full.
 */
export class ExtentList {
  readonly #budget: ExtentBudget;
  #numbers = new Float64Array(0);
  #used = 0;

  constructor(budget: ExtentBudget) {
    this.#budget = budget;
  }

  /** How many extents there are. */
  get length(): number {
    return this.#used / 2;
  }

  /**
   * Adds an extent, in bytes of the disk.
   * @throws DirtyBitmapError `limit` when the document lists more than the budget allows.
   */
  push(offset: number, length: number): void {
    this.#budget.left--;
    if (this.#budget.left < 0) throw tooManyExtents(this.#budget.max);
    if (this.#used === this.#numbers.length) {
      const longer = new Float64Array(Math.max(FIRST_LENGTH, this.#used * 2));
      longer.set(this.#numbers);
      this.#numbers = longer;
    }
    this.#numbers[this.#used++] = offset;
    this.#numbers[this.#used++] = length;
  }

  /** Where extent `index` begins, in bytes. */
  offset(index: number): number {
    return this.#numbers[index * 2] as number;
  }

  /** Bytes of extent `index`. */
  size(index: number): number {
    return this.#numbers[index * 2 + 1] as number;
  }
}

/** The `limit` error of a document with more than `max` extents. */
export function tooManyExtents(max: number): DirtyBitmapError {
  return new DirtyBitmapError(
    'limit',
    `more than ${max} extents in one document; raise maxExtents, or use the MessagePack form, which carries such a bitmap as bits`,
  );
}
