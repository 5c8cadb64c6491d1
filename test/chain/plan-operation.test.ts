import { describe, expect, it } from 'vitest';
import type { NodeFacts } from '../../src/chain/node-bitmaps.js';
import { type Operation, planBefore, planOperation } from '../../src/chain/plan-operation.js';

const CHAIN = ['top', 'mid', 'base'];
const bitmap = (name: string) => ({
  ...{ name, granularity: 65_536, recording: true, persistent: true, busy: false, inconsistent: false },
});

function nodes(...more: readonly NodeFacts[]): Map<string, NodeFacts> {
  const own = CHAIN.map((node) => ({ node, bitmaps: [bitmap('b')], format: 'qcow2', readOnly: node !== 'top' }));
  return new Map([...own, ...more].map((facts) => [facts.node, facts]));
}

const mirror = (...names: string[]): NodeFacts => ({ node: 'mirror', format: 'qcow2', bitmaps: names.map(bitmap) });
const TEMP = 'libvirt-tmp-activewrite';

/** The plan in short: `+node/name`, `-node/name`, `node/name=sources`. */
function short(operation: Operation, given = nodes(mirror(TEMP))): object {
  const { actions, reopen, before, after, problems } = planOperation(CHAIN, given, operation);
  const text = (all: typeof actions): string[] =>
    all.map(({ type, data }) => {
      if (type === 'block-dirty-bitmap-merge') {
        return `${data.node}/${data.target}=${data.bitmaps.map(({ node, name }) => `${node}/${name}`).join('+')}`;
      }
      if (type === 'blockdev-snapshot') return `${data.overlay}>${data.node}`;
      return `${type.endsWith('add') ? '+' : '-'}${data.node}/${data.name}`;
    });
  const codes = problems.map(({ code }) => code);
  return { actions: text(actions), reopen, before: text(before), after: text(after), problems: codes };
}

const PLAIN = { reopen: [], before: [], after: [], problems: [] };

describe('planOperation', () => {
  it('copy: all layers, or the active one alone', () => {
    const all = `mirror/b=top/b+mid/b+base/b+mirror/${TEMP}`;
    const copied = (merge: string): object => ({
      ...PLAIN,
      actions: ['+mirror/b', merge, `-mirror/${TEMP}`],
    });
    expect(short({ kind: 'copy', mirror: 'mirror' })).toEqual(copied(all));
    expect(short({ kind: 'copy', mirror: 'mirror', shallow: true })).toEqual(copied(`mirror/b=top/b+mirror/${TEMP}`));
    expect(short({ kind: 'copy', mirror: 'mirror' }, nodes(mirror()))).toMatchObject({
      before: [`+mirror/${TEMP}`],
      problems: ['missing'],
    });
  });

  it.each([
    [{ busy: true }, 'busy'],
    [{ inconsistent: true }, 'missing'],
    [{ recording: false }, 'missing'],
  ])('copy: a temporary bitmap that is %j has not all writes, or cannot be removed', (state, problem) => {
    const given = nodes({ ...mirror(), bitmaps: [{ ...bitmap(TEMP), ...state }] });
    expect(short({ kind: 'copy', mirror: 'mirror' }, given)).toMatchObject({ problems: [problem] });
  });

  it('commit: the temporary bitmap is merged, and so is not told as left out', () => {
    const base = { node: 'base', format: 'qcow2', readOnly: false, bitmaps: [bitmap('b'), bitmap(TEMP)] };
    expect(planOperation(CHAIN, nodes(base), { kind: 'commit', top: 'top', base: 'base' }).skipped).toEqual([]);
  });

  it('snapshot: onto an overlay that can keep bitmaps, and is not the top', () => {
    const onto = (facts: Partial<NodeFacts>): object =>
      short({ kind: 'snapshot', overlay: 'mirror' }, nodes({ ...mirror(), ...facts }));
    expect(onto({})).toEqual({ ...PLAIN, actions: ['+mirror/b', 'mirror>top'] });
    expect(onto({ readOnly: true })).toMatchObject({ problems: ['read-only'] });
    expect(onto({ format: 'raw' })).toMatchObject({ problems: ['no-bitmaps'] });
    expect(onto({ qcow2Compat: '0.10' })).toMatchObject({ problems: ['no-bitmaps'] });
    expect(short({ kind: 'snapshot', overlay: 'top' })).toMatchObject({
      problems: expect.arrayContaining(['argument']),
    });
  });

  it.each(['', 'é'.repeat(512)])('backup: into a name that QEMU has not', (into) => {
    expect(short({ kind: 'backup', bitmap: 'b', into })).toMatchObject({ actions: [], problems: ['argument'] });
  });

  it('delete: a node that is named twice loses its bitmap once', () => {
    const { actions } = planOperation(['top', 'top'], nodes(), { kind: 'delete', bitmap: 'b' });
    expect(actions).toHaveLength(1);
  });

  it('commit: of the active layer with the temporary bitmap, of others with a base that is reopened', () => {
    const base = { node: 'base', format: 'qcow2', readOnly: false, bitmaps: [bitmap('b'), bitmap(TEMP)] };
    expect(short({ kind: 'commit', top: 'top', base: 'base' }, nodes(base))).toEqual({
      ...PLAIN,
      actions: [`base/b=top/b+mid/b+base/${TEMP}`, `-base/${TEMP}`],
    });
    expect(short({ kind: 'commit', top: 'mid', base: 'base' })).toEqual({
      ...PLAIN,
      actions: ['base/b=mid/b'],
      reopen: ['base'],
    });
    const open = { node: 'base', format: 'qcow2', readOnly: false, bitmaps: [bitmap('b')] };
    expect(short({ kind: 'commit', top: 'mid', base: 'base' }, nodes(open))).toMatchObject({ reopen: [] });
    expect(short({ kind: 'commit', top: 'base', base: 'mid' })).toMatchObject({ actions: [], problems: ['argument'] });
  });

  it('pull: into the active layer', () => {
    expect(short({ kind: 'pull' })).toEqual({ ...PLAIN, actions: ['top/b=top/b+mid/b+base/b'] });
    expect(short({ kind: 'pull', base: 'base' })).toEqual({ ...PLAIN, actions: ['top/b=top/b+mid/b'] });
  });

  it('backup: a bitmap for the job, which goes after a push and with its node after a pull', () => {
    const push = { kind: 'backup', bitmap: 'b', into: 'x' } as const;
    expect(short(push)).toEqual({
      ...PLAIN,
      actions: ['+top/x', 'top/x=top/b+mid/b+base/b'],
      after: ['-top/x'],
    });
    expect(short({ ...push, scratch: 'mirror' })).toEqual({
      ...PLAIN,
      actions: ['+mirror/x', 'mirror/x=top/b+mid/b+base/b'],
    });
    expect(short({ ...push, bitmap: 'nope' })).toMatchObject({ actions: [], problems: ['missing'] });
  });

  it('delete: reopens what is read-only', () => {
    expect(short({ kind: 'delete', bitmap: 'b' })).toEqual({
      ...PLAIN,
      actions: ['-top/b', '-mid/b', '-base/b'],
      reopen: ['base', 'mid'],
    });
  });

  it('snapshot: the overlay comes on top in the same transaction', () => {
    expect(short({ kind: 'snapshot', overlay: 'mirror' }, nodes(mirror()))).toEqual({
      ...PLAIN,
      actions: ['+mirror/b', 'mirror>top'],
    });
    expect(short({ kind: 'snapshot', overlay: 'nope' })).toMatchObject({ problems: ['missing'] });
  });
});

describe('planBefore', () => {
  const prepared = (operation: Operation, given = nodes(mirror())): object => {
    const { actions, problems } = planBefore(CHAIN, given, operation);
    return [actions.length, problems.map(({ code }) => code)];
  };

  it('makes the temporary bitmap, once, and only where it is needed', () => {
    expect(prepared({ kind: 'copy', mirror: 'mirror' })).toEqual([1, []]);
    expect(prepared({ kind: 'copy', mirror: 'mirror' }, nodes(mirror(TEMP)))).toEqual([1, ['exists']]);
    expect(prepared({ kind: 'copy', mirror: 'nope' })).toEqual([1, ['missing']]);
    expect(prepared({ kind: 'commit', top: 'mid', base: 'base' })).toEqual([0, []]);
    expect(prepared({ kind: 'commit', top: 'top', base: 'top' })).toEqual([0, ['argument']]);
  });
});
