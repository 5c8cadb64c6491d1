import { describe, expect, it } from 'vitest';
import { chopEverywhere } from '../support/chop.js';
import {
  B0,
  bitsChunk,
  completeChunk,
  EOS,
  fill,
  join,
  type Part,
  startChunk,
  UNIT,
  zeroesChunk,
} from '../support/stream-builder.js';
import { dirty, gather, onlyFinding } from './gather.js';

/** Bytes of the disk that one unit of 64 granules covers, at 64 KiB. */
const UNIT_BYTES = UNIT * 512;
/** 64 bits, the first one set, padded as QEMU pads. */
const ONE: Part = [1, fill(31)];
const start = startChunk(B0);
const complete = completeChunk();

describe('a bitmap that is sent as QEMU sends it', () => {
  const chunks = [
    start,
    EOS,
    bitsChunk(0, UNIT, ONE),
    zeroesChunk(UNIT, UNIT),
    bitsChunk(2 * UNIT, 130, [3, fill(31)]),
    complete,
    EOS,
  ];

  it('is gathered without a finding', () => {
    const result = gather(chunks);
    expect(result.codes).toEqual([]);
    expect(result.bitmap).toMatchObject({
      ...{ granularity: 65_536, startFlags: 1, recording: true, persistent: false, complete: true, offset: 0 },
      ...{
        coveredBytes: (2 * UNIT + 130) * 512,
        chunks: { data: 2, zeroes: 1 },
        node: { text: 'disk0' },
        name: { text: 'b0' },
      },
    });
    expect(dirty(result)).toEqual([
      [0, 1],
      [128, 2],
    ]);
    expect(result.bitmap.wireBytes).toBe(join(...chunks).length - 2);
  });

  it('is the same however the bytes are cut', () => {
    const short = [start, bitsChunk(0, UNIT, ONE), zeroesChunk(UNIT, 64), complete];
    const whole = gather(short);
    for (const pieces of chopEverywhere(join(...short))) {
      const result = gather([], {}, pieces);
      expect([result.codes, dirty(result), result.bitmap.coveredBytes]).toEqual([
        whole.codes,
        dirty(whole),
        whole.bitmap.coveredBytes,
      ]);
    }
  });

  it('may have no range at all', () => {
    expect(gather([start, complete]).codes).toEqual([]);
  });

  it.each([
    [0, false, false],
    [1, true, false],
    [2, false, true],
    [3, true, true],
  ])('with the START byte %d is recording: %s, persistent: %s', (flags, recording, persistent) => {
    expect(gather([startChunk(B0, 512, flags), complete]).bitmap).toMatchObject({ recording, persistent });
  });

  it('may be any one of many, each in its place', () => {
    const result = gather([
      [startChunk(B0), startChunk({ bitmap: 'b1' }, 512), startChunk({ node: 'disk1', bitmap: 'b0' }), EOS],
      [bitsChunk(0, UNIT, ONE, { node: 'disk0', bitmap: 'b0' }), bitsChunk(0, 64, [2, fill(31)], { bitmap: 'b1' })],
      [
        zeroesChunk(0, UNIT, { node: 'disk1', bitmap: 'b0' }),
        complete,
        completeChunk({ node: 'disk0', bitmap: 'b1' }),
        completeChunk({ bitmap: 'b0' }),
        EOS,
      ],
    ]);
    expect(result.codes).toEqual([]);
    expect(result.gatherer.bitmaps.map(({ node, name, bits }) => [node.text, name.text, bits.dirtyGranules()])).toEqual(
      [
        ['disk0', 'b0', 1],
        ['disk0', 'b1', 1],
        ['disk1', 'b0', 0],
      ],
    );
    expect(result.gatherer.toSet().nodes.map(({ node, bitmaps }) => [node.text, bitmaps.length])).toEqual([
      ['disk0', 2],
      ['disk1', 1],
    ]);
  });
});

describe('coverage', () => {
  it('with a hole is chunk-gap, when the bitmap is completed', () => {
    const finding = onlyFinding(start, zeroesChunk(0, UNIT), zeroesChunk(2 * UNIT, UNIT), complete);
    expect(finding).toMatchObject({ code: 'chunk-gap', severity: 'warning', offset: 15 + 2 * 13 });
    expect(finding.message).toContain(`1 hole(s), the first from byte ${UNIT_BYTES} to ${2 * UNIT_BYTES} of the disk`);
  });

  it('that does not begin at 0 is chunk-gap', () => {
    expect(onlyFinding(start, zeroesChunk(UNIT, UNIT), complete).message).toContain(`from byte 0 to ${UNIT_BYTES}`);
  });

  it('whose hole is filled later is chunk-order, and no gap', () => {
    const chunks = [start, zeroesChunk(0, UNIT), zeroesChunk(2 * UNIT, UNIT), zeroesChunk(UNIT, UNIT), complete];
    expect(onlyFinding(...chunks)).toMatchObject({ code: 'chunk-order', offset: 15 + 2 * 13 });
  });

  it('that repeats is chunk-overlap, and the last chunk wins', () => {
    const result = gather([start, bitsChunk(0, UNIT, ONE), bitsChunk(0, UNIT, [2, fill(31)]), complete]);
    expect(result.findings).toMatchObject([{ code: 'chunk-overlap', severity: 'warning', offset: 15 + 53 }]);
    expect(dirty(result)).toEqual([[1, 1]]);
    expect(dirty(gather([start, bitsChunk(0, UNIT, ONE), zeroesChunk(0, UNIT), complete]))).toEqual([]);
  });

  it('is told once for each bitmap, however often it is broken', () => {
    const again = Array.from({ length: 5 }, () => zeroesChunk(0, UNIT));
    const other = [startChunk({ bitmap: 'b1' }), zeroesChunk(0, UNIT), zeroesChunk(0, UNIT), complete];
    expect(gather([start, ...again, complete, ...other]).codes).toEqual(['chunk-overlap', 'chunk-overlap']);
  });

  it('whose hole is forgotten, because there were too many ranges, is told without a place', () => {
    const apart = [zeroesChunk(0, UNIT), zeroesChunk(2 * UNIT, UNIT)];
    const { findings } = gather([start, ...apart, complete], { maxRanges: 1 });
    expect(findings).toMatchObject([{ code: 'chunk-gap' }]);
    expect(findings[0]?.message).not.toContain('from byte 0 to 0');
  });

  it('of more ranges than are remembered is chunk-gap all the same', () => {
    const apart = Array.from({ length: 6 }, (_, at) => zeroesChunk(2 * at * UNIT, UNIT));
    const { codes, bitmap } = gather([start, ...apart, complete], { maxRanges: 3 });
    expect(codes).toEqual(['chunk-gap']);
    expect(bitmap.coveredBytes).toBe(11 * UNIT_BYTES);
  });
});

describe('a range', () => {
  it('that does not begin on 64 granules is bits-misaligned, and left out', () => {
    const result = gather([start, bitsChunk(128, UNIT, ONE), zeroesChunk(0, UNIT), complete]);
    expect(result.findings).toMatchObject([{ code: 'bits-misaligned', severity: 'error', offset: 15 }]);
    expect(result.findings[0]?.message).toContain(`begins at sector 128, not a multiple of ${UNIT}`);
    expect(dirty(result)).toEqual([]);
  });

  it('that does not end on 64 granules is the last of the disk', () => {
    expect(gather([start, zeroesChunk(0, UNIT), zeroesChunk(UNIT, 5), complete]).codes).toEqual([]);
  });

  it('that goes on behind the last of the disk is bits-misaligned, and kept', () => {
    const result = gather([start, zeroesChunk(0, 5), bitsChunk(UNIT, UNIT, ONE), complete]);
    expect(result.codes).toEqual(['bits-misaligned', 'chunk-gap']);
    expect(result.findings[0]?.message).toContain('a range ended at sector 5');
    expect(dirty(result)).toEqual([[64, 1]]);
  });

  it.each([
    ['one byte too few', 7],
    ['more than a multiple of 32', 33],
    ['none', 0],
    ['far too many', 1024],
  ])('whose data are %s is bits-size-mismatch, and left out', (_what, size) => {
    const result = gather([start, bitsChunk(0, UNIT, fill(size, 0xff)), complete]);
    expect(result.findings).toMatchObject([{ code: 'bits-size-mismatch', severity: 'error', offset: 15 }]);
    expect(result.findings[0]?.message).toContain(`64 granules need 8 to 32 bytes of data, found ${size}`);
    expect(dirty(result)).toEqual([]);
    expect(result.bitmap.coveredBytes).toBe(0);
  });

  it.each([8, 9, 31, 32])('whose data are %d bytes, padding included, is right', (size) => {
    expect(gather([start, bitsChunk(0, UNIT, [1, fill(size - 1)]), complete]).codes).toEqual([]);
  });

  it('whose padding is not zero is bits-padding, and no padding becomes dirty', () => {
    const result = gather([start, bitsChunk(0, UNIT, [1, fill(30), 0x80]), zeroesChunk(UNIT, 4 * UNIT), complete]);
    expect(result.findings).toMatchObject([{ code: 'bits-padding', severity: 'warning', offset: 15 }]);
    expect(dirty(result)).toEqual([[0, 1]]);
  });

  it('with bits past its end is bits-past-end, and they are taken off', () => {
    // 130 sectors are two granules at 64 KiB.
    const result = gather([start, bitsChunk(0, 130, [0xff, fill(7, 0xff), fill(24)]), complete]);
    expect(result.findings).toMatchObject([{ code: 'bits-past-end', severity: 'warning', offset: 15 }]);
    expect(dirty(result)).toEqual([[0, 2]]);
  });

  it('that ends above 2^53 bytes is sector-overflow, and left out', () => {
    const result = gather([start, bitsChunk(2n ** 63n, UNIT, ONE), zeroesChunk(0, UNIT), complete]);
    expect(result.codes).toEqual(['sector-overflow']);
    expect(dirty(result)).toEqual([]);
  });

  it('may end at 2^53 bytes, and costs no memory where it is clear', () => {
    const last = 2 ** 44 - 2 ** 31;
    const { codes, bitmap } = gather([startChunk(B0, 2 ** 31), zeroesChunk(last, 2 ** 31), complete]);
    expect(codes).toEqual(['chunk-gap']);
    expect(bitmap.coveredBytes).toBe(2 ** 53);
    expect(bitmap.bits.allocatedBytes).toBe(0);
  });
});

describe('a chunk of no sectors', () => {
  it('is a disk of no bytes, once', () => {
    const { codes, bitmap } = gather([start, zeroesChunk(0, 0), complete]);
    expect(codes).toEqual([]);
    expect(bitmap.coveredBytes).toBe(0);
  });

  it('is sector-count-zero the second time', () => {
    expect(onlyFinding(start, zeroesChunk(0, 0), zeroesChunk(0, 0), complete)).toMatchObject({
      code: 'sector-count-zero',
      offset: 28,
    });
  });

  it.each([
    ['with data', bitsChunk(0, 0, [])],
    ['elsewhere than at sector 0', zeroesChunk(UNIT, 0)],
  ])('%s is sector-count-zero', (_what, chunk) => {
    expect(onlyFinding(start, chunk, complete)).toMatchObject({
      code: 'sector-count-zero',
      severity: 'error',
      offset: 15,
    });
  });

  it('behind a range is sector-count-zero', () => {
    expect(onlyFinding(start, zeroesChunk(0, UNIT), zeroesChunk(0, 0), complete).code).toBe('sector-count-zero');
  });

  it('is source-loops from 256 MiB on, where the count does not fit 32 bits', () => {
    const loop = Array.from({ length: 50 }, () => zeroesChunk(0, 0));
    const { codes, findings } = gather([startChunk(B0, 2 ** 28), ...loop]);
    expect(codes).toEqual(['source-loops', 'complete-missing']);
    expect(findings[0]).toMatchObject({ severity: 'error', offset: 28 });
    expect(findings[0]?.message).toContain('use a granularity below 256 MiB');
    expect(gather([startChunk(B0, 2 ** 27), ...loop, complete]).codes).toEqual(['sector-count-zero']);
  });
});
