import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BadChunkEvent, ChunkEvent } from '../../src/chunk/chunk-collector.js';
import { SectionDecoder, type SectionOptions } from '../../src/chunk/section-decoder.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { errorOf } from '../bytes/error-of.js';
import { cuts, sectionBytes } from '../support/arbitraries.js';
import { chop, chopEverywhere, pushAndOverwrite } from '../support/chop.js';
import { plainEvent } from '../support/naive-decoder.js';
import { bitsChunk, completeChunk, EOS, fill, hex, join, startChunk, zeroesChunk } from '../support/stream-builder.js';

interface Outcome {
  readonly events: object[];
  readonly error: DirtyBitmapError | undefined;
}

/** All events of these pieces, and the error that ended them. */
function decode(pieces: Iterable<Uint8Array>, options: SectionOptions = {}): Outcome {
  const decoder = new SectionDecoder(options);
  const events: object[] = [];
  const take = (batch: Iterable<ChunkEvent | BadChunkEvent>): void => {
    for (const event of batch) events.push(plainEvent(event));
  };
  try {
    pushAndOverwrite(pieces, (piece) => take(decoder.push(piece)));
    take(decoder.finish());
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    return { events, error };
  }
  return { events, error: undefined };
}

const names = { node: 'disk0', bitmap: 'b0' };
const SECTIONS = join([startChunk(names), startChunk({ bitmap: 'b1' }, 512, 3), EOS], EOS, [
  zeroesChunk(0, 8192, { bitmap: 'b0' }),
  bitsChunk(8192, 8192, fill(32, 0x11)),
  completeChunk(),
  EOS,
]);

describe('SectionDecoder', () => {
  it('gives the chunks of sections one behind the other, and which bitmap each means', () => {
    const { events, error } = decode([SECTIONS]);
    expect(error).toBeUndefined();
    const [b0, b1] = ['6469736b30/6230', '6469736b30/6231'];
    expect(events).toMatchObject([
      { kind: 'start', offset: 0, target: b0, granularity: 65_536 },
      { kind: 'start', offset: 15, target: b1, granularity: 512 },
      { kind: 'bare', offset: 24, target: b1, eos: true },
      { kind: 'bare', offset: 25, target: b1 },
      { kind: 'zeroes', offset: 26, target: b0 },
      { kind: 'bits', offset: 42, target: b0, data: '11'.repeat(32) },
      { kind: 'complete', offset: 95, target: b0 },
      { kind: 'bare', offset: 96, target: b0, eos: true },
    ]);
  });

  it('remembers names from section to section, as long as the migration lasts', () => {
    const { events } = decode([join(startChunk(names), EOS, zeroesChunk(0, 64), EOS, EOS, completeChunk(), EOS)]);
    expect(events.map((event) => (event as { target?: string }).target)).toEqual(
      fill(7).reduce<string[]>((all) => [...all, '6469736b30/6230'], []),
    );
  });

  it('gives the same events however the bytes are cut, and does not look at a piece afterwards', () => {
    const whole = decode([SECTIONS]);
    for (const pieces of chopEverywhere(SECTIONS)) expect(decode(pieces)).toEqual(whole);
  });

  it('gives the same events and the same error however any bytes are cut', () => {
    fc.assert(
      fc.property(sectionBytes, cuts, (bytes, where) => {
        expect(decode(chop(bytes, where))).toEqual(decode([bytes]));
      }),
      { numRuns: 300 },
    );
  });

  it('begins at the offset that it is given', () => {
    expect(decode([hex('2001')], { offset: 5000 }).events).toMatchObject([{ offset: 5000 }, { offset: 5001 }]);
  });

  it('gives nothing for nothing', () => {
    expect(decode([])).toEqual({ events: [], error: undefined });
    expect(decode([new Uint8Array(0)])).toEqual({ events: [], error: undefined });
  });

  it('hands a chunk of BITS out when its data are all there, and not before', () => {
    const decoder = new SectionDecoder();
    const bytes = bitsChunk(0, 8192, fill(32, 1));
    expect([...decoder.push(bytes.slice(0, -1))]).toEqual([]);
    expect(decoder.settledOffset).toBe(0);
    expect([...decoder.push(bytes.slice(-1))]).toHaveLength(1);
    expect(decoder.settledOffset).toBe(bytes.length);
  });

  it('gives data as a view of the piece where they lie in one', () => {
    const piece = join(bitsChunk(0, 8192, fill(32, 1)), EOS);
    const [event] = new SectionDecoder().push(piece);
    if (event?.type !== 'chunk' || event.chunk.kind !== 'bits') throw new Error('no BITS chunk');
    expect(event.chunk.data.buffer).toBe(piece.buffer);
    expect(event.chunk.data.byteOffset).toBe(21);
  });

  it('leaves out a chunk whose range no number holds, says so, and goes on behind it', () => {
    const bad = bitsChunk((1n << 63n) + 5n, 9, hex('aabb'));
    expect(decode([join(0x20, bad, completeChunk(names), EOS)]).events).toMatchObject([
      { kind: 'complete' },
      { type: 'bad-chunk', code: 'sector-overflow', offset: 1, length: bad.length },
      { kind: 'complete', offset: 1 + bad.length },
      { kind: 'bare' },
    ]);
  });

  it('says in the message which sectors no number holds', () => {
    const [event] = new SectionDecoder().push(zeroesChunk((1n << 63n) + 5n, 9));
    expect(event).toMatchObject({ message: expect.stringContaining('sectors 9223372036854775813 + 9') });
  });
});

describe('an error of a SectionDecoder', () => {
  const tooLarge = join(0x20, hex('40 0000000000000000 00000001 8000000000000000'));

  it('comes after the events before it', () => {
    const { events, error } = decode([tooLarge]);
    expect(events).toMatchObject([{ kind: 'complete' }]);
    expect(error).toMatchObject({ code: 'bits-size-limit', offset: 14, path: 'size' });
  });

  it('is the same object for ever after', () => {
    const decoder = new SectionDecoder();
    const events = decoder.push(tooLarge);
    const first = errorOf(() => [...events]);
    expect(errorOf(() => decoder.push(hex('01')))).toBe(first);
    expect(errorOf(() => decoder.finish())).toBe(first);
    expect(errorOf(() => decoder.push(hex('')))).toBe(first);
  });

  it('leaves the next decoder alone', () => {
    decode([tooLarge]);
    expect(decode([SECTIONS]).error).toBeUndefined();
  });

  it('is stream-cut at the end of the input where that is inside a section, wherever it is cut', () => {
    const ends = [25, 26, SECTIONS.length];
    for (let length = 1; length <= SECTIONS.length; length++) {
      const { error } = decode([SECTIONS.slice(0, length)], { offset: 70 });
      if (ends.includes(length)) {
        expect(error).toBeUndefined();
        continue;
      }
      expect(error).toMatchObject({ code: 'stream-cut', offset: 70 + length });
      expect(error?.message).toMatch(/at least \d+ more bytes? expected/);
    }
  });

  it('says that the input was cut inside the bits of a chunk, and how much is missing', () => {
    const bytes = bitsChunk(0, 8192, fill(32, 1));
    const { error } = decode([bytes.slice(0, -5)]);
    expect(error?.message).toContain('inside the bits of a chunk');
    expect(error?.message).toContain('at least 5 more bytes');
  });

  it('is limit where the sections name more bitmaps than allowed', () => {
    const { events, error } = decode([SECTIONS], { limits: { maxBitmaps: 1 } });
    expect(events).toHaveLength(1);
    expect(error).toMatchObject({ code: 'limit', offset: 15 });
  });

  it('is argument where a limit makes no sense', () => {
    for (const value of [-1, 1.5, Number.NaN, 2 ** 53]) {
      const error = errorOf(() => new SectionDecoder({ limits: { maxBitsBytes: value } }));
      expect(error).toMatchObject({
        code: 'argument',
        message: expect.stringContaining('limit maxBitsBytes: expected'),
      });
    }
  });
});
