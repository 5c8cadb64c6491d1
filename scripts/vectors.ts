// npm run vectors: writes the logs and the manifest of vectors/ anew from the streams that lie there.
//   -- --check                    says only whether they are up to date
//   -- --from DIR [FOLDER/NAME…]  first takes streams and truths from DIR (captures/, versions/, inject/): those named,
//                                 or every one that is in vectors/ already
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { TruthBitmap } from '../test/support/truth.js';
import {
  listVectors,
  logText,
  type ManifestEntry,
  manifestText,
  ORIGINS,
  readManifest,
  runsOf,
  truthFile,
  VECTORS,
  vectorOf,
} from '../test/support/vectors.js';

type Json = Readonly<Record<string, unknown>>;
type NamedBitmap = TruthBitmap & { readonly node_alias: string; readonly bitmap_alias: string };
type Made = Omit<ManifestEntry, 'bytes' | 'sha256'>;

/** Longer streams (RAM, for the most part empty pages and holes) are stored packed. */
const PLAIN_BYTES = 128 * 1024;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: 'boolean', default: false }, from: { type: 'string' } },
});

const made = new Map(readManifest().map((entry): [string, Made] => [entry.file, entry]));
if (values.from !== undefined) {
  const present = listVectors().filter((vector) => !vector.channel);
  for (const id of positionals.length > 0 ? positionals : present.map((vector) => vector.id)) take(values.from, id);
}
const stale = listVectors()
  .map((vector) => ({ file: `${vector.id}.log`, text: logText(vector) }))
  .concat({ file: 'manifest.json', text: manifestText(listVectors().map((vector) => entryOf(vector.file))) })
  .filter(({ file, text }) => !existsSync(join(VECTORS, file)) || readFileSync(join(VECTORS, file), 'utf8') !== text);
for (const { file, text } of stale) {
  if (values.check) console.error(`${file} is out of date: npm run vectors`);
  else write(file, text);
}
console.log(`${stale.length} files ${values.check ? 'out of date' : 'written'}, of ${listVectors().length} vectors`);
process.exitCode = values.check && stale.length > 0 ? 1 : 0;

function entryOf(file: string): Made {
  const entry = made.get(file);
  if (entry === undefined) throw new Error(`${file}: the manifest does not say how it was made; take it with --from`);
  return entry;
}

/** Takes a vector, its side channel and its truth from a folder of originals. */
function take(root: string, id: string): void {
  const [folder = '', name = ''] = id.split('/');
  const origin = `${ORIGINS[folder]}/${name}`;
  const source = join(root, origin);
  if (ORIGINS[folder] === undefined || !existsSync(source)) throw new Error(`${id}: there is no ${source}`);
  const truth = readJson(join(source, folder === 'inject' ? 'result.json' : 'truth.json'));
  const streams = [[writeStream(id, readOriginal(source)), 'stream.bin']];
  for (const channel of readdirSync(source).filter((file) => /^channel\d+\.bin$/.test(file))) {
    // One side channel is enough to tell what it is.
    if (channel === 'channel0.bin') {
      const bytes = readFileSync(join(source, channel));
      if (bytes.length > 0) streams.push([writeStream(`${id}.channel0`, bytes), channel]);
    }
  }
  for (const [file = '', from] of streams) {
    const entry = { file, origin: `${origin}/${from}`, qemu: String(truth['qemu']), made: howMade(truth) };
    made.set(file, entry);
  }
  const versions = folder === 'inject' ? readJson(join(root, 'inject/versions.json'))[name] : undefined;
  const reduced = versions === undefined ? reduceTruth(truth) : reduceResult(truth, versions);
  write(truthFile(vectorOf(`${id}.bin`)) ?? '', jsonText(reduced));
}

function readOriginal(source: string): Uint8Array {
  const plain = join(source, 'stream.bin');
  return existsSync(plain) ? readFileSync(plain) : gunzipSync(readFileSync(`${plain}.gz`));
}

function writeStream(id: string, bytes: Uint8Array): string {
  const packed = bytes.length > PLAIN_BYTES;
  rmSync(join(VECTORS, `${id}.bin${packed ? '' : '.gz'}`), { force: true });
  const file = `${id}.bin${packed ? '.gz' : ''}`;
  write(file, packed ? gzipSync(bytes, { level: 9 }) : bytes);
  return file;
}

/** What made a stream. For one made by hand its result.json says which destination was given it. */
function howMade(truth: Json): Json {
  if (truth['destination'] !== undefined) return { by: 'hand' };
  const { machine, qemu_args, mode, source_paused, capabilities, parameters } = truth;
  return { machine, qemu_args, mode, source_paused, capabilities, parameters };
}

function reduceTruth(truth: Json): Json {
  const expect = truth['expect_stream'] as { readonly truncated: boolean; readonly bitmaps: readonly NamedBitmap[] };
  const bitmaps = expect.bitmaps.map((bitmap) => {
    const { node_alias, node_alias_hex, bitmap_alias, bitmap_alias_hex } = bitmap;
    const { size, granularity, flags, count, sha256 } = bitmap;
    const names = { node_alias, node_alias_hex, bitmap_alias, bitmap_alias_hex };
    return { ...names, size, granularity, flags, count, sha256, runs: runsOf(bitmap) };
  });
  const loaded = truth['loaded_by_qemu'] as Json | undefined;
  return {
    case: truth['case'],
    doc: truth['doc'],
    qemu: truth['qemu'],
    machine: truth['machine'],
    expect_stream: { truncated: expect.truncated, bitmaps },
    ...(loaded && { loaded_by_qemu: reduceLoaded(loaded) }),
  };
}

/** Without the bitmaps: `same_as_source` says that they are those of `expect_stream`. */
function reduceLoaded({ status, died, end, stderr, same_as_source }: Json): Json {
  return { status, died, end, stderr, same_as_source };
}

function reduceResult(result: Json, versions: unknown): Json {
  return { case: result['case'], doc: result['doc'], destination: result['destination'], versions };
}

/** A key per line. */
function jsonText(value: Json): string {
  const lines = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${JSON.stringify(item)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

function readJson(path: string): Json {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function write(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(VECTORS, file)), { recursive: true });
  writeFileSync(join(VECTORS, file), content);
}
