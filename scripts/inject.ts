// npm run inject -- DIR...: holds what `check --as qemu` predicts against what real QEMUs did.
//   DIR with versions.json: folders with stream.bin and result.json, each stream given to four versions
//   any other DIR: folders with truth.json, whose `loaded_by_qemu` says what a fresh QEMU of the same version did
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { QemuPrediction } from '../src/migration/qemu-prediction.js';
import { QEMU_VERSIONS } from '../src/migration/qemu-version.js';
import {
  compareRun,
  type InjectDestination,
  injectDestination,
  type LoadedTruth,
  loadedDestination,
  loadedRun,
  predict,
  type QemuRun,
} from '../test/support/qemu-truth.js';
import { foldersWith, streamOf } from './cases.js';

/** Disagreements that are known, by case and version, and why: outside of the stream and of the machine's settings. */
const EXPLAINED: Readonly<Record<string, string>> = {};

const roots = process.argv.slice(2);
if (roots.length === 0) {
  console.error('usage: npm run inject -- DIR...   (inject/, captures/, versions/)');
  process.exit(2);
}

const totals = new Map<string, { agree: number; differ: number }>();
for (const root of roots) {
  if (existsSync(join(root, 'versions.json'))) injected(root);
  else loaded(root);
}
let agree = 0;
let differ = 0;
for (const [group, total] of totals) {
  console.log(`${group}: ${total.agree} agree, ${total.differ} differ`);
  agree += total.agree;
  differ += total.differ;
}
console.log(`${agree} agree, ${differ} differ`);
process.exitCode = differ > 0 || agree === 0 ? 1 : 0;

/** Streams that were made by hand. */
function injected(root: string): void {
  const all: Record<string, Record<string, QemuRun>> = readJson(join(root, 'versions.json'));
  for (const name of readdirSync(root).sort()) {
    const stream = streamOf(join(root, name));
    if (stream === undefined) continue;
    const { destination } = readJson<{ destination: InjectDestination }>(join(root, name, 'result.json'));
    for (const version of QEMU_VERSIONS) {
      const run = all[name]?.[version];
      if (run === undefined) continue;
      const prediction = predict(stream, injectDestination(name, destination, version));
      judge(`injected, QEMU ${version}`, `${name} ${version}`, prediction, run);
    }
  }
}

/** Captures that a QEMU of the same version loaded again. */
function loaded(root: string): void {
  for (const folder of foldersWith(root, 'truth.json')) {
    const truth: LoadedTruth = readJson(join(folder, 'truth.json'));
    const stream = streamOf(folder);
    if (stream === undefined || truth.loaded_by_qemu === undefined || truth.loaded_by_qemu === null) continue;
    const destination = loadedDestination(truth);
    const name = relative(root, folder);
    const run = loadedRun(truth.loaded_by_qemu);
    judge(`captured and loaded again, QEMU ${destination.version}`, name, predict(stream, destination), run);
    // The same, when nothing is known of the destination but its settings: the verdict must hold, the bitmaps may not.
    const { version, footers, configuration } = destination;
    const assumed = predict(stream, { version, footers, configuration });
    const verdictOnly = { ...assumed, bitmaps: [] };
    judge(`the same, disks assumed, QEMU ${version}`, name, verdictOnly, { ...run, bitmaps: [] });
  }
}

function judge(group: string, name: string, prediction: QemuPrediction, run: QemuRun): void {
  const total = totals.get(group) ?? { agree: 0, differ: 0 };
  totals.set(group, total);
  const problems = compareRun(prediction, run);
  if (problems.length === 0) total.agree++;
  else total.differ++;
  for (const problem of problems) console.log(`${group}, ${name}: ${problem}`);
  if (problems.length > 0) console.log(`  ${EXPLAINED[name] ?? 'not explained'}`);
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8'));
}
