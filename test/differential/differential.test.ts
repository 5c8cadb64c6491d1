import { expect, it } from 'vitest';
import { describeWithQemu } from '../support/with-qemu.js';
import { findProgram } from './program.js';
import { KINDS, run } from './run.js';

const COUNT = 20;
const SEED = 1;

// More of the same: npm run differential -- --count 300 --seed 1
describeWithQemu('a real QEMU and we come to the same', () => {
  for (const kind of KINDS) {
    it(`${kind}: ${COUNT} cases of seed ${SEED}`, async () => {
      const program = findProgram('qemu-system-x86_64');
      if (program === undefined) throw new Error('qemu-system-x86_64 has a version older than any that was measured');
      const tally = await run({ program, kind, seed: SEED, first: 0, count: COUNT });
      console.log(tally.lines().join('\n'));
      expect(tally.problems).toEqual([]);
    });
  }
});
