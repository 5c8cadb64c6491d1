// npm run mutate -- [--count N] [--seed S]: runs `check` over mutated vectors, one after the other in this process, and
// says the slowest, the memory and the exit codes. Each must end within a second, in 200 MB, with exit 0 or 1.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mutate, seededRandom } from '../fuzz/mutate.js';
import { runCli } from '../test/support/run-cli.js';
import { listVectors, readStream } from '../test/support/vectors.js';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '2000' }, seed: { type: 'string', default: '1' } },
});
const count = Number(values.count);
const random = seededRandom(Number(values.seed));
// Memory images of megabytes would measure the copying of mutants.
const vectors = listVectors()
  .map((vector) => ({ id: vector.id, bytes: new Uint8Array(readStream(vector)) }))
  .filter(({ bytes }) => bytes.length < 512 * 1024);
const pick = (): (typeof vectors)[number] => vectors[random(vectors.length)] as (typeof vectors)[number];

const scratch = mkdtempSync(join(tmpdir(), 'dirtybitmap-mutate-'));
const path = join(scratch, 'mutated.bin');
const exits: Record<string, number> = {};
let slowest = { ms: 0, what: '' };
let bad = 0;
try {
  for (let run = 0; run < count; run++) {
    const { id, bytes } = pick();
    const mutated = mutate(bytes, random, pick().bytes);
    writeFileSync(path, mutated);
    const began = performance.now();
    const args = run % 2 === 0 ? ['check', path] : ['check', '--as', 'qemu', path];
    const { code } = await runCli(...args).catch((error: unknown) => {
      console.log(`run ${run} (${id}): ${(error as Error).stack}`);
      return { code: 'threw' };
    });
    const ms = performance.now() - began;
    exits[code] = (exits[code] ?? 0) + 1;
    if (ms > slowest.ms) slowest = { ms, what: `run ${run} (${id}, ${mutated.length} bytes)` };
    if ((code !== 0 && code !== 1) || ms > 1000) {
      bad++;
      writeFileSync(`mutated-${values.seed}-${run}.bin`, mutated);
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(
  `exit codes ${JSON.stringify(exits)}; slowest ${slowest.ms.toFixed(0)} ms, ${slowest.what}; peak RSS ${peak} MB`,
);
// Of this one process, mutants and all: an upper bound for each check.
if (peak > 200) bad++;
console.log(`${count - bad} fine, ${bad} bad`);
process.exitCode = bad > 0 ? 1 : 0;
