// npm run captures -- DIR: holds `info --json` and `map --json` of every capture below DIR against its truth.json, and
// encodes its bitmaps again in profile `qemu`: the sections must be those that QEMU wrote, byte for byte.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { compareReencoded, sizesOf } from '../test/support/reencode.js';
import { compareWithTruth, type Truth } from '../test/support/truth.js';
import { foldersWith, streamOf } from './cases.js';

const root = process.argv[2];
if (root === undefined) {
  console.error('usage: npm run captures -- DIR   (folders with truth.json and stream.bin or stream.bin.gz)');
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), 'dirtybitmap-captures-'));
const path = join(scratch, 'stream.bin');
let agree = 0;
let differ = 0;
let without = 0;
/** How often each outcome of encoding again came. */
const encoded = new Map<string, number>();
try {
  for (const folder of foldersWith(root, 'truth.json')) {
    const truth = JSON.parse(readFileSync(join(folder, 'truth.json'), 'utf8')) as Truth;
    const stream = streamOf(folder);
    if (stream === undefined) {
      without++;
      continue;
    }
    writeFileSync(path, stream);
    const problems = await compareWithTruth(path, truth);
    if (problems.length === 0) agree++;
    else differ++;
    const outcome = compareReencoded(new Uint8Array(stream), sizesOf(truth.expect_stream.bitmaps));
    encoded.set(outcome, (encoded.get(outcome) ?? 0) + 1);
    if (outcome === 'differs') console.log(`${relative(root, folder)}: encoded again, it differs`);
    for (const problem of problems) console.log(`${relative(root, folder)}: ${problem}`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
if (without > 0) console.log(`${without} cases have no stream (they record what QMP refuses)`);
const { identical = 0, differs = 0, ...others } = Object.fromEntries(encoded) as Record<string, number>;
console.log(`encoded again, besides: ${JSON.stringify(others)}`);
console.log(`${identical} identical, ${differs} differ`);
console.log(`${agree} agree, ${differ} differ`);
process.exitCode = differ > 0 || differs > 0 || agree === 0 ? 1 : 0;
