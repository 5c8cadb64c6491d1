import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { Findings } from '../../src/findings.js';
import { densityOf, dirtyBytes } from '../../src/report/density.js';
import { differenceModel } from '../../src/report/difference-map.js';
import type { Format, InputReport, ReportBitmap } from '../../src/report/input-report.js';
import { type AnyBitmap, anyBitmap } from './any-bitmap.js';

const LIMITS = { maxPairs: 10, maxCells: 500 };

function bitmap(label: string, { bits, size }: AnyBitmap): ReportBitmap {
  const [node, name = ''] = label.includes('/') ? label.split('/') : [undefined, label];
  return {
    ...{ node: node === undefined ? undefined : nameFromText(node), name: nameFromText(name), bits },
    ...{ granularity: bits.granularity, recording: true, persistent: true, complete: true, coveredBytes: size },
  };
}

function input(format: Format, ...bitmaps: ReportBitmap[]): InputReport {
  return { input: `${format}.bin`, format, bytes: 1, bitmaps, findings: new Findings(10) };
}

const small = (...dirty: (readonly [number, number])[]): AnyBitmap => {
  const bits = new Bitmap(512, { size: 8192 });
  bits.setExtents(dirty);
  return { bits, size: 8192 };
};
const sum = (cells: readonly number[]): number => cells.reduce((total, bytes) => total + bytes, 0);

describe('the difference map', () => {
  it('adds up to what each side has, whatever the granularities and the ends', () => {
    fc.assert(
      fc.property(anyBitmap(), anyBitmap(), (a, b) => {
        const { pairs } = differenceModel(input('set', bitmap('n/b', a)), input('set', bitmap('n/b', b)), LIMITS);
        const map = pairs[0]?.map;
        if (map == null) throw new Error('a map was expected');
        expect(map.size).toBe(Math.max(a.size, b.size));
        // Within a sector of the end nobody knows better: a stream tells whole sectors.
        const slack = Math.abs(a.size - b.size) < 512 ? 512 : 0;
        expect(Math.abs(sum(map.onlyA) + sum(map.both) - dirtyBytes(densityOf(a.bits, a.size, 1)))).toBeLessThanOrEqual(
          slack,
        );
        expect(Math.abs(sum(map.onlyB) + sum(map.both) - dirtyBytes(densityOf(b.bits, b.size, 1)))).toBeLessThanOrEqual(
          slack,
        );
        const same = sum(map.onlyA) + sum(map.onlyB) === 0 && pairs[0]?.fields.length === 0;
        expect(pairs[0]?.status).toBe(same ? 'equal' : 'different');
      }),
    );
  });

  it('tells the cells apart', () => {
    const a = small([0, 1024], [4096, 512]);
    const b = small([512, 1024]);
    const { pairs } = differenceModel(input('set', bitmap('n/b', a)), input('set', bitmap('n/b', b)), LIMITS);
    const { onlyA, onlyB, both } = pairs[0]?.map ?? { onlyA: [], onlyB: [], both: [] };
    expect(onlyA.slice(0, 9)).toEqual([512, 0, 0, 0, 0, 0, 0, 0, 512]);
    expect(onlyB.slice(0, 9)).toEqual([0, 0, 512, 0, 0, 0, 0, 0, 0]);
    expect(both.slice(0, 9)).toEqual([0, 512, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('says what only one side has, and which bits it did not compare', () => {
    const lost = { ...bitmap('gone', small()), bits: undefined };
    const model = differenceModel(
      input('capture', bitmap('n/b', small()), bitmap('n/c', small())),
      input('qcow2', bitmap('b', small()), lost),
      LIMITS,
    );
    expect(model.pairs.map(({ label, status }) => [label, status])).toEqual([
      ['n/b', 'equal'],
      ['n/c', 'only-in-a'],
    ]);
    expect(model.lost).toEqual(['gone']);
  });

  it('takes the one bitmap of a map of nbdinfo for the one of the other input', () => {
    const model = differenceModel(
      input('nbdinfo', bitmap('', small())),
      input('set', bitmap('n/b', small([0, 512]))),
      LIMITS,
    );
    expect(model.pairs.map(({ label, status }) => [label, status])).toEqual([['n/b', 'different']]);
  });

  it('shows so many and counts the rest', () => {
    const many = ['n/a', 'n/b', 'n/c'].map((label) => bitmap(label, small()));
    const model = differenceModel(input('set', ...many), input('set', ...many), { ...LIMITS, maxPairs: 2 });
    expect([model.pairs.length, model.morePairs]).toEqual([2, 1]);
  });
});
