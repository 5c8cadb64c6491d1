// npm run differential -- [--count N] [--seed S] [--first I] [--kind a-qemu|a-compact|b|c] [--qemu PATH|all]: holds the library
// against a real QEMU with cases that follow from the seed. `--first I --count 1` runs one case again. Exit 1 where any differs.
import { parseArgs } from 'node:util';
import { QEMU_VERSIONS } from '../src/migration/qemu-version.js';
import { findProgram } from '../test/differential/program.js';
import { SUITES, treeProgram } from '../test/differential/qemu-trees.js';
import { KINDS, type Kind, run } from '../test/differential/run.js';
import type { QemuProgram } from '../test/differential/virtual-machine.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    kind: { type: 'string', multiple: true, default: [...KINDS] },
    qemu: { type: 'string', default: 'qemu-system-x86_64' },
  },
});
const [count, seed, first] = [values.count, values.seed, values.first].map(Number) as [number, number, number];
const kinds = KINDS.filter((kind) => values.kind.includes(kind));
if (![count, seed, first].every(Number.isSafeInteger) || kinds.length !== new Set(values.kind).size) {
  console.error('usage: npm run differential -- [--count N] [--seed S] [--first I] [--kind KIND]... [--qemu PATH|all]');
  console.error(`kinds: ${KINDS.join(' ')}`);
  process.exit(2);
}

let differ = 0;
for (const program of programs(values.qemu)) {
  for (const kind of kinds) differ += await report(program, kind);
}
process.exitCode = differ > 0 ? 1 : 0;

async function report(program: QemuProgram, kind: Kind): Promise<number> {
  const tally = await run({ program, kind, seed, first, count });
  for (const line of tally.lines()) console.log(line);
  for (const problem of tally.problems) console.log(`  DIFFERS, ${kind}, seed ${seed}, ${problem}`);
  return tally.differ;
}

/** The QEMU of that command, or that one and all in the cache. */
function programs(wanted: string): QemuProgram[] {
  const all = wanted === 'all';
  const own = findProgram(all ? 'qemu-system-x86_64' : wanted);
  if (own === undefined) return needs(`${wanted} is needed: apt-get install qemu-system-x86 qemu-utils`);
  if (!all) return [own];
  const trees = SUITES.map((suite) => treeProgram(suite) ?? needs(`no QEMU of ${suite}: npm run qemus`));
  return [own, ...trees].sort((a, b) => QEMU_VERSIONS.indexOf(a.version) - QEMU_VERSIONS.indexOf(b.version));
}

function needs(what: string): never {
  console.error(what);
  return process.exit(2);
}
