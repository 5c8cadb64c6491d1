import { describe, expect, it } from 'vitest';
import type { QemuDestination, QemuNodeMapping } from '../../src/migration/qemu-destination.js';
import type { QemuPrediction } from '../../src/migration/qemu-prediction.js';
import { loadChunks } from '../support/qemu-verdicts.js';
import { completeChunk, type Names, startChunk } from '../support/stream-builder.js';

const NODES = [{ node: 'disk0', device: 'drive0', size: 65_536 }];

function load(destination: QemuDestination, names: Names, flags = 1): QemuPrediction {
  return loadChunks(destination, [startChunk(names, 65_536, flags), completeChunk()]);
}

const code = (prediction: QemuPrediction): string | undefined => prediction.reasons[0]?.code;

function mapping(change: Partial<QemuNodeMapping> = {}): QemuNodeMapping[] {
  return [{ 'node-name': 'disk0', alias: 'NA', bitmaps: [{ name: 'real', alias: 'BA' }], ...change }];
}

describe('names without a mapping', () => {
  it('mean a drive first, then a node', () => {
    for (const node of ['drive0', 'disk0']) {
      expect(load({ version: '7.2', nodes: NODES }, { node, bitmap: 'b' }).bitmaps).toMatchObject([{ node: 'disk0' }]);
    }
  });
});

describe('names with a mapping', () => {
  const destination: QemuDestination = { version: '7.2', nodes: NODES, mapping: mapping() };

  it('are aliases', () => {
    const { bitmaps } = load(destination, { node: 'NA', bitmap: 'BA' });
    expect(bitmaps).toMatchObject([{ node: 'disk0', name: 'real', persistent: false }]);
  });

  it('and nothing else', () => {
    expect(code(load(destination, { node: 'disk0', bitmap: 'BA' }))).toBe('node-alias-unknown');
    expect(code(load(destination, { node: 'NA', bitmap: 'real' }))).toBe('bitmap-alias-unknown');
  });

  it('lead to node names, not to drives', () => {
    const toDrive = { ...destination, mapping: mapping({ 'node-name': 'drive0' }) };
    expect(code(load(toDrive, { node: 'NA', bitmap: 'BA' }))).toBe('node-unknown');
  });

  it('may change the persistence, in either direction', () => {
    for (const persistent of [true, false]) {
      const bitmaps = [{ name: 'real', alias: 'BA', transform: { persistent } }];
      const changed = { ...destination, mapping: mapping({ bitmaps }) };
      const { bitmaps: found } = load(changed, { node: 'NA', bitmap: 'BA' }, persistent ? 1 : 3);
      expect(found).toMatchObject([{ persistent }]);
    }
  });
});

describe('a mapping is refused', () => {
  const refused = (changed: readonly QemuNodeMapping[], version: QemuDestination['version'] = '7.2') =>
    load({ version, nodes: NODES, mapping: changed }, { node: 'NA', bitmap: 'BA' }).verdict === 'setup-refused';
  const one = { name: 'real', alias: 'BA' };

  it('with a transform by 5.2', () => {
    const transform = mapping({ bitmaps: [{ ...one, transform: { persistent: true } }] });
    expect([refused(transform, '5.2'), refused(transform, '7.2')]).toEqual([true, false]);
    const { reasons, bitmaps } = load({ version: '5.2', mapping: transform }, {});
    expect(reasons[0]?.says).toBe("Parameter 'block-bitmap-mapping[0].bitmaps[0].transform' is unexpected");
    expect(bitmaps).toEqual([]);
  });

  it.each<[string, QemuNodeMapping[]]>([
    ['with an alias that is not well-formed', mapping({ alias: '1a' })],
    ['with a long node alias', mapping({ alias: 'a'.repeat(256) })],
    ['with a long node name', mapping({ 'node-name': 'n'.repeat(32) })],
    ['with a long bitmap alias', mapping({ bitmaps: [{ name: 'b', alias: 'ü'.repeat(128) }] })],
    ['with a long bitmap name', mapping({ bitmaps: [{ name: 'b'.repeat(1024), alias: 'b' }] })],
    ['with a bitmap twice', mapping({ bitmaps: [one, { ...one, alias: 'other' }] })],
    ['with a bitmap alias twice', mapping({ bitmaps: [one, { ...one, name: 'other' }] })],
    ['with a node twice', [...mapping(), ...mapping({ alias: 'other' })]],
    ['with a node alias twice', [...mapping(), ...mapping({ 'node-name': 'other' })]],
  ])('%s', (_what, changed) => {
    expect(refused(changed)).toBe(true);
  });

  it('but not for nodes that do not exist, nor for an empty bitmap alias', () => {
    expect(refused(mapping({ 'node-name': '#block123', bitmaps: [{ name: 'b', alias: '' }] }))).toBe(false);
  });
});
