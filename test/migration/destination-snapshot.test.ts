import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat } from '../../src/bytes/concat.js';
import { DestinationStream, type StreamSnapshot } from '../../src/migration/destination-stream.js';
import { type GraphSnapshot, restoreGraph, snapshotGraph } from '../../src/migration/graph-snapshot.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { Chunks, codeOf } from '../support/chunks.js';

const G = 65_536;
const SIZE = 20_000 * G;

function newGraph(): MemoryGraph {
  const graph = new MemoryGraph();
  const disk = graph.addNode({ name: 'disk0', size: SIZE });
  graph.addNode({ name: 'filter', size: SIZE, filtered: disk, device: 'drive0' });
  graph.addNode({ name: 'disk1', size: 100 });
  graph.addBackend('empty', undefined);
  return graph;
}

/** A stream of three bitmaps with data, zeroes, out of order, with gaps. */
function stream(): Uint8Array {
  const graph = newGraph();
  const disk = graph.find('disk0');
  for (const name of ['a', 'b']) disk?.create({ name, granularity: G, recording: name === 'a' });
  for (let at = 0; at < 20_000; at += 37) disk?.recordWrite(at * G, 1);
  const parts = [...new Source(graph).sections()].map((part) => part.slice());
  const odd = new Chunks()
    .start({ node: 'disk1', bitmap: 'c' }, 512, 1)
    .bits({}, 0, 1, [1, 0, 0, 0, 0, 0, 0, 0])
    .start({ node: 'disk0', bitmap: 'd' }, 512, 3)
    .zeroes({}, 640, 64)
    .zeroes({}, 128, 64)
    .complete()
    .eos();
  return concat([...parts, odd]);
}

/** Through MessagePack and into another world. */
function moved(graph: MemoryGraph, at: DestinationStream): { graph: MemoryGraph; at: DestinationStream } {
  const bytes = encode([snapshotGraph(graph), at.snapshot()]);
  const [savedGraph, savedStream] = decode(bytes) as [GraphSnapshot, StreamSnapshot];
  const there = restoreGraph(savedGraph);
  return { graph: there, at: new DestinationStream(there, {}, savedStream) };
}

/** What can be seen at the end. */
function seen(graph: MemoryGraph, { destination }: DestinationStream): unknown {
  return [
    snapshotGraph(graph),
    destination.state,
    destination.fault,
    destination.findings.snapshot(),
    destination.bitmaps.map(({ alias, state, coveredBytes }) => [alias.text, state, coveredBytes]),
  ];
}

/** Puts a value somewhere into plain data. */
function spoil(data: unknown, way: Iterator<number>, value: unknown): void {
  const keys = Object.keys(data as object);
  const key = keys[way.next().value % keys.length] as string;
  const inner = (data as Record<string, unknown>)[key];
  const deeper = typeof inner === 'object' && inner !== null && !(inner instanceof Uint8Array);
  if (deeper && Object.keys(inner).length > 0 && way.next().value % 8 > 0) spoil(inner, way, value);
  else (data as Record<string, unknown>)[key] = value;
}

/** Pushes a stream, moved to another process at each of these offsets; the VM starts at one of them. */
function run(bytes: Uint8Array, moves: readonly number[], vmAt: number, piece: number): unknown {
  let world = { graph: newGraph(), at: new DestinationStream(newGraph()) };
  world.at = new DestinationStream(world.graph);
  const stops = [...new Set([...moves, vmAt, bytes.length])].filter((at) => at <= bytes.length).sort((a, b) => a - b);
  let from = 0;
  let failed: string | undefined;
  for (const stop of stops) {
    for (; from < stop && failed === undefined; from = Math.min(stop, from + piece)) {
      const part = bytes.slice(from, Math.min(stop, from + piece));
      failed = codeOf(() => world.at.push(part));
    }
    if (stop === vmAt) {
      codeOf(() => world.at.destination.beforeVmStart());
      if (world.at.destination.state !== 'failed') world.graph.find('disk0')?.recordWrite(3 * G, G);
    }
    if (moves.includes(stop)) world = moved(world.graph, world.at);
  }
  return [failed, codeOf(() => world.at.finish()), seen(world.graph, world.at)];
}

describe('a destination that is moved in the middle of a stream', () => {
  const whole = stream();

  test('at every byte of the beginning and the end, and at any others, the result is the same', () => {
    const expected = run(whole, [], whole.length, whole.length);
    for (let at = 0; at <= whole.length; at += at < 120 || at > whole.length - 150 ? 1 : 211) {
      expect(run(whole, [at], whole.length, whole.length)).toEqual(expected);
    }
  });

  test('also with faults, with the VM started on the way, moved several times', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(whole.length), { maxLength: 3 }),
        fc.nat(whole.length),
        fc.integer({ min: 1, max: 3000 }),
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 2 }),
        (moves, vmAt, piece, faults) => {
          const bytes = whole.slice();
          for (const [at, value] of faults) bytes[at] = value;
          expect(run(bytes, moves, vmAt, piece)).toEqual(run(bytes, [], vmAt, bytes.length));
        },
      ),
      { numRuns: 200, seed: 1, endOnFailure: true },
    );
  });

  test('what was given up stays given up', () => {
    const graph = newGraph();
    const at = new DestinationStream(graph);
    at.push(new Chunks().start({ node: 'disk0', bitmap: 'x' }, G, 1).complete({ node: 'nope', bitmap: 'x' }).eos());
    const there = moved(graph, at);
    expect(there.at.destination.fault?.code).toBe('node-not-found');
    there.at.push(new Chunks().start({ node: 'disk0', bitmap: 'y' }, G, 1).eos());
    expect(there.graph.find('disk0')?.bitmaps).toEqual([]);
  });

  test('a snapshot of another kind, or over another graph, is refused', () => {
    const graph = newGraph();
    const at = new DestinationStream(graph);
    at.push(new Chunks().start({ node: 'disk0', bitmap: 'x' }, G, 1).eos());
    const saved = at.snapshot();
    const other = { ...saved, version: 2 } as unknown as StreamSnapshot;
    expect(codeOf(() => new DestinationStream(graph, {}, other))).toBe('snapshot-invalid');
    expect(codeOf(() => new DestinationStream(newGraph(), {}, saved))).toBe('snapshot-invalid');
  });

  test('what was reported is not said again, and what was counted stays counted', () => {
    const limits = { maxFindings: 2 };
    const graph = newGraph();
    const at = new DestinationStream(graph, { limits });
    const odd = (bitmap: string): Chunks =>
      new Chunks()
        .start({ node: 'disk0', bitmap }, G, 1)
        .zeroes({}, 64 * 128, 64 * 128)
        .zeroes({}, 0, 64 * 128);
    for (const name of ['a', 'b', 'c']) at.push(odd(name).eos());
    const bytes = encode([snapshotGraph(graph), at.snapshot()]);
    const [savedGraph, savedStream] = decode(bytes) as [GraphSnapshot, StreamSnapshot];
    const there = new DestinationStream(restoreGraph(savedGraph), { limits }, savedStream);
    const again = new Chunks().zeroes({ node: 'disk0', bitmap: 'c' }, 0, 64 * 128).eos();
    at.push(again);
    there.push(again);
    expect(there.destination.findings.snapshot()).toEqual(at.destination.findings.snapshot());
    expect(there.destination.findings.total).toBe(3);
  });

  test('plain data of any other form is refused by name, never a TypeError', () => {
    const graph = newGraph();
    const at = new DestinationStream(graph);
    at.push(whole.subarray(0, 3000));
    const saved = [snapshotGraph(graph), at.snapshot()] as const;
    const refusals = new Set<string | undefined>();
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), fc.anything(), (way, value) => {
        const [graphData, streamData] = structuredClone(saved);
        spoil([graphData, streamData], way, value);
        const code = codeOf(() => new DestinationStream(restoreGraph(graphData), {}, streamData));
        expect(['snapshot-invalid', 'argument', 'limit', 'bitmap-too-large', undefined]).toContain(code);
        refusals.add(code);
      }),
      { numRuns: 2000, seed: 1 },
    );
    expect(refusals).toContain('snapshot-invalid');
  });

  test('a failure without a fault, and bits past the end of a disk, are refused', () => {
    const graph = newGraph();
    graph.find('disk1')?.create({ name: 'b', granularity: 512 });
    const state = new DestinationStream(graph).snapshot();
    for (const over of ['failed', 'cancelled'] as const) {
      const saved = { ...state, destination: { ...state.destination, state: over } };
      expect(codeOf(() => new DestinationStream(newGraph(), {}, saved))).toBe('snapshot-invalid');
    }
    const saved = structuredClone(snapshotGraph(graph)) as unknown as { nodes: { bitmaps: { bits: unknown[] }[] }[] };
    saved.nodes[2]?.bitmaps[0]?.bits.push([65_536, new Uint8Array(4).fill(255)]);
    expect(codeOf(() => restoreGraph(saved as unknown as GraphSnapshot))).toBe('snapshot-invalid');
  });

  test('a cut section', () => {
    const at = new DestinationStream(newGraph());
    at.push(whole.subarray(0, 30));
    expect(codeOf(() => at.finish())).toBe('stream-cut');
    expect(at.destination.state).toBe('failed');
  });
});
