import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BadChunkEvent, ChunkEvent } from '../../src/chunk/chunk-collector.js';
import { DEVIATIONS, type Deviation } from '../../src/chunk/deviation.js';
import { SectionDecoder } from '../../src/chunk/section-decoder.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { cuts, sectionBytes } from '../support/arbitraries.js';
import { chop, pushAndOverwrite } from '../support/chop.js';
import { type NaiveResult, naiveSections, plainEvent } from '../support/naive-decoder.js';
import { hex } from '../support/stream-builder.js';

interface Options {
  readonly refuse?: readonly Deviation[];
  readonly maxBitsBytes?: number;
  readonly maxBitmaps?: number;
}

/** What the fast decoder says, in the form of the naive one. */
function fast(pieces: Iterable<Uint8Array>, { refuse = [], ...limits }: Options = {}): NaiveResult {
  const decoder = new SectionDecoder({ refuse, limits });
  const events: object[] = [];
  const take = (batch: Iterable<ChunkEvent | BadChunkEvent>): void => {
    for (const event of batch) events.push(plainEvent(event));
  };
  try {
    pushAndOverwrite(pieces, (piece) => take(decoder.push(piece)));
    take(decoder.finish());
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    return { events, fault: { code: error.code, offset: error.offset as number } };
  }
  return { events, fault: undefined };
}

const mutated = fc
  .tuple(sectionBytes, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 4 }))
  .map(([bytes, changes]) => {
    const copy = bytes.slice();
    for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
    return copy;
  });

describe('the decoder and its naive twin say the same', () => {
  it('of sections of any chunks', () => {
    fc.assert(
      fc.property(sectionBytes, cuts, (bytes, where) => {
        expect(fast(chop(bytes, where))).toEqual(naiveSections(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('of sections with some bytes changed', () => {
    fc.assert(
      fc.property(mutated, cuts, (bytes, where) => {
        expect(fast(chop(bytes, where))).toEqual(naiveSections(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(fast([bytes])).toEqual(naiveSections(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('whatever is refused, and whatever the limits are', () => {
    const options = fc.record({
      refuse: fc.subarray([...DEVIATIONS], { maxLength: 3 }),
      maxBitsBytes: fc.constantFrom(0, 32, 10_240, 20_000),
      maxBitmaps: fc.constantFrom(0, 1, 2, 65_536),
    });
    fc.assert(
      fc.property(fc.oneof(sectionBytes, mutated), options, (bytes, form) => {
        expect(fast([bytes], form)).toEqual(naiveSections(bytes, form));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the naive twin itself', () => {
  it('reads what wire-format.md describes', () => {
    const bytes = hex('1c 01 61 01 62 00010000 03 01 42 0000000000000000 00000040 8020 01');
    const common = { width: 1, eos: false, node: undefined, bitmap: undefined, target: '61/62', deviations: [] };
    expect(naiveSections(bytes)).toEqual({
      events: [
        {
          type: 'chunk',
          ...common,
          offset: 0,
          length: 10,
          kind: 'start',
          flags: 0x1c,
          node: '61',
          bitmap: '62',
          granularity: 65_536,
          startFlags: 3,
        },
        { type: 'chunk', ...common, offset: 10, length: 1, kind: 'bare', flags: 1, eos: true },
        {
          type: 'chunk',
          ...common,
          offset: 11,
          length: 13,
          kind: 'zeroes',
          flags: 0x42,
          firstSector: '0',
          sectorCount: 64,
        },
        {
          type: 'chunk',
          ...common,
          offset: 24,
          length: 2,
          kind: 'complete',
          flags: 0x20,
          width: 2,
          deviations: ['flags-wide'],
        },
        { type: 'chunk', ...common, offset: 26, length: 1, kind: 'bare', flags: 1, eos: true },
      ],
      fault: undefined,
    });
  });

  it('says where it stopped', () => {
    expect(naiveSections(hex('20')).fault).toEqual({ code: 'stream-cut', offset: 1 });
    expect(naiveSections(hex('40 0000000000000000 00000001 8000000000000000')).fault).toEqual({
      code: 'bits-size-limit',
      offset: 13,
    });
  });
});
