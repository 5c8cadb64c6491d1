import { expect, it } from 'vitest';
import { describeWithQemu } from '../support/with-qemu.js';
import { roundTripLine, runRoundTrips } from './commit-round-trip.js';

const TRIPS = 3;
const SEED = 1;

// More of the same: npm run qcow2-crash -- --trips 50 --seed 1
describeWithQemu('an image that we and QEMU write by turns', () => {
  it(`has the same bitmaps for both: ${TRIPS} images of seed ${SEED}`, { timeout: 120_000 }, async () => {
    const tally = await runRoundTrips(TRIPS, SEED);
    console.log(roundTripLine(tally));
    expect(tally.problems).toEqual([]);
  });
});
