import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeBitmap, NodeFacts, Nodes } from '../../src/chain/node-bitmaps.js';
import { type MergeArguments, planMerge, WRITE_BITMAP } from '../../src/chain/plan-merge.js';
import { planSnapshot } from '../../src/chain/plan-snapshot.js';
import { VECTORS } from '../support/vectors.js';
import { judgeMergeFolder } from './merge-cases.js';

const bitmap = (name: string, more: Partial<NodeBitmap> = {}): NodeBitmap => ({
  ...{ name, granularity: 65_536, recording: true, persistent: true, busy: false, inconsistent: false },
  ...more,
});
const nodes = (...facts: NodeFacts[]): Nodes => new Map(facts.map((one) => [one.node, one]));

describe('the cases of libvirt, and those that pin what it leaves open', () => {
  for (const [name, problem] of judgeMergeFolder(join(VECTORS, 'merge'))) {
    it(name, () => expect(problem).toBeUndefined());
  }
});

describe('what libvirt does not say', () => {
  const chain = ['top', 'mid', 'base'];
  const world = nodes(
    { node: 'top', bitmaps: [bitmap('a'), bitmap('b'), bitmap('off', { recording: false })], virtualSize: 1024 },
    { node: 'mid', bitmaps: [bitmap('a'), bitmap('deep')], virtualSize: 1024 },
    { node: 'base', bitmaps: [bitmap('a'), bitmap('b')], virtualSize: 1024 },
    { node: 'mirror', bitmaps: [], virtualSize: 1024, format: 'qcow2', qcow2Compat: '1.1', readOnly: false },
  );
  const plan = (given: Partial<MergeArguments>, in_: Nodes = world): ReturnType<typeof planMerge> =>
    planMerge(chain, in_, { top: 'top', target: 'mirror', ...given });

  it('gives a reason for every bitmap that is left out', () => {
    expect(plan({}).skipped).toEqual([
      { name: 'b', node: 'base', reason: expect.stringContaining('below a layer that does not') },
      { name: 'off', node: 'top', reason: 'it does not record on top' },
      { name: 'deep', node: 'mid', reason: expect.stringContaining('only layers below top have it') },
    ]);
    expect(plan({ bitmap: 'a' }).skipped.map(({ name, reason }) => `${name}: ${reason}`)).toContain(
      'b: it was not asked for',
    );
    expect(plan({ bitmap: 'nope' }).skipped).toContainEqual({
      ...{ name: 'nope', node: 'top', reason: 'no layer of the chain has it' },
    });
  });

  it.each<[string, Partial<MergeArguments>]>([
    ['a top that is not in the chain', { top: 'nope' }],
    ['a base that is not below the top', { top: 'mid', base: 'top' }],
    ['a base that is not in the chain', { base: 'nope' }],
    ['a base that is the top', { base: 'top' }],
    ['another name without a bitmap', { into: 'x' }],
  ])('refuses %s, and plans nothing', (_, given) => {
    const { actions, problems } = plan(given);
    expect([actions, problems.map(({ code }) => code)]).toEqual([[], ['argument']]);
  });

  it.each<[string, string, Partial<MergeArguments>, NodeFacts]>([
    ['a busy source', 'busy', {}, { node: 'mid', bitmaps: [bitmap('a', { busy: true })] }],
    ['disks of several sizes', 'size-differs', {}, { node: 'mid', bitmaps: [bitmap('a')], virtualSize: 2048 }],
    ['a target of another size', 'size-differs', {}, { node: 'mirror', bitmaps: [], virtualSize: 2048 }],
    ['a target that is read-only', 'read-only', {}, { node: 'mirror', bitmaps: [], readOnly: true }],
    ['a target that holds none', 'no-bitmaps', {}, { node: 'mirror', bitmaps: [], format: 'raw' }],
    ['a target of version 2', 'no-bitmaps', {}, { node: 'mirror', bitmaps: [], format: 'qcow2', qcow2Compat: '0.10' }],
    ['a name that is taken', 'exists', { bitmap: 'a', into: 'x' }, { node: 'mirror', bitmaps: [bitmap('x')] }],
    ['a target whose own is broken', 'missing', {}, { node: 'mirror', bitmaps: [bitmap('a', { inconsistent: true })] }],
    ['a write node without its bitmap', 'missing', { writeNode: 'mirror' }, { node: 'other', bitmaps: [] }],
    ['a target that QEMU does not know', 'missing', { target: 'nope' }, { node: 'other', bitmaps: [] }],
  ])('says that QEMU would refuse %s', (_, code, given, facts) => {
    const { problems, actions } = plan(given, new Map([...world, [facts.node, facts]]));
    expect(problems.map((problem) => problem.code)).toContain(code);
    expect(actions.length).toBeGreaterThan(0);
  });

  it('has no problem where there is none', () => {
    expect(plan({ bitmap: 'a' }).problems).toEqual([]);
    expect(plan({ bitmap: 'a', into: 'x' }).problems).toEqual([]);
  });

  it('a snapshot keeps the runs unbroken', () => {
    const { actions, skipped } = planSnapshot('top', 'overlay', world);
    expect(actions.map(({ type, data }) => [type, JSON.stringify(data)])).toEqual(
      ['a', 'b'].map((name) => [
        'block-dirty-bitmap-add',
        JSON.stringify({ node: 'overlay', name, persistent: true, disabled: false, granularity: 65_536 }),
      ]),
    );
    expect(skipped).toMatchObject([{ name: 'off', node: 'top' }]);
  });
});

describe('properties', () => {
  const names = fc.constantFrom('a', 'b', 'c');
  const bitmaps = fc.uniqueArray(
    fc.record({
      name: names,
      granularity: fc.constantFrom(undefined, 512, 65_536),
      recording: fc.boolean(),
      persistent: fc.boolean(),
      busy: fc.boolean(),
      inconsistent: fc.boolean(),
    }),
    { selector: ({ name }) => name },
  );
  const layers = ['n0', 'n1', 'n2', 'n3'];
  const world = fc.tuple(bitmaps, bitmaps, bitmaps, bitmaps, bitmaps);

  it('every bitmap of the top is merged or has a reason; nothing is merged that does not record everywhere', () => {
    fc.assert(
      fc.property(world, fc.boolean(), (lists, write) => {
        const facts = [...layers, 'target'].map((node, at): NodeFacts => ({ node, bitmaps: lists[at] ?? [] }));
        const known = nodes(...facts);
        const { actions, skipped } = planMerge(layers, known, {
          ...{ top: 'n0', target: 'target', writeNode: write ? 'target' : undefined },
        });
        const merged = actions.flatMap((action) => (action.type === 'block-dirty-bitmap-merge' ? [action.data] : []));
        const told = [...merged.map(({ target }) => target), ...skipped.map(({ name }) => name)];
        expect(new Set(told)).toEqual(new Set(facts.slice(0, 4).flatMap((one) => one.bitmaps.map(({ name }) => name))));
        expect(told.length).toBe(new Set(told).size);
        for (const { bitmaps: sources, target } of merged) {
          const run = sources.filter(({ name }) => name !== WRITE_BITMAP).map(({ node }) => node);
          expect(run).toEqual(layers.slice(0, run.length));
          for (const node of run) {
            const own = known.get(node)?.bitmaps.find(({ name }) => name === target);
            expect(own).toMatchObject({ recording: true, persistent: true, inconsistent: false });
          }
          expect(sources.some(({ name }) => name === WRITE_BITMAP)).toBe(write);
        }
        expect(actions.at(-1)?.type === 'block-dirty-bitmap-remove').toBe(write);
      }),
    );
  });
});
