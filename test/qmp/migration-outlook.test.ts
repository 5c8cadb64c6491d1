import { describe, expect, it } from 'vitest';
import { isDirtyBitmapError } from '../../src/errors.js';
import { type MigrationOutlook, migrationOutlook } from '../../src/qmp/migration-outlook.js';
import { type MigrationAnswers, parseMigrationSide } from '../../src/qmp/migration-side.js';
import { answers, GONE, release, toldNode, waiting } from '../support/migration-answers.js';

const G = 2 ** 30;

const outlook = (source: MigrationAnswers, destination?: MigrationAnswers): MigrationOutlook =>
  migrationOutlook(parseMigrationSide(source), destination && parseMigrationSide(destination));
const verdicts = ({ bitmaps }: MigrationOutlook): string[] =>
  bitmaps.map(({ node, name, verdict, code }) => `${node}/${name} ${verdict} ${code ?? ''}`.trim());
const codes = ({ findings }: MigrationOutlook): string[] => findings.map(({ code }) => code);

describe('migrationOutlook: the source', () => {
  it('tells what is blocked, and what is left out', () => {
    const nodes = [
      toldNode('disk0', G, [{}, { name: 'void', inconsistent: true }, { name: 'used', busy: true }]),
      toldNode('frozen', G, [{ persistent: true }, { name: 'scratch' }], { ro: true }),
      toldNode('#block7', G, [{}]),
    ];
    const found = outlook(answers(nodes));
    expect(verdicts(found)).toEqual([
      'frozen/scratch fine',
      'disk0/b0 fine',
      '#block7/b0 blocked node-unnamed',
      'frozen/b0 blocked bitmap-readonly',
      'disk0/void blocked bitmap-inconsistent',
      'disk0/used blocked bitmap-busy',
    ]);
    expect(found.ok).toBe(false);
  });

  it('a bitmap that the migration keeps busy is not blocked by that', () => {
    const nodes = [toldNode('disk0', G, [{ busy: true }])];
    expect(verdicts(outlook(answers(nodes, { migration: { status: 'active' } })))).toEqual(['disk0/b0 fine']);
  });

  it('names drives, through filters', () => {
    const nodes = [
      toldNode('throttled', G, [], { drv: 'throttle', children: [{ child: 'file', 'node-name': 'disk0' }] }),
      toldNode('disk0', G, [{}]),
    ];
    const drives = [
      { device: 'drive0', inserted: { 'node-name': 'throttled' } },
      { device: 'empty' },
      { device: '', qdev: 'virtio0', inserted: { 'node-name': 'disk0' } },
      { device: 'broken', inserted: 7 },
    ];
    const [found] = outlook(answers(nodes, { drives })).bitmaps;
    expect(found).toMatchObject({ node: 'disk0', nodeAlias: 'drive0', alias: 'b0', granules: 16_384 });
  });

  it('filters in a circle are no endless walk', () => {
    const filter = (node: string, below: string): object =>
      toldNode(node, G, [{}], { drv: 'throttle', children: [{ child: 'file', 'node-name': below }] });
    const nodes = [filter('a', 'b'), filter('b', 'a'), filter('self', 'self')];
    expect(outlook(answers(nodes)).bitmaps).toHaveLength(3);
  });

  it('goes by the mapping', () => {
    const mapping = [{ 'node-name': 'disk0', alias: 'd', bitmaps: [{ name: 'b0', alias: 'monday' }] }];
    const nodes = [toldNode('disk0', G, [{}, { name: 'b1' }]), toldNode('disk1', G, [{}])];
    const found = outlook(answers(nodes, { parameters: { 'block-bitmap-mapping': mapping } }));
    expect(verdicts(found)).toEqual([
      'disk0/b0 fine',
      'disk1/b0 left-out node-not-mapped',
      'disk0/b1 left-out bitmap-not-mapped',
    ]);
    expect(found.bitmaps[0]).toMatchObject({ nodeAlias: 'd', alias: 'monday' });
  });

  it('without the capability nothing migrates', () => {
    const off = { capabilities: [{ capability: 'dirty-bitmaps', state: false }] };
    const found = outlook(answers([toldNode('disk0', 2 ** 40, [{}])], off));
    expect(verdicts(found)).toEqual(['disk0/b0 left-out migration-capability']);
    expect([codes(found), found.stall.verdict, found.ok]).toEqual([['migration-capability'], 'no', false]);
  });

  it('without bitmaps a later try takes none either', () => {
    expect(codes(outlook(answers([])))).toEqual(['migration-without-bitmaps']);
  });

  it('after one that was cancelled, persistent bitmaps may come as transient', () => {
    const source = answers([toldNode('disk0', G, [{ persistent: true }])], { migration: { status: 'cancelled' } });
    expect(codes(outlook(source))).toEqual(['migration-tried-before', 'migration-retry']);
  });

  it('a mapping that says what is persistent cures that, at either end', () => {
    const bitmaps = [{ name: 'b0', alias: 'b0', transform: { persistent: true } }];
    const parameters = { 'block-bitmap-mapping': [{ 'node-name': 'disk0', alias: 'disk0', bitmaps }] };
    const disk = [toldNode('disk0', G, [{ persistent: true }])];
    const migration = { status: 'cancelled' };
    expect(codes(outlook(answers(disk, { migration, parameters })))).toEqual(['migration-tried-before']);
    const found = outlook(answers(disk, { migration }), waiting([toldNode('disk0', G, [])], { parameters }));
    expect(codes(found)).toEqual(['migration-tried-before']);
  });

  it.each([
    ['failed', 'running', ['migration-tried-before']],
    ['completed', 'running', ['migration-tried-before']],
    ['completed', 'paused', ['migration-tried-before']],
    ['completed', 'postmigrate', []],
    ['active', 'running', []],
    ['none', 'running', []],
  ])('%s while %s: an earlier try may have been without bitmaps', (status, runState, expected) => {
    const source = answers([toldNode('disk0', G, [{}])], { migration: { status }, status: { status: runState } });
    const found = outlook(source);
    expect([codes(found), found.ok]).toEqual([expected, true]);
  });

  it('an empty alias is blocked: the destination cannot read it', () => {
    const mapping = [{ 'node-name': 'disk0', alias: 'd', bitmaps: [{ name: 'b0', alias: '' }] }];
    const found = outlook(answers([toldNode('disk0', G, [{}])], { parameters: { 'block-bitmap-mapping': mapping } }));
    expect(verdicts(found)).toEqual(['disk0/b0 blocked name-empty']);
  });

  it.each([
    [2 ** 28, 2 ** 41, release(7, 2), 'blocked source-loops'],
    [2 ** 28, 2 ** 41, release(11, 1), 'blocked source-loops'],
    [2 ** 28, 2 ** 41 - 512, release(7, 2), 'fine'],
    [2 ** 27, 2 ** 45, release(7, 2), 'fine'],
    [2 ** 19, G, release(5, 1), 'blocked source-loops'],
    [2 ** 19, G, release(5, 2), 'fine'],
    [65_536, 0, release(7, 2), 'blocked disk-empty'],
  ])('granularity %i, %i bytes of disk, %j: %s', (granularity, size, version, verdict) => {
    const found = outlook(answers([toldNode('disk0', size, [{ granularity }])], { version }));
    expect(verdicts(found)).toEqual([`disk0/b0 ${verdict}`]);
  });
});

describe('migrationOutlook: the destination', () => {
  const there = (size: number, more: object = {}): MigrationAnswers => waiting([toldNode('disk0', size, [], more)]);

  it('a node that is missing, an alias that is not mapped', () => {
    const source = answers([toldNode('disk0', G, [{}])]);
    expect(verdicts(outlook(source, waiting([])))).toEqual(['disk0/b0 lost node-not-found']);
    const mapping = [{ 'node-name': 'disk0', alias: 'd', bitmaps: [] }];
    const found = outlook(
      source,
      waiting([toldNode('disk0', G, [])], { parameters: { 'block-bitmap-mapping': mapping } }),
    );
    expect([verdicts(found), codes(found)]).toEqual([['disk0/b0 lost alias-unknown'], ['migration-mapping']]);
  });

  it('a bitmap that is there already; not while it comes', () => {
    const nodes = [toldNode('disk0', G, [{}])];
    expect(verdicts(outlook(answers(nodes), waiting(nodes)))).toEqual(['disk0/b0 blocked bitmap-exists']);
    const migration = { status: 'active' };
    expect(verdicts(outlook(answers(nodes, { migration }), waiting(nodes, { migration })))).toEqual(['disk0/b0 fine']);
  });

  it('a bitmap that its image has stored; one that is in use is that of the source', () => {
    const image = (...flags: string[]): object => ({
      image: {
        'virtual-size': G,
        'format-specific': { data: { bitmaps: [{ name: 'b0', granularity: 65_536, flags }] } },
      },
    });
    const found = (more: object, destination = waiting): string[] =>
      verdicts(outlook(answers([toldNode('disk0', G, [{}])]), destination([toldNode('disk0', G, [], more)])));
    expect(found(image('auto'))).toEqual(['disk0/b0 blocked bitmap-stored']);
    expect(found(image('auto', 'in-use'))).toEqual(['disk0/b0 fine']);
    // What runs has loaded it.
    expect(found(image('auto'), answers)).toEqual(['disk0/b0 fine']);
  });

  it('one that does not wait, or could not open its image again', () => {
    const nodes = [toldNode('disk0', G, [])];
    const source = answers([toldNode('disk0', G, [{}])]);
    expect(codes(outlook(source, answers(nodes)))).toEqual(['migration-not-waiting']);
    const gone = answers([toldNode('disk0', G, [{}])], GONE);
    expect(codes(outlook(gone, answers(nodes)))).toEqual([]);
    const found = outlook(gone, waiting([], { ejected: 'Block device disk0 is ejected' }));
    expect([codes(found), verdicts(found)]).toEqual([['migration-not-waiting'], ['disk0/b0 fine']]);
  });

  it('judged as it is, where the source has not begun: completed is an earlier one', () => {
    const nodes = [toldNode('disk0', G, [{}])];
    const found = outlook(answers(nodes), waiting(nodes, { migration: { status: 'completed' } }));
    expect(verdicts(found)).toEqual(['disk0/b0 blocked bitmap-exists']);
  });

  it.each([
    [release(10, 0), undefined, release(7, 2), true],
    [release(11, 1), 'Globals:\n  send-switchover-start: on\n', release(9, 2), true],
    [release(11, 1), 'Globals:\n  send-switchover-start: off\n', release(9, 2), false],
    [release(10, 0), 'send-switchover-start: on\r\n', release(10, 0), false],
    [release(9, 2), undefined, release(7, 2), false],
  ])('SWITCHOVER_START of %j, %j, to %j: %s', (version, globals, there, expected) => {
    const source = answers([toldNode('disk0', G, [{}])], { version, globals });
    const found = outlook(source, waiting([toldNode('disk0', G, [])], { version: there }));
    expect(codes(found)).toEqual(expected ? ['migration-switchover-start'] : []);
  });

  it('with the capability off, what both see in one image is handed over in it', () => {
    const off = { capabilities: [{ capability: 'dirty-bitmaps', state: false }] };
    const data = { bitmaps: [{ name: 'b0', granularity: 65_536, flags: ['in-use', 'auto'] }] };
    const more = { image: { 'virtual-size': G, 'format-specific': { data } } };
    const drives = [{ device: 'drive0', inserted: { 'node-name': 'other' } }];
    const here = [{ device: 'drive0', inserted: { 'node-name': 'disk0' } }];
    const found = (...bitmaps: object[]): MigrationOutlook =>
      outlook(
        answers([toldNode('disk0', G, bitmaps)], { ...off, drives: here }),
        waiting([toldNode('other', G, [], more)], { ...off, drives }),
      );
    // One that is not in the image yet is stored there when the source ends.
    const both = found({ persistent: true }, { persistent: true, name: 'new' });
    expect([verdicts(both), codes(both), both.ok]).toEqual([
      ['disk0/b0 fine handed-over-in-image', 'disk0/new fine handed-over-in-image'],
      [],
      true,
    ]);
    const one = found({ persistent: true }, { name: 'scratch' });
    expect([verdicts(one), codes(one), one.ok]).toEqual([
      ['disk0/b0 fine handed-over-in-image', 'disk0/scratch left-out migration-capability'],
      ['migration-capability'],
      false,
    ]);
  });

  it('two that go to one place', () => {
    const nodes = [toldNode('disk0', G, [{}]), toldNode('drive0', G, [{}])];
    const drives = [{ device: 'drive0', inserted: { 'node-name': 'disk0' } }];
    const found = outlook(answers([...nodes], { drives: [] }), waiting([toldNode('disk0', G, [])], { drives }));
    expect(verdicts(found)).toEqual(['drive0/b0 fine', 'disk0/b0 blocked bitmap-exists']);
  });

  it.each([
    [G, 'fine'],
    [G - 65_536, 'blocked size-differs'],
    [G + 65_536, 'fine size-differs'],
    [0, 'blocked size-differs'],
  ])('a disk of %i bytes: %s', (size, verdict) => {
    expect(verdicts(outlook(answers([toldNode('disk0', G, [{}])]), there(size)))).toEqual([`disk0/b0 ${verdict}`]);
  });

  it('a larger disk, where the last chunk does not end on 64 granules', () => {
    const source = answers([toldNode('disk0', G - 65_536, [{}])]);
    expect(verdicts(outlook(source, there(G)))).toEqual(['disk0/b0 blocked size-differs']);
  });

  it.each([
    [{ drv: 'raw' }, release(7, 2), 'fine persistent-unstorable'],
    [{ ro: true }, release(7, 2), 'lost persistent-unstorable'],
    [{ ro: true }, release(11, 1), 'blocked persistent-unstorable'],
    [{}, release(11, 1), 'fine'],
  ])('a persistent bitmap for a node %j of %j: %s', (more, version, verdict) => {
    const source = answers([toldNode('disk0', G, [{ persistent: true }])]);
    const found = outlook(source, waiting([toldNode('disk0', G, [], more)], { version }));
    expect(verdicts(found)).toEqual([`disk0/b0 ${verdict}`]);
  });

  it.each([
    [release(7, 2), ['migration-two-nodes']],
    [release(11, 1), []],
    [release(5, 2), []],
  ])('two nodes in postcopy, to %j', (version, expected) => {
    const nodes = (bitmaps: object[]): object[] => ['a', 'b'].map((node) => toldNode(node, G, bitmaps));
    const capabilities = ['dirty-bitmaps', 'postcopy-ram'].map((capability) => ({ capability, state: true }));
    const found = outlook(answers(nodes([{}]), { capabilities }), waiting(nodes([]), { version }));
    expect(codes(found)).toEqual(expected);
  });
});

describe('answers that no QEMU gives', () => {
  const fine = answers([toldNode('disk0', G, [{}])]);
  const odd: unknown[] = [null, 7, 'x', true, [], [7], [null], {}, { return: null }, { status: 7 }, { ram: [] }];
  odd.push({ ram: { mbps: 'fast' } }, { ram: { total: -1 } }, { ram: { mbps: -1, remaining: 1e300 } }, { qemu: {} });
  odd.push({ 'downtime-limit': 1.5 }, { 'block-bitmap-mapping': [7] }, { 'block-bitmap-mapping': [{}] });
  odd.push({ 'block-bitmap-mapping': [{ 'node-name': 'a', alias: 'a', bitmaps: [{ name: 7 }] }] });
  odd.push([{ 'node-name': 'a' }, { 'node-name': 'a' }], [{ capability: 7, state: true }], [{ state: 'on' }]);
  odd.push([toldNode('disk0', G, [{ granularity: 3 }])], [toldNode('disk0', 2 ** 52, [{ granularity: 512 }])]);
  odd.push([toldNode('disk0', G, [{ granularity: null }])], [toldNode('disk0', G, [{ name: '' }])]);
  odd.push([toldNode('disk0', G, [{}], { image: {} })], [toldNode('disk0', G, [{ name: 'x'.repeat(2000) }])]);
  const stored = (bitmaps: unknown): object => ({
    image: { 'virtual-size': G, 'format-specific': { data: { bitmaps } } },
  });
  odd.push([toldNode('disk0', G, [{}], stored(7))], [toldNode('disk0', G, [{}], stored([{ name: 'a' }]))]);
  odd.push([toldNode('disk0', G, [{}], stored([{ name: 7, flags: [] }]))], { 'avail-switchover-bandwidth': -1 });
  odd.push([{ device: 7, inserted: null }], [{ device: 'd', inserted: { 'node-name': {} } }]);

  it.each([...Object.keys(fine), 'globals'] as (keyof MigrationAnswers)[])(
    '%s: an outlook, or a DirtyBitmapError',
    (key) => {
      for (const value of odd) {
        try {
          outlook({ ...fine, [key]: value }, { ...fine, [key]: value });
        } catch (error) {
          expect([key, value, isDirtyBitmapError(error) || error]).toEqual([key, value, true]);
          expect((error as { code: string }).code).toMatch(/^(set|mapping)-invalid$/);
        }
      }
    },
  );
});
