import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import type { QemuNode } from '../../src/migration/qemu-destination.js';
import type { QemuPrediction } from '../../src/migration/qemu-prediction.js';
import { QEMU_VERSIONS, type QemuVersion } from '../../src/migration/qemu-version.js';
import { all, loadChunks as load, verdicts } from '../support/qemu-verdicts.js';
import {
  B0,
  bitmapChunks,
  bitsChunk,
  completeChunk,
  fill,
  hex,
  type Part,
  startChunk,
  UNIT,
  zeroesChunk,
} from '../support/stream-builder.js';

/** A disk of 64 granules of 64 KiB. */
const DISK: QemuNode = { node: 'disk0', size: 4 * 1024 * 1024 };
const HAVE: QemuNode = { ...DISK, bitmaps: [{ name: 'have', granularity: 65_536 }] };

/** `[name, recording, busy, count]` of each bitmap. */
function shown({ bitmaps }: QemuPrediction): unknown[] {
  return bitmaps.map(({ name, recording, busy, count }) => [name, recording, busy, count]);
}

describe('a bitmap on its way', () => {
  const seven = (before: Part, after: Part = []): unknown[] =>
    shown(load({ version: '7.2', nodes: [DISK] }, before, after));

  it('records once it is complete and the guest runs', () => {
    expect(seven([startChunk(B0), bitmapChunks()])).toEqual([['b0', true, false, 65_536]]);
  });

  it('records and is busy while the rest comes after the start of the guest', () => {
    expect(seven(startChunk(B0), bitsChunk(0, UNIT, [1, fill(31)]))).toEqual([['b0', true, true, 0]]);
    expect(seven(startChunk(B0), bitmapChunks())).toEqual([['b0', true, false, 65_536]]);
  });

  it('stays off where the source did not record', () => {
    expect(seven([startChunk(B0, 65_536, 0), bitmapChunks()])).toEqual([['b0', false, false, 65_536]]);
  });

  it('is counted at COMPLETE only', () => {
    expect(seven([startChunk(B0), completeChunk(), bitsChunk(0, UNIT, [3, fill(31)])])).toEqual([
      ['b0', true, false, 0],
    ]);
    const twice = [startChunk(B0), completeChunk(), bitsChunk(0, UNIT, [3, fill(31)]), completeChunk()];
    expect(seven(twice)).toEqual([['b0', true, false, 131_072]]);
  });

  it('keeps bits after the last granule and does not count them', () => {
    const nodes = [{ node: 'disk0', size: 65 * 65_536 }];
    const bits = bitsChunk(0, 65 * 128, fill(32, 0xff));
    const [bitmap] = load({ version: '7.2', nodes }, [startChunk(B0), bits, completeChunk()]).bitmaps;
    expect(bitmap?.count).toBe(65 * 65_536);
    expect([bitmap?.bits.dirtyGranules(), bitmap?.wordBits]).toEqual([128, 128]);
  });

  it('is busy without COMPLETE, but in 5.2 only if it records', () => {
    const off = startChunk(B0, 65_536, 0);
    const busy = QEMU_VERSIONS.map((version) => load({ version, nodes: [DISK] }, off).bitmaps[0]?.busy);
    expect(busy).toEqual([false, true, true, true]);
    expect(verdicts([DISK], off)).toEqual(all('load unfinished'));
  });
});

describe('what drops all bitmaps', () => {
  it.each<[string, Part, string]>([
    ['an unknown node', startChunk({ node: 'nope', bitmap: 'b0' }), 'node-unknown'],
    ['no node', startChunk({ bitmap: 'b0' }), 'node-missing'],
    ['no bitmap', [startChunk({ node: 'disk0' })], 'bitmap-missing'],
    ['too few bits', [startChunk(B0), bitsChunk(0, UNIT, fill(7))], 'bits-size'],
    ['too many bits', [startChunk(B0), bitsChunk(0, UNIT, fill(33))], 'bits-size'],
    ['bits for no sectors', [startChunk(B0), bitsChunk(0, 0, fill(8))], 'bits-size'],
    ['a name that was never started', [startChunk(B0), completeChunk({ bitmap: 'b1' })], 'bitmap-unknown'],
  ])('%s', (_what, chunks, code) => {
    expect(verdicts([DISK], chunks)).toEqual(all(`cancel ${code}`));
  });

  it('takes complete ones with it before the guest runs, and leaves them afterwards', () => {
    const done = [startChunk(B0), bitmapChunks(), startChunk({ bitmap: 'b1' })];
    const nope = completeChunk({ bitmap: 'nope' });
    expect(shown(load({ version: '7.2', nodes: [DISK] }, [done, nope]))).toEqual([]);
    expect(shown(load({ version: '7.2', nodes: [DISK] }, done, nope))).toEqual([['b0', true, false, 65_536]]);
  });

  it('lasts, and leaves old bitmaps alone', () => {
    const { bitmaps, reasons } = load({ version: '7.2', nodes: [HAVE] }, [
      startChunk({ node: 'nope', bitmap: 'b0' }),
      startChunk(B0, 3, 0xff),
      bitmapChunks(),
    ]);
    expect(reasons).toHaveLength(1);
    expect(bitmaps.map((bitmap) => bitmap.name)).toEqual(['have']);
  });

  it('does not keep a name of no bytes or too many bits from failing', () => {
    const cancel = startChunk({ node: 'nope', bitmap: 'b0' });
    expect(verdicts([DISK], [cancel, completeChunk({ bitmap: '' })])).toEqual(all('fail node-unknown name-empty'));
    expect(verdicts([DISK], [cancel, bitsChunk(0, UNIT, fill(10_241))])).toEqual(
      all('fail node-unknown bits-too-large'),
    );
  });

  it('says what QEMU says, in the words of the version', () => {
    const says = (version: QemuVersion): string | undefined =>
      load({ version, nodes: [DISK] }, startChunk({ node: 'nope', bitmap: 'b0' })).reasons[0]?.says;
    expect(says('5.2')).toBe('Cannot find device=nope nor node_name=nope');
    expect(says('11.1')).toBe("Cannot find device='nope' nor node-name='nope'");
  });
});

describe('what fails the migration', () => {
  it.each<[string, Part, string]>([
    ['the same START again', [startChunk(B0), startChunk(B0)], 'bitmap-exists'],
    ['START without names after another', [startChunk(B0), startChunk({})], 'bitmap-exists'],
    ['START after COMPLETE', [startChunk(B0), completeChunk(), startChunk(B0)], 'bitmap-exists'],
    ['START of an old bitmap', startChunk({ node: 'disk0', bitmap: 'have' }), 'bitmap-exists'],
    ['reserved flags', startChunk(B0, 65_536, 0x09), 'start-flags'],
    ['a name of no bytes', startChunk({ node: '', bitmap: 'b0' }), 'name-empty'],
    ['10241 bytes of bits', [startChunk(B0), bitsChunk(0, UNIT, fill(10_241))], 'bits-too-large'],
  ])('%s', (_what, chunks, code) => {
    expect(verdicts([HAVE], chunks)).toEqual(all(`fail ${code}`));
  });

  it('leaves nothing', () => {
    expect(load({ version: '7.2', nodes: [HAVE] }, [startChunk(B0), startChunk(B0)]).bitmaps).toEqual([]);
  });

  it('is persistence on a read-only node in 11.1; before, the bitmap is lost later', () => {
    const chunks = [startChunk(B0, 65_536, 3), completeChunk()];
    expect(verdicts([{ ...DISK, readOnly: true }], chunks)).toEqual({
      ...all('load persistent-lost'),
      '11.1': 'fail persistent-read-only',
    });
    expect(verdicts([{ ...DISK, canStore: false }], chunks)).toEqual(all('load persistent-lost'));
  });
});

describe('what kills QEMU', () => {
  it.each<[string, Part, string]>([
    ['granularity 256', startChunk(B0, 256), 'granularity'],
    ['granularity 1536', startChunk(B0, 1536), 'granularity'],
    ['a start inside of a unit', [startChunk(B0), zeroesChunk(128, 128)], 'bits-start'],
    ['bits past the end', [startChunk(B0), zeroesChunk(0, 2 * UNIT)], 'bits-past-end'],
    ['a start past the end', [startChunk(B0), zeroesChunk(UNIT, UNIT)], 'bits-past-end'],
    ['an odd length before the end', [startChunk(B0), zeroesChunk(0, 100)], 'bits-length'],
    ['the same with bits, and too few of them', [startChunk(B0), bitsChunk(0, 100, [])], 'bits-length'],
  ])('%s', (_what, chunks, code) => {
    expect(verdicts([DISK], chunks)).toEqual(all(`abort ${code}`));
  });

  it('is COMPLETE on a disk of no bytes', () => {
    const empty = [{ node: 'disk0', size: 0 }];
    expect(verdicts(empty, [startChunk(B0), zeroesChunk(0, 0)])).toEqual(all('load unfinished'));
    expect(verdicts(empty, [startChunk(B0), zeroesChunk(0, 0), completeChunk()])).toEqual(all('abort disk-empty'));
  });

  it('is more bits than 2^41', () => {
    const chunk = startChunk({ node: 'huge', bitmap: 'b0' }, 512);
    expect(verdicts([{ node: 'huge', size: 2 ** 50 }], chunk)).toEqual(all('load unfinished'));
    expect(verdicts([{ node: 'huge', size: 2 ** 51 }], chunk)).toEqual(all('abort disk-too-large'));
  });
});

describe('what goes through all the same', () => {
  it.each<[string, Part]>([
    ['flags of two and of four bytes', [hex('ff1c'), startChunk(B0).subarray(1), hex('ffff ff20')]],
    ['no flags at all', [0, startChunk(B0), 0, completeChunk()]],
    ['a range of no sectors', [startChunk(B0), bitsChunk(1, 0, []), completeChunk()]],
    ['an odd length at the end', [startChunk({ node: 'odd', bitmap: 'b0' }), zeroesChunk(0, 100), completeChunk()]],
    ['START with COMPLETE in one', [Uint8Array.of(0x3c), startChunk(B0).subarray(1), completeChunk()]],
  ])('%s', (_what, chunks) => {
    expect(verdicts([DISK, { node: 'odd', size: 51_200 }], chunks)).toEqual(all('load'));
  });

  it('sector 2^55, which is sector 0 to QEMU', () => {
    const chunks = [startChunk(B0), bitsChunk(2n ** 55n, UNIT, [1, fill(31)]), completeChunk()];
    expect(shown(load({ version: '7.2', nodes: [DISK] }, chunks))).toEqual([['b0', true, false, 65_536]]);
  });

  it('a name up to its NUL', () => {
    const chunks = [startChunk({ node: 'disk0', bitmap: 'b0\0x' }), completeChunk({ bitmap: 'b0\0y' })];
    expect(shown(load({ version: '7.2', nodes: [DISK] }, chunks))).toEqual([['b0', true, false, 0]]);
  });

  it('a new node without a bitmap, whose bits go into the old bitmap', () => {
    const chunks = [startChunk(B0), bitsChunk(0, UNIT, [1, fill(31)], { node: 'disk1' }), completeChunk()];
    const { bitmaps } = load({ version: '7.2', nodes: [DISK, { node: 'disk1', size: 512 }] }, chunks);
    expect(bitmaps.map(({ node, count }) => [node, count])).toEqual([['disk0', 65_536]]);
  });
});

describe('bitmaps that the destination had', () => {
  const chunks = [bitsChunk(0, UNIT, [1, fill(31)], { node: 'disk0', bitmap: 'have' }), completeChunk()];

  it('are overwritten before 11.1, which looks among those of the stream only', () => {
    expect(verdicts([HAVE], chunks)).toEqual({ ...all('load overwritten'), '11.1': 'cancel bitmap-not-migrated' });
    expect(shown(load({ version: '10.0', nodes: [HAVE] }, chunks))).toEqual([['have', true, false, 65_536]]);
    expect(shown(load({ version: '11.1', nodes: [HAVE] }, chunks))).toEqual([['have', true, false, 0]]);
  });

  it('take the new ones with them in 11.1', () => {
    const both = [startChunk(B0), completeChunk(), chunks];
    expect(verdicts([HAVE], both)).toEqual({ ...all('load overwritten'), '11.1': 'cancel bitmap-unknown' });
  });

  it('are not changed themselves', () => {
    const bits = new Bitmap(65_536);
    const nodes = [{ ...DISK, bitmaps: [{ name: 'have', granularity: 65_536, bits }] }];
    expect(shown(load({ version: '7.2', nodes }, chunks))).toEqual([['have', true, false, 65_536]]);
    expect(bits.isEmpty()).toBe(true);
  });

  it('stored in the image keep it from being activated, or join the others', () => {
    const stored = (name: string): QemuNode => ({ ...DISK, stored: [{ name, granularity: 65_536, recording: false }] });
    const good = [startChunk(B0), bitmapChunks()];
    expect(verdicts([stored('b0')], good)).toEqual(all('cancel stored-name-exists'));
    expect(load({ version: '7.2', nodes: [stored('b0')] }, good).bitmaps).toEqual([]);
    expect(shown(load({ version: '7.2', nodes: [stored('b1')] }, good))).toEqual([
      ['b0', true, false, 65_536],
      ['b1', false, false, 0],
    ]);
    expect(verdicts([stored('b0')], chunks)).toEqual({
      ...all('cancel bitmap-unknown'),
      '11.1': 'cancel bitmap-not-migrated',
    });
  });
});

describe('after the switch-over to postcopy', () => {
  const two = [startChunk(B0), startChunk({ node: 'disk1', bitmap: 'b0' })];
  const nodes = [DISK, { node: 'disk1', size: DISK.size }];

  it('a node name aborts 7.2 and 10.0', () => {
    const rest = [bitmapChunks(), completeChunk(B0)];
    expect(verdicts(nodes, two, rest)).toEqual({
      '5.2': 'load',
      '7.2': 'abort node-after-run',
      '10.0': 'abort node-after-run',
      '11.1': 'load',
    });
    const [reason] = load({ version: '7.2', nodes }, two, rest).reasons;
    expect(reason?.message).toContain('the guest, which runs there by now, with it');
  });

  it('START crashes 10.0 and 11.1; in the others the bitmap never records', () => {
    const late = [startChunk({ bitmap: 'late' }), bitmapChunks()];
    expect(verdicts([DISK], [startChunk(B0), completeChunk()], late)).toEqual({
      '5.2': 'load started-late',
      '7.2': 'load started-late',
      '10.0': 'abort start-after-run',
      '11.1': 'abort start-after-run',
    });
    const named = verdicts([DISK], [startChunk(B0), completeChunk()], startChunk({ node: 'disk0', bitmap: 'late' }));
    expect(named).toMatchObject({
      '7.2': 'abort node-after-run',
      '10.0': 'abort node-after-run',
      '11.1': 'abort start-after-run',
    });
  });

  it('a fault loses what is not complete, and no more', () => {
    const before = [startChunk(B0), startChunk({ bitmap: 'b1' })];
    const after = [completeChunk({ bitmap: 'b0' }), startChunk({ bitmap: '' })];
    const prediction = load({ version: '7.2', nodes: [DISK] }, before, after);
    expect([prediction.verdict, prediction.reasons[0]?.code]).toEqual(['cancel', 'postcopy-lost']);
    expect(shown(prediction)).toEqual([['b0', true, false, 0]]);
  });
});
