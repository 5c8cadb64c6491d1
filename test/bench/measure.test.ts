import { expect, test } from 'vitest';
import { type Contestant, compare, race, timed } from '../../bench/measure.js';

const PACE = { seconds: 0, rounds: 4, warmUp: 2 };

/** A contestant that says it took so many milliseconds in each of its rounds. */
function says(name: string, times: readonly number[], log: string[] = []): Contestant {
  let round = 0;
  return {
    name,
    round: () => {
      log.push(name);
      return times[round++ % times.length] as number;
    },
  };
}

test('contestants work by turns, each round begins with another, and warming up does not count', async () => {
  const log: string[] = [];
  const times = await race([says('a', [1, 2, 3, 4, 5, 6], log), says('b', [10], log)], PACE);
  expect(times).toEqual([
    [3, 4, 5, 6],
    [10, 10, 10, 10],
  ]);
  expect(log.join('')).toBe('abbaabbaabba');
});

test('rounds go on until there are enough of them, however long they take', async () => {
  const [times] = await race([says('a', [1])], { ...PACE, rounds: 17, collect: () => {} });
  expect(times).toHaveLength(17);
});

test('ours is held against the fastest of the others, by the median of the ratios of each round', async () => {
  const ours = says('ours', [1, 2, 4]);
  const others = [says('slow', [8, 16, 32]), says('fast', [2, 4, 8])];
  const found = await compare(ours, others, { ...PACE, warmUp: 0, rounds: 3 });
  expect(found).toMatchObject({ against: 'fast', ours: 2 });
  expect(found.speed).toEqual({ median: 2, p10: 2, p90: 2, count: 3 });
  expect(found.time).toMatchObject({ median: 0.5 });
});

test('work is done as often as is said', () => {
  let count = 0;
  const round = timed(() => count++, 8);
  expect(round()).toBeGreaterThanOrEqual(0);
  expect(count).toBe(8);
});
