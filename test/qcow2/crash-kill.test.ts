import { expect, it } from 'vitest';
import { describeWithQemu } from '../support/with-qemu.js';
import { killLine, runKills } from './crash-kill.js';

const KILLS = 10;
const SEED = 2;

// More of the same: npm run qcow2-crash -- --kills 200 --seed 2
describeWithQemu('a writer that is killed', () => {
  it(`leaves the old bitmaps, the new ones or none: ${KILLS} kills of seed ${SEED}`, { timeout: 120_000 }, async () => {
    const tally = await runKills(KILLS, SEED);
    console.log(killLine(tally));
    expect(tally.problems).toEqual([]);
  });
});
