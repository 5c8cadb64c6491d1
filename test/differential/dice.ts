import { type Random, seededRandom } from '../../fuzz/mutate.js';

/** Random choices of one case, the same for the same seed and number. */
export class Dice {
  /** Whole numbers below a limit of at most 2^32. */
  readonly below: Random;

  constructor(seed: number, kind: string, index: number) {
    // Neighbouring seeds give neighbouring first numbers, so they are spread, and the first numbers left out.
    let state = Math.imul(seed ^ 0x9e3779b1, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
    for (const character of kind) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193);
    this.below = seededRandom(state);
    for (let i = 0; i < 8; i++) this.below(2);
  }

  /** Whether something happens that has a chance of `percent`. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** A whole number from `first` to `last`, both included, up to 2^53. */
  between(first: number, last: number): number {
    const count = last - first + 1;
    if (count <= 2 ** 32) return first + this.below(count);
    return first + Math.min(last - first, Math.floor((this.below(2 ** 32) / 2 ** 32) * count) + this.below(65_536));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** A whole number up to `last`, of which the small ones are as likely as the large ones. */
  spread(last: number): number {
    return this.between(0, Math.min(last, 2 ** this.below(Math.ceil(Math.log2(last + 1)) + 1)));
  }
}
