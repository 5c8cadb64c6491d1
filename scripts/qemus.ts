// npm run qemus: brings the QEMUs of other Debian suites into a cache folder outside of the repository, for
// `npm run differential -- --qemu all`. As root, for debootstrap.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SUITES, treeProgram, treesFolder } from '../test/differential/qemu-trees.js';

const MIRROR = 'http://deb.debian.org/debian';
/** Milliseconds that a suite has. */
const PATIENCE = 600_000;

if (spawnSync('debootstrap', ['--version']).status !== 0) {
  console.error('debootstrap is missing: apt-get install debootstrap');
  process.exit(2);
}
for (const suite of SUITES) {
  if (treeProgram(suite) === undefined && !bring(suite)) process.exitCode = 1;
  console.log(`${suite}: ${treeProgram(suite)?.version ?? 'MISSING'}`);
}

/** A tree gets its name only when it is complete. */
function bring(suite: string): boolean {
  const tree = join(treesFolder(), suite);
  const args = ['--variant=minbase', '--include=qemu-system-x86,qemu-utils', suite, `${tree}.part`, MIRROR];
  mkdirSync(treesFolder(), { recursive: true });
  for (const old of [tree, `${tree}.part`]) rmSync(old, { recursive: true, force: true });
  const run = spawnSync('debootstrap', args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: PATIENCE });
  if (run.status !== 0) {
    console.error(`debootstrap ${args.join(' ')}: ${run.error?.message ?? `status ${run.status}`}`);
    return false;
  }
  renameSync(`${tree}.part`, tree);
  return true;
}
