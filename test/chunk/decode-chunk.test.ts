import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/bytes/text.js';
import type { Chunk } from '../../src/chunk/chunk.js';
import { decodeChunk } from '../../src/chunk/decode-chunk.js';
import { encodeChunk } from '../../src/chunk/encode-chunk.js';
import { errorOf } from '../bytes/error-of.js';
import { chunkBytes } from '../support/arbitraries.js';
import { fill, hex, join, u64 } from '../support/stream-builder.js';

/** The chunk that the bytes are: all of them. */
function decoded(bytes: Uint8Array): Chunk {
  const chunk = decodeChunk(bytes);
  if (typeof chunk === 'number') throw new Error(`${chunk} bytes needed, ${bytes.length} there`);
  expect(chunk.length).toBe(bytes.length);
  return chunk;
}

const NAMES = '05 6469736b30 02 6230';
const NAMED = { node: 'disk0', bitmap: 'b0' };

interface Meaning extends Partial<Omit<Chunk, 'node' | 'bitmap'>> {
  readonly kind: Chunk['kind'];
  readonly flags: number;
  readonly node?: string;
  readonly bitmap?: string;
  readonly [field: string]: unknown;
}

/** What each hexadecimal chunk means. Every one is well-formed, or deviates in a way that can be followed. */
const TABLE: readonly [rule: string, bytes: string, meaning: Meaning][] = [
  ['EOS alone ends a section', '01', { kind: 'bare', flags: 1, eos: true }],
  ['COMPLETE has no body', '20', { kind: 'complete', flags: 0x20 }],
  ['COMPLETE may carry EOS', '21', { kind: 'complete', flags: 0x21, eos: true }],
  [
    'START has a granularity of four bytes and one byte of flags',
    `1c ${NAMES} 00010000 03`,
    { kind: 'start', flags: 0x1c, granularity: 65_536, startFlags: 3, ...NAMED },
  ],
  ['START needs no names', '10 80000000 00', { kind: 'start', flags: 0x10, granularity: 2 ** 31, startFlags: 0 }],
  ['START may carry EOS', '11 00000200 01', { kind: 'start', flags: 0x11, granularity: 512, startFlags: 1, eos: true }],
  [
    'BITS has a range, a size and data',
    '40 0000000000002000 00002000 0000000000000008 0102030405060708',
    { kind: 'bits', flags: 0x40, firstSector: 8192, sectorCount: 8192, data: '0102030405060708' },
  ],
  [
    'BITS keeps its padding, zero or not',
    '40 0000000000000000 00000001 0000000000000004 010000ff',
    { kind: 'bits', flags: 0x40, firstSector: 0, sectorCount: 1, data: '010000ff' },
  ],
  [
    'BITS may have no data',
    '40 0000000000000040 00000040 0000000000000000',
    { kind: 'bits', flags: 0x40, firstSector: 64, sectorCount: 64, data: '' },
  ],
  [
    'BITS may carry EOS',
    '41 0000000000000040 00000001 0000000000000001 ff',
    { kind: 'bits', flags: 0x41, firstSector: 64, sectorCount: 1, data: 'ff', eos: true },
  ],
  [
    'BITS may carry names',
    `4c ${NAMES} 0000000000000040 00000001 0000000000000001 ff`,
    { kind: 'bits', flags: 0x4c, firstSector: 64, sectorCount: 1, data: 'ff', ...NAMED },
  ],
  [
    'BITS with ZEROES has a range and nothing else',
    '42 0000000000002000 ffffffff',
    { kind: 'zeroes', flags: 0x42, firstSector: 8192, sectorCount: 0xffff_ffff },
  ],
  [
    'BITS with ZEROES may carry EOS and names',
    `4f ${NAMES} 0000000000000000 00000040`,
    { kind: 'zeroes', flags: 0x4f, firstSector: 0, sectorCount: 64, eos: true, ...NAMED },
  ],
  [
    'ZEROES of no sectors at sector 0 is right: a disk of no bytes',
    '42 0000000000000000 00000000',
    { kind: 'zeroes', flags: 0x42, firstSector: 0, sectorCount: 0 },
  ],
  [
    'a range may end at 2^53 bytes',
    '42 00000fffffffffff 00000001',
    { kind: 'zeroes', flags: 0x42, firstSector: 2 ** 44 - 1, sectorCount: 1 },
  ],
  ['a node name may come alone', '09 03 6e6f64', { kind: 'bare', flags: 9, node: 'nod', eos: true }],
  ['a bitmap name may come alone', '25 02 6231', { kind: 'complete', flags: 0x25, bitmap: 'b1', eos: true }],
  ['the node name comes first', '0c 01 61 01 62', { kind: 'bare', flags: 0x0c, node: 'a', bitmap: 'b' }],
  ['a name has up to 255 bytes', `04 ff ${'6e'.repeat(255)}`, { kind: 'bare', flags: 4, bitmap: 'n'.repeat(255) }],
  ['a name that is not clean UTF-8 is kept', '04 01 ff', { kind: 'bare', flags: 4, bitmap: '\\xff' }],
  [
    'flags of two bytes stay two',
    '80 20',
    { kind: 'complete', flags: 0x20, flagsWidth: 2, deviations: ['flags-wide'] },
  ],
  [
    'flags of four bytes stay four',
    '80800021',
    { kind: 'complete', flags: 0x21, eos: true, flagsWidth: 4, deviations: ['flags-wide'] },
  ],
  [
    'unknown flags are kept and ignored',
    '8120',
    { kind: 'complete', flags: 0x120, flagsWidth: 2, deviations: ['flags-unknown'] },
  ],
  [
    'unknown flags in every usable bit are kept',
    'ffffffff 01 61 01 62 00010000 00',
    {
      ...{ kind: 'start', flags: 0x7f7f_ffff, flagsWidth: 4, eos: true, node: 'a', bitmap: 'b' },
      ...{ granularity: 65_536, startFlags: 0, deviations: ['flags-two-kinds', 'flags-unknown'] },
    },
  ],
  [
    'bit 7 is a flag only in four bytes',
    '80800080',
    { kind: 'bare', flags: 0x80, flagsWidth: 4, deviations: ['flags-unknown'] },
  ],
  [
    'START outranks COMPLETE and BITS',
    '70 00010000 00',
    { kind: 'start', flags: 0x70, granularity: 65_536, startFlags: 0, deviations: ['flags-two-kinds'] },
  ],
  ['COMPLETE outranks BITS', '60', { kind: 'complete', flags: 0x60, deviations: ['flags-two-kinds'] }],
  [
    'COMPLETE outranks BITS with ZEROES',
    '63',
    { kind: 'complete', flags: 0x63, eos: true, deviations: ['flags-two-kinds'] },
  ],
  [
    'START with ZEROES is START',
    '12 00010000 00',
    {
      ...{ kind: 'start', flags: 0x12, granularity: 65_536, startFlags: 0 },
      deviations: ['flags-zeroes-without-bits'],
    },
  ],
];

const BY_DEFAULT = { flagsWidth: 1, eos: false, offset: 0, deviations: [] };

/** A chunk with its names as text and its data in hexadecimal. */
function shown(chunk: Chunk): object {
  const { node, bitmap } = chunk;
  const data = chunk.kind === 'bits' ? { data: toHex(chunk.data) } : {};
  return { ...chunk, node: node?.text, bitmap: bitmap?.text, ...data };
}

describe('decodeChunk', () => {
  it.each(TABLE)('%s: %s', (_rule, text, meaning) => {
    const bytes = hex(text);
    expect(shown(decoded(bytes))).toEqual({ ...BY_DEFAULT, length: bytes.length, ...meaning });
  });

  it.each(TABLE)('and encodeChunk give the same bytes: %s: %s', (_rule, text) => {
    expect(toHex(encodeChunk(decoded(hex(text))))).toBe(toHex(hex(text)));
  });

  it('and encodeChunk give the same bytes for any chunk there is', () => {
    fc.assert(
      fc.property(chunkBytes(), (bytes) => {
        expect(toHex(encodeChunk(decoded(bytes)))).toBe(toHex(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it.each(TABLE)('asks for more bytes, and not for too many, at every prefix: %s: %s', (_rule, text) => {
    const bytes = hex(text);
    expectNeeds(bytes);
  });

  it('asks for more bytes, and not for too many, at every prefix of any chunk', () => {
    fc.assert(
      fc.property(chunkBytes(), (bytes) => {
        expectNeeds(bytes);
      }),
      { numRuns: 200 },
    );
  });

  it('reads behind other bytes, and says where it read', () => {
    const chunk = decodeChunk(hex('ffff 42 0000000000000040 00000040 ffff'), 2);
    expect(chunk).toMatchObject({ kind: 'zeroes', offset: 2, length: 13 });
    expect(decodeChunk(hex('ffff01'), 2, { offset: 1000 })).toMatchObject({ kind: 'bare', offset: 1000 });
    expect(decodeChunk(hex('ffff'), 2)).toBe(1);
  });

  it.each([-1, 2, 1.5, Number.NaN])('refuses to read at position %d of one byte', (pos) => {
    const error = errorOf(() => decodeChunk(hex('01'), pos));
    expect(error).toMatchObject({ code: 'argument', message: `pos: expected 0 to 1, found ${pos}` });
  });

  it('gives data as a view, and names as copies', () => {
    const bytes = hex(`4c ${NAMES} 0000000000000040 00000001 0000000000000001 ff`);
    const chunk = decoded(bytes);
    bytes.fill(0x61);
    expect(chunk).toMatchObject({ node: { bytes: hex('6469736b30') }, bitmap: { bytes: hex('6230') } });
    expect(chunk.kind === 'bits' && toHex(chunk.data)).toBe('61');
  });

  it('does not share anything between two chunks', () => {
    const first = decoded(hex('1c 01 61 01 62 00010000 03'));
    decoded(hex('1c 01 78 01 79 00000200 00'));
    expect(first).toMatchObject({ granularity: 65_536, startFlags: 3, node: { text: 'a' }, bitmap: { text: 'b' } });
  });
});

describe('the size of BITS', () => {
  const bits = (size: bigint | number): Uint8Array => join(hex('40 0000000000000000 00000001'), u64(size));

  it('may be 10240, and is waited for', () => {
    expect(decodeChunk(bits(10_240))).toBe(21 + 10_240);
    expect(decodeChunk(join(bits(10_240), fill(10_240)))).toMatchObject({ length: 21 + 10_240 });
  });

  it.each([10_241n, 1n << 32n, 1n << 53n, 1n << 63n, (1n << 64n) - 1n])(
    'is refused at %d as soon as it is read, before any byte of the data',
    (size) => {
      const error = errorOf(() => decodeChunk(join(0, bits(size)), 1, { offset: 100 }));
      expect(error).toMatchObject({ code: 'bits-size-limit', offset: 113, path: 'size' });
      expect(error.message).toContain(`expected at most 10240 bytes, found ${size}`);
      expect(decodeChunk(bits(size).subarray(0, 20))).toBe(21);
    },
  );

  it('is refused where the chunk has names, with the offset of the field', () => {
    const named = join(hex('4c 01 61 01 62 0000000000000000 00000001'), u64(1n << 63n));
    expect(errorOf(() => decodeChunk(named))).toMatchObject({ code: 'bits-size-limit', offset: 17 });
  });

  it('is refused where another limit is asked for', () => {
    expect(decodeChunk(bits(20_000), 0, { maxBitsBytes: 20_000 })).toBe(20_021);
    expect(errorOf(() => decodeChunk(bits(9), 0, { maxBitsBytes: 8 })).message).toContain('at most 8 bytes, found 9');
  });
});

/** Every true prefix is answered with a count of bytes that is more than it has and no more than the chunk has. */
function expectNeeds(bytes: Uint8Array): void {
  // Data are waited for in one piece, so the prefixes in the middle of long data say nothing new.
  const lengths = Array.from({ length: bytes.length }, (_, at) => at);
  for (const length of lengths.filter((at) => at < 600 || at > bytes.length - 4)) {
    const need = decodeChunk(bytes.subarray(0, length));
    if (typeof need !== 'number') throw new Error(`a chunk of ${bytes.length} bytes was read from ${length}`);
    if (need <= length || need > bytes.length)
      throw new Error(`${need} bytes asked for with ${length} of ${bytes.length}`);
  }
  expect(decodeChunk(bytes)).toBeTypeOf('object');
}
