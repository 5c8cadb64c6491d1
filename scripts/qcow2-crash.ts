// npm run qcow2-crash -- [--count N] [--seed S] [--first I] [--full]: crashes of the qcow2 writer, until N states were tried.
// Every state is judged by our reader and an own recount of all references, one in fifty by qemu-img check; with --full each.
// `--first I --count 1` runs case I again. Instead: `--kills N` kills a writer at work N times, `--trips N` has N images written
// by QEMU's tools and us by turns. Exit 1 where anything fails.
import { parseArgs } from 'node:util';
import { roundTripLine, runRoundTrips } from '../test/qcow2/commit-round-trip.js';
import { killLine, runKills } from '../test/qcow2/crash-kill.js';
import { crashLines, runCrashes } from '../test/qcow2/crash-run.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    full: { type: 'boolean', default: false },
    kills: { type: 'string', default: '0' },
    trips: { type: 'string', default: '0' },
  },
});
const numbers = [values.count, values.seed, values.first, values.kills, values.trips].map(Number);
if (!numbers.every(Number.isSafeInteger)) {
  console.error('usage: npm run qcow2-crash -- [--count N] [--seed S] [--first I] [--full] | --kills N | --trips N');
  process.exit(2);
}
const [states, seed, first, kills, trips] = numbers as [number, number, number, number, number];

const problems = await (kills > 0 ? kill() : trips > 0 ? travel() : crash());
for (const problem of problems.slice(0, 50)) console.log(`  FAILS, seed ${seed}, ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

async function crash(): Promise<readonly string[]> {
  let told = 0;
  const tally = await runCrashes({
    ...{ seed, states, first, qemuPercent: values.full ? 100 : 2 },
    onCase(reached) {
      if (reached < told + 5000) return;
      told = reached;
      console.error(`${reached} states`);
    },
  });
  for (const line of crashLines(tally)) console.log(line);
  return tally.problems;
}

async function travel(): Promise<readonly string[]> {
  const tally = await runRoundTrips(trips, seed, first);
  console.log(roundTripLine(tally));
  return tally.problems;
}

async function kill(): Promise<readonly string[]> {
  const tally = await runKills(kills, seed, (done) => {
    if (done % 20 === 0) console.error(`${done} kills`);
  });
  console.log(killLine(tally));
  return tally.problems;
}
