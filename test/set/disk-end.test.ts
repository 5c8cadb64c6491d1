import { describe, expect, it } from 'vitest';
import { encodeCapture } from '../../src/capture/capture-encoder.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { spliceCapture } from '../../src/capture/splice.js';
import type { BitmapSet } from '../../src/set/bitmap-set.js';
import { fieldDifferences } from '../../src/set/compare-sets.js';
import { diskEnd, oneDiskEnd } from '../../src/set/disk-end.js';
import { mergeSets } from '../../src/set/merge-sets.js';
import { entriesOf, type SetEntry } from '../../src/set/rename-set.js';
import { codeOf } from '../support/chunks.js';
import { collect, type Sketch, setOf } from '../support/sets.js';

const MiB = 2 ** 20;
const G = 65_536;

const streamOf = (sketch: Sketch, profile: 'qemu' | 'compact'): Uint8Array =>
  collect(encodeCapture(setOf(sketch), { profile }));

/** What a capture of a bitmap tells. */
function captured(sketch: Sketch, profile: 'qemu' | 'compact'): BitmapSet {
  const reader = new CaptureReader();
  reader.push(streamOf(sketch, profile));
  reader.finish();
  return reader.set;
}

function only(set: BitmapSet): SetEntry {
  return entriesOf(set)[0] as SetEntry;
}

const endOf = (set: BitmapSet): unknown => diskEnd(only(set).node, only(set).bitmap);
const budget = () => ({ used: 0, max: 2 ** 30 });
const encode =
  (set: BitmapSet): (() => unknown) =>
  () =>
    collect(encodeCapture(set));

describe('where a disk ends, as far as is told', () => {
  const dirty = [[0, G]] as const;

  it.each<[string, BitmapSet, unknown]>([
    ['a node with a size', setOf({ size: 1_000_003 }), { bytes: 1_000_448, exact: true }],
    ['nothing', setOf({ size: null }), undefined],
    [
      'covered up to a multiple of 64 granules',
      setOf({ size: null, covered: 4 * MiB }),
      { bytes: 4 * MiB, exact: false },
    ],
    ['covered up to anywhere else', setOf({ size: null, covered: MiB }), { bytes: MiB, exact: true }],
    ['a stream of QEMU', captured({ size: 64 * MiB, dirty }, 'qemu'), { bytes: 64 * MiB, exact: true }],
    ['a compact one', captured({ size: 64 * MiB, dirty }, 'compact'), { bytes: 4 * MiB, exact: false }],
    [
      'a compact one that ends with the disk',
      captured({ size: MiB, dirty: [[MiB - G, G]] }, 'compact'),
      { bytes: MiB, exact: true },
    ],
    ['a compact one of nothing', captured({ size: MiB }, 'compact'), undefined],
    ['a disk of no bytes', captured({ size: 0 }, 'qemu'), { bytes: 0, exact: true }],
  ])('%s', (_, set, end) => {
    expect(endOf(set)).toEqual(end);
  });

  it('exact ends agree, and nothing goes beyond', () => {
    const at = (bytes: number): readonly [string, { bytes: number; exact: boolean }] => ['a', { bytes, exact: true }];
    const least = (bytes: number): readonly [string, { bytes: number; exact: boolean }] => [
      'b',
      { bytes, exact: false },
    ];
    expect(oneDiskEnd([at(5), least(5), at(5), ['c', undefined]])).toBe(5);
    expect(oneDiskEnd([least(7), least(9)])).toBeUndefined();
    expect(codeOf(() => oneDiskEnd([at(5), at(6)]))).toBe('size-differs');
    expect(codeOf(() => oneDiskEnd([least(6), at(5)]))).toBe('size-differs');
  });
});

describe('bitmaps of two disks under one node', () => {
  const small = { name: 'a', size: MiB, dirty: [[MiB - G, G]] } satisfies Sketch;
  const large = { name: 'b', size: 2 * MiB, dirty: [[2 * MiB - G, G]] } satisfies Sketch;

  it('are not put into one capture', () => {
    for (const profile of ['qemu', 'compact'] as const) {
      const put =
        (set: BitmapSet): (() => unknown) =>
        () =>
          collect(spliceCapture(streamOf(small, profile), { put: set }));
      expect(codeOf(put(setOf(large)))).toBe('size-differs');
      expect(codeOf(put(captured(large, 'compact')))).toBe('size-differs');
      expect(codeOf(put(setOf({ ...small, name: 'b' })))).toBeUndefined();
    }
  });

  it('are not merged, and differ, whichever of them is a stream', () => {
    const sets = (sketch: Sketch): BitmapSet[] => [
      setOf(sketch),
      captured(sketch, 'qemu'),
      captured(sketch, 'compact'),
    ];
    for (const a of sets(small)) {
      for (const b of sets({ ...large, name: 'a' })) {
        expect(codeOf(() => mergeSets([a, b], budget()))).toBe('size-differs');
        expect(fieldDifferences(only(a), only(b), ['size'])).toEqual([{ field: 'size', a: MiB, b: 2 * MiB }]);
      }
      for (const same of sets(small)) {
        expect(codeOf(() => mergeSets([a, same], budget()))).toBeUndefined();
        expect(fieldDifferences(only(a), only(same), ['size'])).toEqual([]);
      }
    }
  });

  it('are not written as one node', () => {
    const two = setOf({ name: 'a', size: null, covered: MiB, dirty: [[0, G]] }, { name: 'b', covered: 2 * MiB });
    expect(codeOf(encode(two))).toBe('size-differs');
    const beyond = setOf(
      { name: 'a', size: null, covered: MiB },
      { name: 'b', covered: 4 * MiB, dirty: [[3 * MiB, G]] },
    );
    expect(codeOf(encode(beyond))).toBe('size-differs');
  });

  it('all of a node go up to the end that one of them tells', () => {
    const set = setOf({ name: 'a', size: null, covered: 5 * MiB }, { name: 'b', covered: 4 * MiB, dirty: [[0, G]] });
    const reader = new CaptureReader();
    reader.push(collect(encodeCapture(set)));
    reader.finish();
    expect(reader.bitmaps.map(({ coveredBytes }) => coveredBytes)).toEqual([5 * MiB, 5 * MiB]);
    expect(reader.findings.list).toEqual([]);
  });
});
