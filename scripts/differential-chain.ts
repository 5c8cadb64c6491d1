// npm run differential:chain -- [--count N] [--seed S] [--first I] [--qemu PATH]: applies plans to chains of a real QEMU, and holds the
// bitmaps against what was written. `--first I --count 1` runs one case again. Exit 1 where any differs.
import { parseArgs } from 'node:util';
import { runChains } from '../test/differential/chain/run.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    qemu: { type: 'string', default: 'qemu-system-x86_64' },
  },
});
const [count, seed, first] = [values.count, values.seed, values.first].map(Number) as [number, number, number];
if (![count, seed, first].every(Number.isSafeInteger)) {
  console.error('usage: npm run differential:chain -- [--count N] [--seed S] [--first I] [--qemu PATH]');
  process.exit(2);
}
const tally = await runChains({ seed, first, count, program: values.qemu });
for (const line of tally.lines()) console.log(line);
for (const problem of tally.problems) console.log(`  DIFFERS, seed ${seed}, ${problem}`);
console.log(`${count - tally.differ} of ${count}`);
process.exitCode = tally.differ > 0 ? 1 : 0;
