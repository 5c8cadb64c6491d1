// npm run captures -- DIR: holds `info --json` and `map --json` of every capture below DIR against its truth.json, and
// encodes its bitmaps again in profile `qemu`: the sections must be those that QEMU wrote, byte for byte.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { compareReencoded, sizesOf } from '../test/support/reencode.js';
import { compareWithTruth, type Truth } from '../test/support/truth.js';

const root = process.argv[2];
if (root === undefined) {
  console.error('usage: npm run captures -- DIR   (folders with truth.json and stream.bin or stream.bin.gz)');
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), 'dirtybitmap-captures-'));
let agree = 0;
let differ = 0;
let without = 0;
/** How often each outcome of encoding again came. */
const encoded = new Map<string, number>();
try {
  for (const folder of foldersWith(root, 'truth.json')) {
    const truth = JSON.parse(readFileSync(join(folder, 'truth.json'), 'utf8')) as Truth;
    const path = streamOf(folder);
    if (path === undefined) {
      without++;
      continue;
    }
    const problems = await compareWithTruth(path, truth);
    if (problems.length === 0) agree++;
    else differ++;
    const outcome = compareReencoded(new Uint8Array(readFileSync(path)), sizesOf(truth.expect_stream.bitmaps));
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

function foldersWith(folder: string, file: string): string[] {
  if (existsSync(join(folder, file))) return [folder];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => foldersWith(join(folder, entry.name), file))
    .sort();
}

/** The stream of a case as a plain file, or undefined where it has none. */
function streamOf(folder: string): string | undefined {
  const plain = join(folder, 'stream.bin');
  if (existsSync(plain)) return plain;
  if (!existsSync(`${plain}.gz`)) return undefined;
  const unpacked = join(scratch, 'stream.bin');
  writeFileSync(unpacked, gunzipSync(readFileSync(`${plain}.gz`)));
  return unpacked;
}
