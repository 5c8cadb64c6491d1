// npm run bench [-- CASE... --list --json --write --seconds N --dist DIR --cpu-prof DIR]: builds the package, runs every case in a
// process of its own, and prints the table. --write keeps it in bench/RESULTS.md, for a run of all cases.
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Case } from './case.js';
import { selectCases } from './cases.js';
import { describeMachine } from './machine.js';
import { type Outcome, resultsMarkdown, summaryLine, tableLines, verdictOf } from './table.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));
/** Milliseconds that a case may take. */
const PATIENCE = 300_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    /** How long each case measures. */
    seconds: { type: 'string', default: '3' },
    /** A package that was built elsewhere, to hold two versions against each other. */
    dist: { type: 'string' },
    /** Where each case leaves a CPU profile. */
    'cpu-prof': { type: 'string' },
  },
});

const cases = selectCases(positionals);
if (values.list) {
  for (const { name, group, title } of cases) console.log(`${name.padEnd(18)} ${group.padEnd(8)} ${title}`);
} else {
  await bench();
}

async function bench(): Promise<void> {
  if (values.write && positionals.length > 0) throw new Error('--write keeps the results of all cases, not of some');
  const dist = resolve(values.dist ?? build());
  const outcomes: Outcome[] = [];
  for (const one of cases) {
    process.stderr.write(`${one.name} ... `);
    const outcome = { case: one, result: await runAlone(one, dist) };
    process.stderr.write(`${verdictOf(outcome)}\n`);
    outcomes.push(outcome);
  }
  const machine = describeMachine();
  if (values.json) console.log(JSON.stringify({ machine, outcomes }, undefined, 2));
  else console.log([...tableLines(outcomes), '', summaryLine(outcomes)].join('\n'));
  if (values.write) writeFileSync(join(ROOT, 'bench/RESULTS.md'), resultsMarkdown(outcomes, machine));
  if (outcomes.some((one) => verdictOf(one) === 'failed')) process.exitCode = 1;
}

/** Builds the package, and says where. */
function build(): string {
  process.stderr.write('building\n');
  const { status, stdout, stderr } = spawnSync('npm', ['run', 'build'], { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm run build failed:\n${stdout}${stderr}`);
  return join(ROOT, 'dist');
}

/** Runs a case in a process of its own. */
async function runAlone({ name }: Case, dist: string): Promise<Outcome['result']> {
  const profile = values['cpu-prof'];
  const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profile)}`];
  const execArgv = ['--expose-gc', ...profiling, '--import', 'tsx'];
  const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as const;
  const child = fork(CHILD, [name, dist, values.seconds], {
    cwd: ROOT,
    execArgv,
    stdio: [...stdio],
    timeout: PATIENCE,
  });
  let result: Outcome['result'] | undefined;
  let stderr = '';
  child.on('message', (message) => {
    result = message as Outcome['result'];
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code, signal] = await once(child, 'close');
  if (result !== undefined && code === 0) return result;
  process.stderr.write(stderr);
  const error = /^\w*Error: .*/m.exec(stderr)?.[0] ?? `it ended with ${code ?? signal}`;
  return { failed: error };
}
