import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { liveChain } from '../../src/chain/live-chain.js';
import { type LiveAnswers, parseLiveState } from '../../src/chain/live-nodes.js';
import { operationChain } from '../../src/chain/operation-chain.js';
import { DirtyBitmapError } from '../../src/errors.js';

interface Made {
  readonly name: string;
  readonly drv?: string;
  readonly file?: string;
  /** Children by name. */
  readonly links?: Readonly<Record<string, string>>;
  readonly backingFile?: string;
  readonly bitmaps?: readonly object[];
}

/** What a QEMU answers: with `children` as 10.1 does, with a block graph as 4.0 to 10.0, or with neither. */
function answers(nodes: readonly Made[], how: 'children' | 'graph' | 'names', drives: unknown = []): LiveAnswers {
  const list = nodes.map(({ name, drv = 'qcow2', file = name, links = {}, backingFile, bitmaps }) => ({
    'node-name': name,
    drv,
    ro: false,
    image: { filename: file, 'virtual-size': 1_048_576 },
    ...(backingFile !== undefined && { backing_file: backingFile }),
    ...(bitmaps && { 'dirty-bitmaps': bitmaps }),
    ...(how === 'children' && {
      children: Object.entries(links).map(([child, node]) => ({ child, 'node-name': node })),
    }),
  }));
  if (how !== 'graph') return { nodes: list, drives };
  const id = (name: string): number => nodes.findIndex((node) => node.name === name) + 10;
  const graph = {
    nodes: [
      { id: 1, type: 'block-backend', name: 'vd0' },
      ...nodes.map(({ name }) => ({ id: id(name), type: 'block-driver', name })),
    ],
    edges: [
      { parent: 1, child: 10, name: 'root', perm: [], 'shared-perm': [] },
      ...nodes.flatMap(({ name, links = {} }) =>
        Object.entries(links).map(([child, node]) => ({ parent: id(name), child: id(node), name: child })),
      ),
    ],
  };
  return { nodes: list, graph, drives };
}

const CHAIN: readonly Made[] = [
  { name: '#block1', drv: 'mirror_top', links: { backing: 'top' } },
  { name: 'top', links: { file: 'f', backing: 'cor' }, backingFile: 'mid' },
  { name: 'f', drv: 'file', file: 'top' },
  { name: 'cor', drv: 'copy-on-read', links: { file: 'mid' } },
  {
    name: 'mid',
    links: { backing: 'base' },
    backingFile: 'base',
    bitmaps: [{ name: 'b', count: 512, granularity: 512 }],
  },
  { name: 'base', drv: 'raw' },
];

const names = (start: string, given: LiveAnswers): readonly string[] =>
  liveChain(start, parseLiveState(given)).layers.map(({ node }) => node);

describe('liveChain', () => {
  it.each(['children', 'graph'] as const)('follows links from %s, and steps over filters', (how) => {
    const chain = liveChain('#block1', parseLiveState(answers(CHAIN, how)));
    expect(chain).toMatchObject({ end: 'terminated', linkSource: how });
    expect(chain.layers).toMatchObject([
      { node: 'top', filters: ['#block1'], format: 'qcow2', path: 'top', virtualSize: 1_048_576 },
      { node: 'mid', filters: ['cor'], bitmaps: [{ name: 'b', count: 512, recording: false }] },
      { node: 'base', filters: [], format: 'raw' },
    ]);
  });

  it('takes file names where there is nothing else, as long as they are unambiguous', () => {
    const plain: readonly Made[] = [
      { name: 'a', file: '/a', backingFile: '/b' },
      { name: 'b', file: '/b', backingFile: '/c' },
      { name: 'bfile', drv: 'file', file: '/b' },
      { name: 'c', file: '/c' },
    ];
    expect(names('a', answers(plain, 'names'))).toEqual(['a', 'b', 'c']);
    const again = [...plain, { name: 'c2', file: '/c' }];
    expect(() => names('a', answers(again, 'names'))).toThrow(/several nodes have \(c, c2\).*--chain/);
    expect(() => names('a', answers(plain.slice(0, 3), 'names'))).toThrow(/no node has.*--chain/);
    expect(() => names('cor', answers(CHAIN, 'names'))).toThrow(/does not tell what is below.*--chain/);
  });

  it('begins at a drive or a device too', () => {
    const drives = [
      { device: 'ide0', qdev: '/machine/x/vd0', inserted: { 'node-name': 'mid' } },
      { device: 'empty', qdev: 'cd' },
    ];
    const given = answers(CHAIN, 'graph', drives);
    expect(names('ide0', given)).toEqual(['mid', 'base']);
    expect(names('/machine/x/vd0', given)).toEqual(['mid', 'base']);
    expect(() => names('empty', given)).toThrow(/no node, drive or device "empty"; it has ide0 \(node mid\)/);
    expect(() => names('x', answers(CHAIN, 'graph'))).toThrow(/it has top, f, cor, mid, base/);
  });

  it('ends at what cannot be', () => {
    const loop = [
      { name: 'a', links: { backing: 'b' } },
      { name: 'b', links: { backing: 'a' } },
    ];
    expect(() => names('a', answers(loop, 'children'))).toThrow(/"a" is below itself: a, b/);
    expect(() => names('a', answers([{ name: 'a', links: { backing: 'z' } }], 'children'))).toThrow(/"z"/);
    expect(() => names('q', answers([{ name: 'q', drv: 'quorum' }], 'graph'))).toThrow(/several children/);
    const state = parseLiveState(answers(CHAIN, 'graph'));
    expect(() => liveChain('top', state, { maxChainDepth: 2 })).toThrow(/more than 2 nodes/);
    expect(() => parseLiveState({ nodes: [{ 'node-name': 'a' }], graph: { nodes: 1 } })).toThrow(/expected an array/);
  });
});

describe('parseLiveState', () => {
  it('refuses what is no answer, with an error of ours', () => {
    const name = fc.constantFrom('a', 'b');
    const node = fc.record(
      {
        'node-name': name,
        drv: fc.constantFrom('qcow2', 'mirror_top'),
        backing_file: name,
        image: fc.oneof(fc.record({ filename: name }), fc.jsonValue()),
        children: fc.oneof(fc.array(fc.record({ child: fc.constant('backing'), 'node-name': name })), fc.jsonValue()),
        'dirty-bitmaps': fc.jsonValue(),
      },
      { requiredKeys: ['node-name'] },
    );
    const nodes = fc.oneof(fc.array(node, { maxLength: 3 }), fc.jsonValue());
    fc.assert(
      fc.property(nodes, fc.option(fc.jsonValue(), { nil: undefined }), fc.jsonValue(), (list, graph, drives) => {
        try {
          liveChain('a', parseLiveState({ nodes: list, graph, drives }));
        } catch (error) {
          expect(error).toBeInstanceOf(DirtyBitmapError);
        }
      }),
    );
  });
});

describe('operationChain', () => {
  it('puts back the layers that a commit has taken out', () => {
    const after: readonly Made[] = [
      { name: 'top', links: { backing: 'x' } },
      { name: 'x', links: { backing: 'base' } },
      { name: 'mid', links: { backing: 'base' } },
      { name: 'base' },
    ];
    const state = parseLiveState(answers(after, 'children'));
    const chain = (top: string): readonly string[] =>
      operationChain('top', { kind: 'commit', top, base: 'base' }, state);
    expect(chain('mid')).toEqual(['top', 'x', 'mid', 'base']);
    expect(chain('top')).toEqual(['top', 'x', 'base']);
    expect(operationChain('top', { kind: 'pull' }, state)).toEqual(['top', 'x', 'base']);
  });
});
