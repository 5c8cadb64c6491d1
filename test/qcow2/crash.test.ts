import { expect, it } from 'vitest';
import { describeWithQemu } from '../support/with-qemu.js';
import { crashLines, runCrashes } from './crash-run.js';

const STATES = 2000;
const SEED = 1;

// More of the same: npm run qcow2-crash -- --count 20000 --seed 1
describeWithQemu('a crash at any step of a commit', () => {
  it(`leaves the old bitmaps, the new ones or none: ${STATES} states of seed ${SEED}`, {
    timeout: 120_000,
  }, async () => {
    const tally = await runCrashes({ seed: SEED, states: STATES, qemuPercent: 2, images: 8 });
    console.log(crashLines(tally).join('\n'));
    expect(tally.problems).toEqual([]);
  });
});
