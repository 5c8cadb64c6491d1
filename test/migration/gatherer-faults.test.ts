import { describe, expect, it } from 'vitest';
import {
  B0,
  bitsChunk,
  completeChunk,
  EOS,
  fill,
  hex,
  type Part,
  startChunk,
  UNIT,
  zeroesChunk,
} from '../support/stream-builder.js';
import { dirty, gather, onlyFinding } from './gather.js';

/** 64 bits, the first one set, padded as QEMU pads. */
const ONE: Part = [1, fill(31)];
const start = startChunk(B0);
const complete = completeChunk();

describe('the order of chunks', () => {
  it('with a second START is started-twice, and both are listed', () => {
    const { findings, gatherer } = gather([start, bitsChunk(0, UNIT, ONE), complete, startChunk({}, 512), complete]);
    expect(findings).toMatchObject([{ code: 'started-twice', severity: 'error', offset: 15 + 53 + 1 }]);
    expect(gatherer.bitmaps.map(({ granularity, bits }) => [granularity, bits.dirtyGranules()])).toEqual([
      [65_536, 1],
      [512, 0],
    ]);
  });

  it.each([
    ['BITS', bitsChunk(0, UNIT, ONE, { bitmap: 'b1' })],
    ['ZEROES', zeroesChunk(0, UNIT, { bitmap: 'b1' })],
    ['COMPLETE', completeChunk({ bitmap: 'b1' })],
  ])('with %s for a bitmap that was not started is never-started', (_kind, chunk) => {
    const result = gather([start, complete, chunk]);
    expect(result.findings).toMatchObject([{ code: 'never-started', severity: 'error', offset: 16 }]);
    expect(result.findings[0]?.message).toContain('"disk0/b1"');
    expect(result.gatherer.bitmaps).toHaveLength(1);
  });

  it('with BITS after COMPLETE is bits-after-complete, and the bits count', () => {
    const result = gather([start, zeroesChunk(0, UNIT), complete, bitsChunk(UNIT, UNIT, ONE)]);
    expect(result.findings).toMatchObject([{ code: 'bits-after-complete', severity: 'error', offset: 29 }]);
    expect(dirty(result)).toEqual([[64, 1]]);
  });

  it('with a second COMPLETE is completed-twice', () => {
    expect(onlyFinding(start, complete, complete)).toMatchObject({
      code: 'completed-twice',
      severity: 'warning',
      offset: 16,
    });
  });

  it('without COMPLETE is complete-missing, at its START', () => {
    const finding = onlyFinding(EOS, start, zeroesChunk(0, UNIT));
    expect(finding).toMatchObject({ code: 'complete-missing', severity: 'error', offset: 1 });
    expect(finding.message).toContain('"disk0/b0"');
  });
});

describe('names', () => {
  it.each([
    ['START', startChunk({})],
    ['BITS', bitsChunk(0, UNIT, ONE)],
    ['COMPLETE', complete],
    ['COMPLETE with a bitmap but no node', completeChunk({ bitmap: 'b0' })],
  ])('that were never told are name-missing: %s', (_what, chunk) => {
    const { findings, gatherer } = gather([chunk]);
    expect(findings).toMatchObject([{ code: 'name-missing', severity: 'error', offset: 0 }]);
    expect(gatherer.bitmaps).toEqual([]);
  });

  it('need not be told for EOS', () => {
    expect(gather([EOS, EOS]).codes).toEqual([]);
  });

  it.each([
    ['START', startChunk({ node: 'disk1' })],
    ['BITS', bitsChunk(0, UNIT, ONE, { node: 'disk1' })],
    ['EOS', hex('09 05 6469736b31')],
  ])('of a new node without a bitmap are name-ambiguous, and the chunk is left out: %s', (_what, chunk) => {
    const result = gather([start, complete, chunk]);
    expect(result.findings).toMatchObject([{ code: 'name-ambiguous', severity: 'error', offset: 16 }]);
    expect(result.gatherer.bitmaps).toHaveLength(1);
    expect(dirty(result)).toEqual([]);
  });

  it('of the same node without a bitmap are name-ambiguous, and taken for the bitmap before', () => {
    const result = gather([start, bitsChunk(0, UNIT, ONE, { node: 'disk0' }), complete]);
    expect(result.findings).toMatchObject([{ code: 'name-ambiguous', offset: 15 }]);
    expect(dirty(result)).toEqual([[0, 1]]);
  });

  it('that are not clean UTF-8 are name-not-utf8, once', () => {
    const { findings } = gather([startChunk({ node: 'disk0', bitmap: '\xff' }), complete]);
    expect(findings).toMatchObject([{ code: 'name-not-utf8', severity: 'warning', offset: 0 }]);
    expect(findings[0]?.message).toContain('\\xff');
  });

  it('that are told in messages cannot move a cursor', () => {
    const { findings } = gather([startChunk({ node: '\x1b[2J', bitmap: 'b\n' })]);
    for (const { message } of findings) expect(message).not.toMatch(/\p{Cc}/u);
  });
});

describe('a deviation of a chunk', () => {
  it.each([
    ['name-empty', 0, [startChunk({ node: 'd', bitmap: '' }), complete]],
    ['name-nul', 16, [start, complete, hex('04 03 610062')]],
    ['flags-two-kinds', 15, [start, hex('60')]],
    ['flags-zeroes-without-bits', 15, [start, hex('22')]],
    ['flags-unknown', 15, [start, hex('8120')]],
    ['flags-wide', 15, [start, hex('8020')]],
    ['flags-none', 15, [start, hex('00'), complete]],
    ['start-flags-reserved', 0, [startChunk(B0, 512, 8), complete]],
    ['start-flags-autoload', 0, [startChunk(B0, 512, 4), complete]],
    ['granularity-invalid', 0, [startChunk(B0, 1000)]],
    ['sector-overflow', 15, [start, zeroesChunk(1n << 60n, 64), complete]],
  ] as const)('is the one finding, at its offset: %s', (code, offset, chunks) => {
    expect(onlyFinding(...chunks)).toMatchObject({ code, offset });
  });

  it('of the granularity leaves the bitmap out', () => {
    const { codes, gatherer } = gather([startChunk(B0, 1000), bitsChunk(0, UNIT, ONE), complete]);
    expect(codes).toEqual(['granularity-invalid']);
    expect(gatherer.bitmaps).toEqual([]);
  });
});

describe('what was read before the input stops', () => {
  it('inside the data of a chunk counts, and no more', () => {
    const chunk = bitsChunk(0, 4 * UNIT, fill(32, 0xff));
    for (let cut = 21; cut < chunk.length; cut++) {
      const result = gather([start, chunk.subarray(0, cut)]);
      const bytes = cut - 21;
      expect(result.codes).toEqual(['complete-missing']);
      expect(result.bitmap.coveredBytes).toBe(bytes * 8 * 65_536);
      expect(result.bitmap.bits.dirtyGranules()).toBe(bytes * 8);
    }
  });

  it('inside the padding counts up to the end of the range', () => {
    const chunk = bitsChunk(0, 130, [3, fill(31)]);
    const { bitmap } = gather([start, chunk.subarray(0, -10)]);
    expect(bitmap.coveredBytes).toBe(130 * 512);
    expect(bitmap.bits.dirtyGranules()).toBe(2);
  });

  it('because of too many bitmaps stays', () => {
    const { error, gatherer, codes } = gather([start, startChunk({ bitmap: 'b1' })], { maxBitmaps: 1 });
    expect(error).toMatchObject({ code: 'limit', offset: 15 });
    expect(gatherer.bitmaps).toHaveLength(1);
    expect(codes).toEqual(['complete-missing']);
  });

  it('because one bitmap is started too often stays', () => {
    const { error, gatherer } = gather([start, start, start], { maxBitmaps: 2 });
    expect(error).toMatchObject({ code: 'limit', offset: 30, message: expect.stringContaining('raise maxBitmaps') });
    expect(gatherer.bitmaps).toHaveLength(2);
  });

  it('because of too much memory stays', () => {
    const far = Array.from({ length: 100 }, (_, at) => bitsChunk(at * 1024 * UNIT, UNIT, ONE));
    const { error, gatherer, bitmap } = gather([start, ...far], { maxBitmapMemory: 20_000 });
    expect(error).toMatchObject({ code: 'limit', message: expect.stringContaining('maxBitmapMemory') });
    expect(bitmap.bits.dirtyGranules()).toBeGreaterThan(0);
    expect(bitmap.bits.allocatedBytes).toBeLessThanOrEqual(20_000);
    expect(gatherer.bitmaps).toHaveLength(1);
  });
});
