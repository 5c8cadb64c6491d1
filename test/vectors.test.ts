import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../src/bytes/text.js';
import { CaptureReader } from '../src/capture/capture-reader.js';
import { encodeTraceItem, type TraceItem } from '../src/capture/trace.js';
import { parseTraceLine, traceLine } from '../src/capture/trace-json.js';
import { decodeTraceMsgpack, encodeTraceMsgpack } from '../src/msgpack/trace.js';
import { runCli } from './support/run-cli.js';
import { compareWithTruth } from './support/truth.js';
import {
  inPieces,
  listVectors,
  logText,
  manifestText,
  readManifest,
  readResult,
  readStream,
  readTruth,
  traceOf,
  truthFile,
  VECTORS,
  type Vector,
} from './support/vectors.js';

/** Bytes of all of vectors/, at most. */
const MAX_BYTES = 3_000_000;
/** Longer streams are not pushed byte by byte. */
const BYTEWISE = 128 * 1024;

const vectors = listVectors();
let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'dirtybitmap-vectors-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

describe('vectors/', () => {
  it('is small', () => {
    const bytes = files().reduce((sum, file) => sum + statSync(join(VECTORS, file)).size, 0);
    expect(bytes).toBeLessThan(MAX_BYTES);
  });

  it('has these files and no others', () => {
    const expected = ['README.md', 'destination.json', 'manifest.json'];
    for (const vector of vectors) expected.push(vector.file, `${vector.id}.log`, ...[truthFile(vector) ?? []].flat());
    // Images and plans are no streams: test/qcow2/images.test.ts and test/chain/plan-merge.test.ts check them.
    expect(files().filter((file) => !/^(qcow2|merge|chain)\//.test(file))).toEqual(expected.sort());
  });

  it('is what its manifest says', () => {
    expect(readManifest().map((entry) => entry.file)).toEqual(vectors.map((vector) => vector.file));
    expect(manifestText(readManifest())).toBe(readFileSync(join(VECTORS, 'manifest.json'), 'utf8'));
  });
});

describe.each(vectors)('$id', (vector) => {
  const stream = readStream(vector);

  it('has its log', () => {
    expect(logText(vector), 'npm run vectors').toBe(readFileSync(join(VECTORS, `${vector.id}.log`), 'utf8'));
  });

  it('is traced without loss, also through JSON and MessagePack', () => {
    const items = traceOf(stream);
    expect(digest(items)).toBe(sha256(stream));
    expect(digest(items.map(traceLine).map(parseTraceLine))).toBe(sha256(stream));
    expect(digest([...decodeTraceMsgpack(Buffer.concat(items.map(encodeTraceMsgpack)))])).toBe(sha256(stream));
  });

  it('is the same in pieces', () => {
    const whole = traceOf(stream).map(traceLine);
    const read = gathered(stream, stream.length);
    for (const piece of stream.length > BYTEWISE ? [1500] : [1, 1500]) {
      expect(traceOf(stream, piece).map(traceLine)).toEqual(whole);
      expect(gathered(stream, piece)).toEqual(read);
    }
  });

  it('holds no firmware', () => {
    const text = Buffer.from(stream).toString('latin1');
    expect(text).not.toMatch(/SeaBIOS|iPXE|\$PnP|\x55\xaa/);
  });
});

describe.each(vectors.filter(isCapture))('what QEMU said of $id', (vector) => {
  it('is what info and map say', async () => {
    const truth = readTruth(vector);
    expect(truth.case).toBe(vector.name);
    expect(await compareWithTruth(plainFile(vector), truth)).toEqual([]);
  });
});

describe.each(vectors.filter((vector) => vector.channel))('$id', (vector) => {
  it('is told from a main channel', async () => {
    const { code, stdout } = await runCli('info', '--json', plainFile(vector));
    expect(code).toBe(1);
    expect(JSON.parse(stdout).findings).toMatchObject([{ code: 'not-main-channel' }]);
  });
});

describe.each(vectors.filter((vector) => vector.folder === 'inject'))('what QEMU did with $id', (vector) => {
  it('is known of four versions', () => {
    const result = readResult(vector);
    expect(result.case).toBe(vector.name);
    expect(Object.keys(result.versions).sort()).toEqual(['10.0', '11.1', '5.2', '7.2']);
  });
});

function isCapture(vector: Vector): boolean {
  return vector.folder !== 'inject' && !vector.channel;
}

/** All files below vectors/, sorted. */
function files(): string[] {
  return readdirSync(VECTORS, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(VECTORS.length + 1))
    .sort();
}

/** Path of the stream as a file that is not packed. */
function plainFile(vector: Vector): string {
  if (!vector.file.endsWith('.gz')) return join(VECTORS, vector.file);
  const path = join(scratch, `${vector.folder}-${vector.name}.bin`);
  writeFileSync(path, readStream(vector));
  return path;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** SHA-256 of the bytes that the items stand for. */
function digest(items: Iterable<TraceItem>): string {
  const hash = createHash('sha256');
  for (const item of items) hash.update(encodeTraceItem(item));
  return hash.digest('hex');
}

/** What a reader that gets the stream in such pieces, and cannot look ahead, makes of it. */
function gathered(stream: Uint8Array, piece: number): unknown {
  const reader = new CaptureReader();
  for (const part of inPieces(stream, Math.max(1, piece))) reader.push(part);
  reader.finish();
  const bitmaps = reader.bitmaps.map(({ node, name, bits, complete, coveredBytes, wireBytes, chunks, offset }) => ({
    names: [toHex(node.bytes), toHex(name.bytes)],
    ...{ complete, coveredBytes, wireBytes, chunks, offset },
    extents: [...bits.extents()].join(),
  }));
  return { summary: reader.summary, findings: reader.findings.list, bitmaps };
}
