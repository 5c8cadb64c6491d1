import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RangeEffect, RangeList } from '../../src/migration/range-list.js';

const UNIVERSE = 48;

/** Ranges as a row of flags, one a unit. */
class NaiveRanges {
  readonly #covered = new Array<boolean>(UNIVERSE).fill(false);

  get end(): number {
    return this.#covered.lastIndexOf(true) + 1;
  }

  add(start: number, end: number): RangeEffect {
    const before = this.end;
    const overlaps = this.#covered.slice(start, end).includes(true);
    this.#covered.fill(true, start, end);
    if (overlaps) return 'overlap';
    if (start === before) return 'next';
    return start > before ? 'apart' : 'earlier';
  }

  holes(): [number, number][] {
    const holes: [number, number][] = [];
    for (let at = 0; at < this.end; at++) {
      if (this.#covered[at]) continue;
      const last = holes.at(-1);
      if (last?.[1] === at) last[1] = at + 1;
      else holes.push([at, at + 1]);
    }
    return holes;
  }
}

const range = fc.tuple(fc.nat(UNIVERSE - 1), fc.integer({ min: 1, max: 12 })).map(([start, length]) => ({
  start,
  end: Math.min(UNIVERSE, start + length),
}));

describe('RangeList', () => {
  it('says what a row of flags says: the effect of each range, the end, the holes', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), (ranges) => {
        const list = new RangeList(1000);
        const naive = new NaiveRanges();
        for (const { start, end } of ranges) {
          expect(list.add(start, end)).toBe(naive.add(start, end));
          expect(list.end).toBe(naive.end);
          expect(list.hole()).toEqual(naive.holes()[0]);
          expect(list.holes()).toBe(naive.holes().length);
        }
        expect(list.overflowed).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  it('is empty at first', () => {
    const list = new RangeList(10);
    expect([list.end, list.hole(), list.holes(), list.overflowed]).toEqual([0, undefined, 0, false]);
  });

  it.each([
    ['next, when it goes on where the highest ends', [[0, 10]], [10, 20], 'next'],
    ['next, when it is the first and begins at 0', [], [0, 10], 'next'],
    ['apart, when it leaves a hole', [[0, 10]], [11, 20], 'apart'],
    ['apart, when it is the first and does not begin at 0', [], [1, 2], 'apart'],
    [
      'earlier, when it fills a hole',
      [
        [0, 10],
        [20, 30],
      ],
      [10, 20],
      'earlier',
    ],
    [
      'earlier, when it lies in a hole',
      [
        [0, 10],
        [20, 30],
      ],
      [12, 15],
      'earlier',
    ],
    ['overlap, when it repeats one', [[0, 10]], [0, 10], 'overlap'],
    [
      'overlap, when one unit is common',
      [
        [0, 10],
        [20, 30],
      ],
      [9, 12],
      'overlap',
    ],
    [
      'overlap, when it covers several',
      [
        [0, 10],
        [20, 30],
        [40, 50],
      ],
      [5, 45],
      'overlap',
    ],
  ] as const)('calls a range %s', (_what, before, [start, end], effect) => {
    const list = new RangeList(10);
    for (const [from, to] of before) list.add(from, to);
    expect(list.add(start, end)).toBe(effect);
  });

  it('takes any unit, also beyond 2^32', () => {
    const list = new RangeList(10);
    list.add(2 ** 40, 2 ** 41);
    list.add(0, 2 ** 40);
    expect([list.end, list.hole(), list.holes()]).toEqual([2 ** 41, undefined, 0]);
  });

  it.each([1, 2, 3])('gives up on holes, and keeps the end, where there are more than %d ranges', (max) => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), (ranges) => {
        const list = new RangeList(max);
        const naive = new NaiveRanges();
        for (const { start, end } of ranges) {
          list.add(start, end);
          naive.add(start, end);
          expect(list.end).toBe(naive.end);
          if (!list.overflowed) expect(list.hole()).toEqual(naive.holes()[0]);
          // What it still tells are holes indeed.
          expect(list.holes()).toBeLessThanOrEqual(Math.max(max, naive.holes().length));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('says that it gave up', () => {
    const list = new RangeList(2);
    list.add(0, 1);
    list.add(10, 11);
    expect(list.overflowed).toBe(false);
    list.add(20, 21);
    expect(list.overflowed).toBe(true);
    expect(list.end).toBe(21);
  });

  it('keeps the end also where it may remember nothing', () => {
    const list = new RangeList(0);
    list.add(0, 64);
    list.add(64, 128);
    expect(list.end).toBe(128);
    for (const [start, end] of [
      [200, 264],
      [0, 10],
      [150, 160],
    ] as const) {
      list.add(start, end);
      expect(list.end).toBeGreaterThanOrEqual(128);
    }
  });
});
