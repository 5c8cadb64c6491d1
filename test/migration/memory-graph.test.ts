import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import {
  type BitmapCondition,
  type BitmapOperation,
  CONDITION_CODE,
  REFUSED_BY,
} from '../../src/migration/bitmap-operations.js';
import { MemoryGraph, type MemoryNode } from '../../src/migration/memory-graph.js';
import type { TrackedBitmap } from '../../src/migration/tracked-bitmap.js';
import { codeOf } from '../support/chunks.js';

const G = 65_536;

function disk(): MemoryNode {
  return new MemoryGraph().addNode({ name: 'disk0', size: 64 * G });
}

/** A bitmap of which just this is the matter. */
function inCondition(node: MemoryNode, condition: BitmapCondition | 'none'): TrackedBitmap {
  const bitmap = node.create({
    name: 'b',
    granularity: G,
    readOnly: condition === 'readonly',
    inconsistent: condition === 'inconsistent',
  });
  if (condition === 'busy') bitmap.busy = true;
  if (condition === 'successor') {
    bitmap.createSuccessor();
    bitmap.busy = false;
  }
  return bitmap;
}

const OPERATIONS: Record<Exclude<BitmapOperation, 'migrate'>, (node: MemoryNode, bitmap: TrackedBitmap) => unknown> = {
  remove: (node, bitmap) => node.remove(bitmap),
  rename: (node, bitmap) => node.rename(bitmap, 'other'),
  clear: (_, bitmap) => bitmap.clear(),
  enable: (_, bitmap) => bitmap.enable(),
  disable: (_, bitmap) => bitmap.disable(),
  'merge-into': (node, bitmap) => bitmap.merge(node.create({ name: 'from', granularity: G })),
  'merge-from': (node, bitmap) => node.create({ name: 'into', granularity: G }).merge(bitmap),
  'create-successor': (_, bitmap) => bitmap.createSuccessor(),
  'enable-successor': (_, bitmap) => bitmap.enableSuccessor(),
  reclaim: (_, bitmap) => bitmap.reclaim(),
  abdicate: (node, bitmap) => node.abdicate(bitmap),
  'release-successor': (_, bitmap) => bitmap.releaseSuccessor(),
};

describe('every operation on a bitmap in every condition', () => {
  const conditions: (BitmapCondition | 'none')[] = ['none', 'busy', 'readonly', 'inconsistent', 'successor'];
  for (const [name, work] of Object.entries(OPERATIONS)) {
    const operation = name as keyof typeof OPERATIONS;
    for (const condition of conditions) {
      const holds = (each: BitmapCondition): boolean =>
        each === 'no-successor' ? condition !== 'successor' : each === condition;
      const refusedBy = REFUSED_BY[operation].find(holds);
      const expected = refusedBy && CONDITION_CODE[refusedBy];
      test(`${operation}, ${condition}: ${expected ?? 'done'}`, () => {
        const node = disk();
        const bitmap = inCondition(node, condition);
        const before = JSON.stringify(bitmap.info());
        expect(codeOf(() => work(node, bitmap))).toBe(expected);
        if (expected !== undefined) {
          expect(JSON.stringify(bitmap.info())).toBe(before);
          expect(node.bitmaps).toContain(bitmap);
        }
      });
    }
  }

  test('a refusal says what is in the way and what to do', () => {
    const node = disk();
    const bitmap = inCondition(node, 'busy');
    expect(() => node.remove(bitmap)).toThrow(/remove: bitmap "b" is in use by a migration or a job; wait/);
  });
});

describe('successors', () => {
  test('the successor records what its bitmap recorded, and is shown without a name', () => {
    const node = disk();
    const bitmap = node.create({ name: 'b', granularity: G });
    bitmap.createSuccessor();
    node.recordWrite(5 * G, 1);
    expect(node.info()['dirty-bitmaps']).toEqual([
      { count: G, granularity: G, recording: true, busy: false, persistent: false },
      { name: 'b', count: 0, granularity: G, recording: true, busy: true, persistent: false },
    ]);
  });

  test('a disabled bitmap has a disabled successor', () => {
    const node = disk();
    const bitmap = node.create({ name: 'b', granularity: G, recording: false });
    bitmap.createSuccessor();
    node.recordWrite(0, 1);
    expect(bitmap.successor?.bits.isEmpty()).toBe(true);
    expect(bitmap.recording).toBe(false);
    bitmap.enableSuccessor();
    expect(bitmap.recording).toBe(true);
  });

  test('reclaim: the bitmap has both, and goes on as the successor did', () => {
    const node = disk();
    const bitmap = node.create({ name: 'b', granularity: G });
    node.recordWrite(0, 1);
    bitmap.createSuccessor();
    node.recordWrite(G, 1);
    bitmap.reclaim();
    expect(bitmap.info()).toMatchObject({ count: 2 * G, recording: true, busy: false });
    expect(bitmap.successor).toBeUndefined();
  });

  test('abdicate: the successor has the name, and only what was written since', () => {
    const node = disk();
    const bitmap = node.create({ name: 'b', granularity: G, persistent: true });
    node.recordWrite(0, 1);
    bitmap.createSuccessor();
    node.recordWrite(G, 1);
    const successor = node.abdicate(bitmap);
    expect(node.find('b')).toBe(successor);
    expect(node.bitmaps).toEqual([successor]);
    expect(successor.info()).toMatchObject({ name: 'b', count: G, recording: true, busy: false, persistent: true });
  });

  test('release-successor: what it recorded is gone, the bitmap is free and stays disabled', () => {
    const node = disk();
    const bitmap = node.create({ name: 'b', granularity: G });
    bitmap.createSuccessor();
    node.recordWrite(G, 1);
    bitmap.releaseSuccessor();
    expect(bitmap.info()).toMatchObject({ count: 0, recording: false, busy: false });
  });
});

describe('the graph', () => {
  test('the newest bitmap is first', () => {
    const node = disk();
    node.create({ name: 'old', granularity: G });
    node.create({ name: 'new', granularity: G });
    expect(node.info()['dirty-bitmaps'].map(({ name }) => name)).toEqual(['new', 'old']);
  });

  test('names of bitmaps: unique on a node, 1 to 1023 bytes', () => {
    const node = disk();
    node.create({ name: 'b', granularity: G });
    expect(codeOf(() => node.create({ name: 'b', granularity: G }))).toBe('bitmap-exists');
    expect(codeOf(() => node.create({ name: '', granularity: G }))).toBe('argument');
    expect(codeOf(() => node.create({ name: 'x'.repeat(1024), granularity: G }))).toBe('argument');
    expect(codeOf(() => node.create({ name: 'x'.repeat(1023), granularity: G }))).toBeUndefined();
    const other = node.create({ name: 'c', granularity: G });
    expect(codeOf(() => node.rename(other, 'b'))).toBe('bitmap-exists');
    expect(node.bitmaps).toHaveLength(3);
  });

  test('names of nodes: at most 31 bytes, unique, also with devices', () => {
    const graph = new MemoryGraph();
    graph.addNode({ name: 'n', size: 1, device: 'd' });
    expect(codeOf(() => graph.addNode({ name: 'n', size: 1 }))).toBe('argument');
    expect(codeOf(() => graph.addNode({ name: 'd', size: 1 }))).toBe('argument');
    expect(codeOf(() => graph.addNode({ name: 'x'.repeat(32), size: 1 }))).toBe('argument');
    expect(codeOf(() => graph.addNode({ name: 'x'.repeat(31), size: 1 }))).toBeUndefined();
    expect(codeOf(() => graph.addNode({ name: 'y', size: -1 }))).toBe('argument');
  });

  test('a write is recorded by all that record, and by nobody where one may not', () => {
    const graph = new MemoryGraph();
    const node = graph.addNode({ name: 'disk0', size: 10 * G });
    const on = node.create({ name: 'on', granularity: G });
    const off = node.create({ name: 'off', granularity: G, recording: false });
    const fine = node.create({ name: 'fine', granularity: 512 });
    node.recordWrite(G - 1, 2);
    expect([on, off, fine].map((bitmap) => bitmap.bits.count())).toEqual([2 * G, 0, 1024]);
    expect(codeOf(() => node.recordWrite(10 * G, 1))).toBe('argument');
    node.create({ name: 'ro', granularity: G, readOnly: true });
    expect(codeOf(() => node.recordWrite(0, 1))).toBe('bitmap-readonly');
    expect(fine.bits.count()).toBe(1024);
    const fixed = graph.addNode({ name: 'fixed', size: G, readOnly: true });
    expect(codeOf(() => fixed.recordWrite(0, 1))).toBe('node-readonly');
  });

  test('bits that are there already: of that granularity and size', () => {
    const node = disk();
    const bits = new Bitmap(G);
    bits.set(G);
    expect(node.create({ name: 'b', granularity: G, bits }).info().count).toBe(G);
    expect(bits.size).toBe(64 * G);
    expect(codeOf(() => node.create({ name: 'c', granularity: 512, bits }))).toBe('argument');
    const small = new Bitmap(G, { size: G });
    expect(codeOf(() => node.create({ name: 'c', granularity: G, bits: small }))).toBe('argument');
  });

  test('merge: other granularity of the same disk; another size is refused', () => {
    const graph = new MemoryGraph();
    const node = graph.addNode({ name: 'a', size: 4 * G });
    const coarse = node.create({ name: 'coarse', granularity: 4 * G });
    const fine = node.create({ name: 'fine', granularity: G });
    fine.bits.set(3 * G);
    coarse.merge(fine);
    expect(coarse.info().count).toBe(4 * G);
    const other = graph.addNode({ name: 'b', size: G }).create({ name: 'x', granularity: G });
    expect(codeOf(() => coarse.merge(other))).toBe('argument');
  });

  test('an inconsistent bitmap is shown as such, and does not record', () => {
    const bitmap = disk().create({ name: 'b', granularity: G, inconsistent: true });
    expect(bitmap.info()).toMatchObject({ inconsistent: true, recording: false });
  });

  test('one memory budget for all', () => {
    const graph = new MemoryGraph({ used: 0, max: 100 });
    const node = graph.addNode({ name: 'a', size: 4 * G });
    node.create({ name: 'b', granularity: G });
    expect(codeOf(() => node.recordWrite(0, 1))).toBe('limit');
  });
});

test('a bitmap that no QEMU can hold is not made: 2^41 granules fit, one more does not', () => {
  const graph = new MemoryGraph();
  const size = 2 ** 41 * 512;
  expect(graph.addNode({ name: 'fits', size }).create({ name: 'b', granularity: 512 }).granularity).toBe(512);
  const huge = graph.addNode({ name: 'huge', size: size + 1 });
  expect(codeOf(() => huge.create({ name: 'b', granularity: 512 }))).toBe('bitmap-too-large');
  expect(huge.bitmaps).toEqual([]);
});
