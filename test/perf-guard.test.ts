import { expect, test } from 'vitest';
import { IntoBitmap } from '../bench/data/into-bitmap.js';
import { randomBytes } from '../bench/data/random.js';
import { Bitmap } from '../src/bitmap/bitmap.js';
import { ChunkCursor } from '../src/chunk/chunk-cursor.js';
import { SectionDecoder, SectionParser } from '../src/chunk/section-decoder.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import type { Profile } from '../src/migration/cutter.js';
import { DestinationStream } from '../src/migration/destination-stream.js';
import { MemoryGraph } from '../src/migration/memory-graph.js';
import { Source } from '../src/migration/source.js';
import { heapTaken, trafficOf } from './bench/traffic.js';
import { inPieces } from './support/vectors.js';

/**
 * A guard against slowness that looks at no clock: what a chunk costs in bytes that are copied, in views that are made,
 * and in bytes of the heap (garbage included). What is copied is exact but for headers that are cut and names; the heap
 * has slack of about three times, since it depends on what the engine has compiled by then. `npm run bench` says what that means in time.
 */

const CHUNKS = 2048;
const CHUNK = 1024;
const GRANULARITY = 4096;
const SIZE = CHUNKS * CHUNK * 8 * GRANULARITY;

type Kind = 'dense' | 'empty';

/** What a chunk may cost at most. */
interface Cost {
  readonly copied: number;
  readonly views: number;
  readonly heap: number;
}

const bitmaps: Readonly<Record<Kind, Bitmap>> = { dense: bitmap(), empty: bitmap() };
bitmaps.dense.writeBytes(0, randomBytes(1, CHUNKS * CHUNK));
const streams: Readonly<Record<Kind, Uint8Array>> = { dense: streamOf('dense'), empty: streamOf('empty') };

function bitmap(): Bitmap {
  return new Bitmap(GRANULARITY, { size: SIZE });
}

function graphWith(bits?: Bitmap): MemoryGraph {
  const graph = new MemoryGraph();
  const disk = graph.addNode({ name: 'disk0', size: SIZE });
  if (bits !== undefined) disk.create({ name: 'b0', granularity: GRANULARITY, bits });
  return graph;
}

function streamOf(kind: Kind): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const bytes of new Source(graphWith(bitmaps[kind])).sections()) pieces.push(bytes.slice());
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

function expectCost(work: () => void, most: Cost): void {
  // What is made once is made now.
  work();
  const { copied, views } = trafficOf(work);
  expect.soft(copied / CHUNKS, 'bytes copied for a chunk').toBeLessThanOrEqual(most.copied);
  expect.soft(views / CHUNKS, 'views made for a chunk').toBeLessThanOrEqual(most.views);
  expect.soft(heapTaken(work) / CHUNKS, 'bytes of heap for a chunk').toBeLessThanOrEqual(most.heap);
}

const PAYLOAD = CHUNK + 1;
/** A ZEROES chunk is a copy of the one before, but for its sector. */
const CLEAR_CHUNK = 14;
const NOTHING = 1;
const FEW = 0.1;

test.each<[Kind, Profile, Cost]>([
  ['dense', 'qemu', { copied: PAYLOAD, views: 1 + FEW, heap: 400 }],
  ['dense', 'compact', { copied: PAYLOAD, views: 1 + FEW, heap: 220 }],
  ['empty', 'qemu', { copied: CLEAR_CHUNK, views: FEW, heap: 40 }],
  ['empty', 'compact', { copied: NOTHING, views: FEW, heap: 40 }],
])('encoding %s, profile %s: the payload is copied once', (kind, profile, most) => {
  const graph = graphWith(bitmaps[kind]);
  const window = new Uint8Array(65_536);
  expectCost(() => {
    for (const bytes of new Source(graph, { profile }).sections(window)) {
      if (bytes.buffer !== window.buffer) throw new Error('not a view of the window');
    }
  }, most);
});

test.each<[Kind, number, Cost]>([
  ['dense', Number.POSITIVE_INFINITY, { copied: PAYLOAD, views: 1 + FEW, heap: 300 }],
  ['dense', 65_536, { copied: PAYLOAD, views: 1 + FEW, heap: 300 }],
  ['dense', 1500, { copied: PAYLOAD, views: 2, heap: 700 }],
  ['empty', Number.POSITIVE_INFINITY, { copied: NOTHING, views: FEW, heap: 60 }],
  ['empty', 1500, { copied: NOTHING, views: FEW, heap: 80 }],
])('decoding %s into a bitmap, in pieces of %d bytes: the payload is copied once', (kind, length, most) => {
  const pieces = [...inPieces(streams[kind], Math.min(length, streams[kind].length))];
  const bits = bitmap();
  expectCost(() => {
    const parser = new SectionParser(new IntoBitmap(bits));
    for (const piece of pieces) parser.push(piece);
  }, most);
  expect(bits.equals(bitmaps[kind])).toBe(true);
});

test.each<[Kind, number, Cost]>([
  ['dense', Number.POSITIVE_INFINITY, { copied: NOTHING, views: FEW, heap: 40 }],
  ['dense', 1500, { copied: NOTHING, views: FEW, heap: 240 }],
  ['empty', Number.POSITIVE_INFINITY, { copied: NOTHING, views: FEW, heap: 40 }],
  ['empty', 1500, { copied: NOTHING, views: FEW, heap: 60 }],
])('parsing %s in pieces of %d bytes: nothing is copied but headers that are cut', (kind, length, most) => {
  const pieces = [...inPieces(streams[kind], Math.min(length, streams[kind].length))];
  expectCost(() => {
    const parser = new SectionParser({ chunk() {}, data() {} });
    for (const piece of pieces) parser.push(piece);
  }, most);
});

test.each<Kind>(['dense', 'empty'])('a cursor over %s chunks makes nothing', (kind) => {
  const stream = streams[kind];
  const walk = (): void => {
    const cursor = new ChunkCursor();
    for (let at = 0; at < stream.length; at += cursor.size) {
      at += cursor.read(stream, at, stream.length, at, DEFAULT_LIMITS.maxBitsBytes);
    }
  };
  expectCost(walk, { copied: 0, views: 0, heap: 20 });
});

test.each<[Kind, Cost]>([
  ['dense', { copied: NOTHING, views: FEW, heap: 700 }],
  ['empty', { copied: NOTHING, views: FEW, heap: 1200 }],
])('events of %s: an object, and no view before it is asked for', (kind, most) => {
  expectCost(() => {
    for (const _ of new SectionDecoder().push(streams[kind]));
  }, most);
});

test.each<[Kind, Cost]>([
  // A new bitmap, whose table is copied as it grows.
  ['dense', { copied: CHUNK + 16, views: 1 + FEW, heap: 1500 }],
  ['empty', { copied: NOTHING, views: FEW, heap: 1200 }],
])('a destination that takes %s chunks: the payload is copied once', (kind, most) => {
  expectCost(() => {
    const stream = new DestinationStream(graphWith());
    stream.push(streams[kind]);
    stream.finish();
  }, most);
});
