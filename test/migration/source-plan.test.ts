import { describe, expect, test } from 'vitest';
import { nameFromBytes } from '../../src/bytes/text.js';
import { BlockBitmapMapping, type MappedNode } from '../../src/migration/block-bitmap-mapping.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { type PlanOptions, planSource } from '../../src/migration/source-plan.js';
import { codeOf } from '../support/chunks.js';

// Rules of dirty-bitmap-states.md section 4, "Which bitmaps, under which name", and block-bitmap-mapping.
const G = 65_536;

/** `node/bitmap` as in the stream, then what is left out, then the refusals. */
function planned(graph: MemoryGraph, options?: PlanOptions): { sent: string[]; leftOut: string[]; refused: string[] } {
  const plan = planSource(graph, options);
  return {
    sent: plan.bitmaps.map(({ nodeAlias, alias }) => `${nodeAlias.text}/${alias.text}`),
    leftOut: plan.leftOut.map(({ reason, code }) => code ?? reason),
    refused: plan.refusals.map(({ code }) => code),
  };
}

const bitmap = { name: 'b', granularity: G };

describe('without a mapping', () => {
  test('a node below a backend goes under the name of the backend, also an automatic one; backends come first', () => {
    const graph = new MemoryGraph();
    graph.addNode({ name: 'plain', size: G }).create(bitmap);
    graph.addNode({ name: '#block1', size: G, device: 'drive0' }).create(bitmap);
    expect(planned(graph).sent).toEqual(['drive0/b', 'plain/b']);
  });

  test('filters without bitmaps are stepped over, several of them', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    const throttle = graph.addNode({ name: 'throttle', size: G, filtered: disk });
    graph.addNode({ name: 'cor', size: G, filtered: throttle, device: 'drive0' });
    disk.create(bitmap);
    expect(planned(graph).sent).toEqual(['drive0/b']);
  });

  test('a filter with a bitmap goes under its node name, and hides the backend from what is below', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    const filter = graph.addNode({ name: 'filter', size: G, filtered: disk, device: 'drive0' });
    disk.create(bitmap);
    filter.create(bitmap);
    expect(planned(graph).sent).toEqual(['disk/b', 'filter/b']);
  });

  test('an unnamed bitmap on a filter hides nothing', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    const filter = graph.addNode({ name: 'filter', size: G, filtered: disk, device: 'drive0' });
    disk.create(bitmap);
    filter.create({ name: undefined, granularity: G });
    expect(planned(graph)).toEqual({ sent: ['drive0/b'], leftOut: ['unnamed'], refused: [] });
  });

  test('a node without a name, or with an automatic one: refused', () => {
    for (const name of ['', '#block7']) {
      const graph = new MemoryGraph();
      graph.addNode({ name, size: G }).create(bitmap);
      expect(planned(graph).refused).toEqual(['node-unnamed']);
    }
    const clean = new MemoryGraph();
    clean.addNode({ name: '#block7', size: G });
    expect(planned(clean).refused).toEqual([]);
  });

  test('a node below two backends: refused the second time', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G, device: 'a' });
    graph.addBackend('b', disk);
    graph.addBackend('empty', undefined);
    disk.create(bitmap);
    expect(planned(graph)).toEqual({ sent: ['a/b'], leftOut: [], refused: ['node-twice'] });
  });

  test('the newest bitmap of a node is first', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    for (const name of ['1', '2', '3']) disk.create({ name, granularity: G });
    expect(planned(graph).sent).toEqual(['disk/3', 'disk/2', 'disk/1']);
  });

  test('names of 255 bytes go, of 256 are refused; NUL is refused', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    disk.create({ name: 'x'.repeat(255), granularity: G });
    expect(planned(graph).refused).toEqual([]);
    disk.create({ name: 'x'.repeat(256), granularity: G });
    disk.create({ name: nameFromBytes(Uint8Array.of(65, 0)), granularity: G });
    expect(planned(graph).refused).toEqual(['name-nul', 'name-too-long']);
    const long = new MemoryGraph();
    long.addNode({ name: 'disk', size: G, device: 'd'.repeat(256) }).create(bitmap);
    expect(planned(long).refused).toEqual(['name-too-long']);
  });
});

describe('bitmaps that cannot go', () => {
  function unfit(): MemoryGraph {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    disk.create({ name: 'fine', granularity: G });
    disk.create({ name: 'ro', granularity: G, readOnly: true });
    disk.create({ name: 'in', granularity: G, inconsistent: true });
    disk.create({ name: 'busy', granularity: G }).busy = true;
    return graph;
  }
  const codes = ['bitmap-busy', 'bitmap-inconsistent', 'bitmap-readonly'];

  test('busy, read-only, inconsistent: each refuses the migration before anything is touched', () => {
    const graph = unfit();
    expect(planned(graph).refused).toEqual(codes);
    const source = new Source(graph);
    expect(codeOf(() => source.setup())).toBe('bitmap-busy');
    expect(source.state).toBe('failed');
    expect(graph.find('disk')?.find('fine')?.busy).toBe(false);
    expect(graph.find('disk')?.find('busy')?.busy).toBe(true);
    expect(source.encodeInto(new Uint8Array(16_384))).toBe(0);
  });

  test('skipUnfit leaves them out', () => {
    expect(planned(unfit(), { skipUnfit: true })).toEqual({ sent: ['disk/fine'], leftOut: codes, refused: [] });
  });

  test('what becomes busy after the plan was made is found by setup', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    const made = disk.create(bitmap);
    const source = new Source(graph);
    made.createSuccessor();
    expect(codeOf(() => source.setup())).toBe('bitmap-busy');
  });
});

describe('with a mapping', () => {
  const entry = (node: string, alias: string, ...bitmaps: MappedNode['bitmaps']): MappedNode => ({
    'node-name': node,
    alias,
    bitmaps,
  });

  test('only node names count; aliases are sent; unmapped ones are left out', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G, device: 'drive0' });
    disk.create(bitmap);
    disk.create({ name: 'unmapped', granularity: G });
    graph.addNode({ name: 'other', size: G }).create(bitmap).busy = true;
    const mapping = new BlockBitmapMapping([entry('disk', 'A', { name: 'b', alias: 'B' })]);
    expect(planned(graph, { mapping })).toEqual({
      sent: ['A/B'],
      leftOut: ['bitmap-not-mapped', 'node-not-mapped'],
      refused: [],
    });
  });

  test('an unmapped bitmap of a mapped node is checked all the same, as QEMU does, unless what is unfit is skipped', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    disk.create(bitmap);
    disk.create({ name: 'unmapped', granularity: G }).busy = true;
    const mapping = new BlockBitmapMapping([entry('disk', 'A', { name: 'b', alias: 'B' })]);
    expect(planned(graph, { mapping })).toEqual({ sent: ['A/B'], leftOut: [], refused: ['bitmap-busy'] });
    const skipped = planned(graph, { mapping, skipUnfit: true });
    expect(skipped).toEqual({ sent: ['A/B'], leftOut: ['bitmap-not-mapped'], refused: [] });
  });

  test('an automatic node name may be mapped, a long bitmap name be sent by a short alias', () => {
    const graph = new MemoryGraph();
    const name = 'x'.repeat(1023);
    graph.addNode({ name: '#block1', size: G }).create({ name, granularity: G });
    const mapping = new BlockBitmapMapping([entry('#block1', 'A', { name, alias: 'short' })]);
    expect(planned(graph, { mapping }).sent).toEqual(['A/short']);
  });

  test('an empty mapping sends nothing', () => {
    const graph = new MemoryGraph();
    graph.addNode({ name: 'disk', size: G }).create(bitmap);
    expect(planned(graph, { mapping: new BlockBitmapMapping([]) }).sent).toEqual([]);
  });

  test('transform.persistent wins over the bitmap', () => {
    const graph = new MemoryGraph();
    const disk = graph.addNode({ name: 'disk', size: G });
    for (const persistent of [true, false]) disk.create({ name: `${persistent}`, granularity: G, persistent });
    const mapped = (name: string, persistent?: boolean): MappedNode['bitmaps'][number] =>
      persistent === undefined ? { name, alias: name } : { name, alias: name, transform: { persistent } };
    const flags = (turn: boolean | undefined): number[] => {
      const mapping = new BlockBitmapMapping([entry('disk', 'A', mapped('true', turn), mapped('false', turn))]);
      return planSource(graph, { mapping }).bitmaps.map(({ startFlags }) => startFlags);
    };
    expect(flags(undefined)).toEqual([1, 3]);
    expect(flags(true)).toEqual([3, 3]);
    expect(flags(false)).toEqual([1, 1]);
  });

  test.each([
    ['a node alias that begins with a digit', [entry('n', '1a')]],
    ['a node alias with a space', [entry('n', 'a b')]],
    ['an empty node alias', [entry('n', '')]],
    ['a node alias of 256 bytes', [entry('n', 'a'.repeat(256))]],
    ['a node name of 32 bytes', [entry('n'.repeat(32), 'a')]],
    ['a node twice', [entry('n', 'a'), entry('n', 'b')]],
    ['a node alias twice', [entry('n', 'a'), entry('m', 'a')]],
    ['a bitmap twice', [entry('n', 'a', { name: 'b', alias: 'x' }, { name: 'b', alias: 'y' })]],
    ['a bitmap alias twice', [entry('n', 'a', { name: 'b', alias: 'x' }, { name: 'c', alias: 'x' })]],
    ['a bitmap alias of 256 bytes', [entry('n', 'a', { name: 'b', alias: 'x'.repeat(256) })]],
    ['a bitmap name of 1024 bytes', [entry('n', 'a', { name: 'b'.repeat(1024), alias: 'x' })]],
  ])('not well-formed: %s', (_, nodes) => {
    expect(codeOf(() => new BlockBitmapMapping(nodes))).toBe('mapping-invalid');
  });

  test.each([
    ['the longest names', [entry('n'.repeat(31), 'a'.repeat(255), { name: 'b'.repeat(1023), alias: 'x'.repeat(255) })]],
    [
      'any bytes in a bitmap alias, even none',
      [entry('n', 'A-._9', { name: 'b', alias: '' }, { name: 'c', alias: '# \n' })],
    ],
    [
      'one bitmap name on two nodes',
      [entry('n', 'a', { name: 'b', alias: 'x' }), entry('m', 'b', { name: 'b', alias: 'x' })],
    ],
  ])('well-formed: %s', (_, nodes) => {
    expect(codeOf(() => new BlockBitmapMapping(nodes))).toBeUndefined();
  });
});
