import { expect, it } from 'vitest';
import { describeWithQemu } from '../../support/with-qemu.js';
import { runChains } from './run.js';

const COUNT = 28;
const SEED = 1;

// More of the same: npm run differential:chain -- --count 100 --seed 1
describeWithQemu('plans applied to a real QEMU give the truth', () => {
  it(`${COUNT} cases of seed ${SEED}`, { timeout: 120_000 }, async () => {
    const tally = await runChains({ seed: SEED, first: 0, count: COUNT });
    console.log(tally.lines().join('\n'));
    expect(tally.problems).toEqual([]);
  });
});
