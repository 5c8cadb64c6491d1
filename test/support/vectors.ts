import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { type TraceItem, Tracer } from '../../src/capture/trace.js';
import { transcriptLine } from '../../src/capture/transcript.js';
import type { Truth, TruthBitmap } from './truth.js';

/** The folder of the shipped vectors. */
export const VECTORS = fileURLToPath(new URL('../../vectors', import.meta.url));

/** Folders of vectors, and where below a folder of originals (`--from`) each comes from. */
export const ORIGINS: Readonly<Record<string, string>> = {
  captures: 'captures',
  'captures-5.2': 'versions/5.2',
  'captures-10.0': 'versions/10.0',
  'captures-11.1': 'versions/11.1',
  inject: 'inject',
};

/** A line of manifest.json. */
export interface ManifestEntry {
  readonly file: string;
  readonly origin: string;
  readonly qemu: string;
  /** How QEMU was started and told to migrate; for an injected stream, the destination that took it. */
  readonly made: Readonly<Record<string, unknown>>;
  /** Bytes of the stream, unpacked. */
  readonly bytes: number;
  /** Of the stream, unpacked. */
  readonly sha256: string;
}

/** `NAME.result.json` of an injected stream, as far as it is read here. */
export interface InjectResult {
  readonly case: string;
  readonly doc: string;
  readonly destination: Readonly<Record<string, unknown>>;
  /** What each version of QEMU did, by version. */
  readonly versions: Readonly<Record<string, { readonly verdict: string }>>;
}

/** A shipped stream and the files beside it. */
export interface Vector {
  /** `captures/small-qcow2-persistent` */
  readonly id: string;
  readonly folder: string;
  readonly name: string;
  /** Path below {@link VECTORS} of the stream, `.bin` or `.bin.gz`. */
  readonly file: string;
  /** Whether this is a side channel of the vector of the same name (`NAME.channel0`). */
  readonly channel: boolean;
}

/** All vectors there are, by folder and name. */
export function listVectors(): Vector[] {
  return Object.keys(ORIGINS).flatMap((folder) =>
    readdirSync(join(VECTORS, folder))
      .filter((file) => /\.bin(\.gz)?$/.test(file))
      .map((file) => vectorOf(`${folder}/${file}`))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  );
}

/** The vector whose stream is this file below {@link VECTORS}. */
export function vectorOf(file: string): Vector {
  const id = file.replace(/\.bin(\.gz)?$/, '');
  const [folder = '', name = ''] = id.split('/');
  return { id, folder, name, file, channel: /\.channel\d+$/.test(name) };
}

/** The stream, unpacked. */
export function readStream(vector: Vector): Uint8Array {
  const bytes = readFileSync(join(VECTORS, vector.file));
  return vector.file.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

/** Where the truth of a vector lies, below {@link VECTORS}; undefined for a side channel, which has none. */
export function truthFile(vector: Vector): string | undefined {
  if (vector.channel) return undefined;
  return `${vector.id}.${vector.folder === 'inject' ? 'result' : 'truth'}.json`;
}

/** The truth of a capture; its runs made into extents again. */
export function readTruth(vector: Vector): Truth {
  const truth = readJson<StoredTruth>(`${vector.id}.truth.json`);
  const bitmaps = truth.expect_stream.bitmaps.map((bitmap) => ({ ...bitmap, extents: extentsOf(bitmap) }));
  return { ...truth, expect_stream: { ...truth.expect_stream, bitmaps } };
}

interface StoredTruth extends Omit<Truth, 'expect_stream'> {
  readonly expect_stream: { readonly truncated: boolean; readonly bitmaps: readonly StoredBitmap[] };
}

/** A bitmap of a truth as it is stored: [clean, dirty, clean, dirty ...] in granules. */
type StoredBitmap = Omit<TruthBitmap, 'extents'> & { readonly runs: readonly number[] };

/** The dirty extents as lengths of runs, which is a tenth of the text. */
export function runsOf({ extents, granularity }: TruthBitmap): number[] {
  let end = 0;
  return extents.flatMap(([offset, length]) => {
    const clean = offset - end;
    end = offset + length;
    return [clean / granularity, length / granularity];
  });
}

function extentsOf({ runs, granularity }: StoredBitmap): [number, number][] {
  const extents: [number, number][] = [];
  let at = 0;
  for (const [index, run] of runs.entries()) {
    if (index % 2 === 1) extents.push([at, run * granularity]);
    at += run * granularity;
  }
  return extents;
}

export function readResult(vector: Vector): InjectResult {
  return readJson(`${vector.id}.result.json`);
}

export function readManifest(): ManifestEntry[] {
  return existsSync(join(VECTORS, 'manifest.json')) ? readJson<ManifestEntry[]>('manifest.json') : [];
}

/** manifest.json as it has to be for these streams: what can be measured is measured anew. */
export function manifestText(entries: readonly Omit<ManifestEntry, 'bytes' | 'sha256'>[]): string {
  const lines = entries.map(({ file, origin, qemu, made }) => {
    const stream = readStream(vectorOf(file));
    const sha256 = createHash('sha256').update(stream).digest('hex');
    return JSON.stringify({ file, origin, qemu, made, bytes: stream.length, sha256 } satisfies ManifestEntry);
  });
  return `[\n${lines.join(',\n')}\n]\n`;
}

/** The readable log of a vector: what it is, then its transcript, long repetitions folded. */
export function logText(vector: Vector): string {
  const lines = traceOf(readStream(vector)).map(transcriptLine);
  return `${[`# ${docOf(vector)}`, ...foldLines(lines)].join('\n')}\n`;
}

function docOf(vector: Vector): string {
  if (vector.channel) return `side channel of ${vector.name.replace(/\.channel\d+$/, '')}`;
  return readJson<{ doc: string }>(truthFile(vector) ?? '').doc;
}

/** The trace of a stream that is pushed in pieces of so many bytes. */
export function traceOf(stream: Uint8Array, piece = Number.POSITIVE_INFINITY): TraceItem[] {
  const tracer = new Tracer();
  const items: TraceItem[] = [];
  for (const part of inPieces(stream, piece)) for (const item of tracer.push(part)) items.push(item);
  for (const item of tracer.finish()) items.push(item);
  return items;
}

export function* inPieces(stream: Uint8Array, piece: number): Generator<Uint8Array> {
  for (let at = 0; at < stream.length; at += piece) yield stream.subarray(at, Math.min(stream.length, at + piece));
}

/** Most lines of a group that is folded. */
const MAX_GROUP = 12;
/** Fewer repetitions than this are all shown. */
const MIN_TIMES = 4;

/** Folds groups of lines that come again and again, but for offsets and sectors: the first and the last one stay. */
function foldLines(lines: readonly string[]): string[] {
  const shapes = lines.map((line) => line.replace(/\b(off|sector)=\d+/g, '$1='));
  const folded: string[] = [];
  let at = 0;
  while (at < lines.length) {
    const { size, times } = groupAt(shapes, at);
    folded.push(...lines.slice(at, at + size));
    if (times > 1) {
      const what = size === 1 ? 'lines like this' : `groups like these ${size} lines`;
      folded.push(`... ${times - 2} more ${what}`, ...lines.slice(at + (times - 1) * size, at + times * size));
    }
    at += times * size;
  }
  return folded;
}

/** The group at a line whose repetitions cover most lines, the smaller where two cover the same. */
function groupAt(shapes: readonly string[], at: number): { readonly size: number; readonly times: number } {
  let best = { size: 1, times: 1 };
  for (let size = 1; size <= MAX_GROUP; size++) {
    let end = at + size;
    while (end < shapes.length && shapes[end] === shapes[end - size]) end++;
    const times = Math.floor((end - at) / size);
    if (times >= MIN_TIMES && times * size > best.times * best.size) best = { size, times };
  }
  return best;
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(VECTORS, file), 'utf8'));
}
