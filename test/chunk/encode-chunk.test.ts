import { describe, expect, it } from 'vitest';
import { nameFromText, toHex } from '../../src/bytes/text.js';
import { type ChunkInput, encodeChunk } from '../../src/chunk/encode-chunk.js';
import { FLAG } from '../../src/chunk/flags.js';
import { errorOf } from '../bytes/error-of.js';
import { bitsChunk, completeChunk, hex, join, startChunk, u64, zeroesChunk } from '../support/stream-builder.js';

const node = nameFromText('disk0');
const bitmap = nameFromText('b0');
const NAMES = FLAG.DEVICE_NAME | FLAG.BITMAP_NAME;

describe('encodeChunk writes', () => {
  it('START, as QEMU does', () => {
    const chunk: ChunkInput = {
      kind: 'start',
      flags: FLAG.START | NAMES,
      flagsWidth: 1,
      node,
      bitmap,
      granularity: 65_536,
      startFlags: 3,
    };
    expect(encodeChunk(chunk)).toEqual(startChunk({ node: 'disk0', bitmap: 'b0' }, 65_536, 3));
  });

  it('COMPLETE and EOS', () => {
    expect(encodeChunk({ kind: 'complete', flags: FLAG.COMPLETE, flagsWidth: 1 })).toEqual(completeChunk());
    expect(encodeChunk({ kind: 'bare', flags: FLAG.EOS, flagsWidth: 1 })).toEqual(hex('01'));
  });

  it('BITS with its data, and ZEROES without any', () => {
    const range = { firstSector: 2 ** 40, sectorCount: 2 ** 31 };
    const data = hex('0102030405060708');
    expect(encodeChunk({ kind: 'bits', flags: FLAG.BITS, flagsWidth: 1, ...range, data })).toEqual(
      bitsChunk(2 ** 40, 2 ** 31, data),
    );
    expect(encodeChunk({ kind: 'zeroes', flags: FLAG.BITS | FLAG.ZEROES, flagsWidth: 1, ...range })).toEqual(
      zeroesChunk(2 ** 40, 2 ** 31),
    );
  });

  it('names of any bytes, up to 255 of them', () => {
    const bytes = new Uint8Array(255).fill(0xff);
    expect(encodeChunk({ kind: 'bare', flags: FLAG.DEVICE_NAME, flagsWidth: 1, node: { bytes } })).toEqual(
      join(FLAG.DEVICE_NAME, 255, bytes),
    );
  });

  it('any width of flags that it is asked for', () => {
    const shown = ([1, 2, 4] as const).map((flagsWidth) =>
      toHex(encodeChunk({ kind: 'complete', flags: 0x21, flagsWidth })),
    );
    expect(shown).toEqual(['21', '8021', '80800021']);
  });
});

describe('encodeChunk refuses', () => {
  const good = { flagsWidth: 1 } as const;
  it.each<[rule: string, chunk: ChunkInput, says: RegExp]>([
    [
      'flags of another kind',
      { ...good, kind: 'complete', flags: FLAG.START },
      /flags 0x10 are of a start chunk, not of complete/,
    ],
    [
      'flags of a kind that is outranked',
      { ...good, kind: 'bits', flags: FLAG.BITS | FLAG.COMPLETE, firstSector: 0, sectorCount: 1, data: hex('') },
      /of a complete chunk/,
    ],
    [
      'ZEROES for BITS',
      { ...good, kind: 'bits', flags: FLAG.BITS | FLAG.ZEROES, firstSector: 0, sectorCount: 1, data: hex('') },
      /of a zeroes chunk/,
    ],
    [
      'a node name without its flag',
      { ...good, kind: 'bare', flags: 0, node },
      /disagree on whether there is a node name/,
    ],
    ['the flag of a node name without one', { ...good, kind: 'bare', flags: FLAG.DEVICE_NAME }, /a node name/],
    ['a bitmap name without its flag', { ...good, kind: 'bare', flags: 0, bitmap }, /a bitmap name/],
    ['the flag of a bitmap name without one', { ...good, kind: 'bare', flags: FLAG.BITMAP_NAME }, /a bitmap name/],
    ['flags that do not fit their width', { ...good, kind: 'complete', flags: 0x120 }, /a field of 1 bytes can hold/],
    ['marker bits', { kind: 'complete', flags: 0x80_0020, flagsWidth: 4 }, /a field of 4 bytes can hold/],
    [
      'a name of 256 bytes',
      { ...good, kind: 'bare', flags: FLAG.DEVICE_NAME, node: { bytes: new Uint8Array(256) } },
      /from 0 to 255, found 256/,
    ],
    [
      'a granularity above 2^32-1',
      { ...good, kind: 'start', flags: FLAG.START, granularity: 2 ** 32, startFlags: 0 },
      /from 0 to 4294967295, found 4294967296/,
    ],
    [
      'a START byte above 255',
      { ...good, kind: 'start', flags: FLAG.START, granularity: 512, startFlags: 256 },
      /found 256/,
    ],
    [
      'a first sector above 2^53-1',
      { ...good, kind: 'zeroes', flags: 0x42, firstSector: 2 ** 53, sectorCount: 1 },
      /found 9007199254740992/,
    ],
    [
      'a count of 2^32 sectors, which QEMU cuts to 0',
      { ...good, kind: 'zeroes', flags: 0x42, firstSector: 0, sectorCount: 2 ** 32 },
      /found 4294967296/,
    ],
    ['half a sector', { ...good, kind: 'zeroes', flags: 0x42, firstSector: 0.5, sectorCount: 1 }, /found 0.5/],
  ])('%s', (_rule, chunk, says) => {
    expect(errorOf(() => encodeChunk(chunk))).toMatchObject({ code: 'argument', message: expect.stringMatching(says) });
  });

  it('nothing in a size: it is the length of the data', () => {
    const chunk = encodeChunk({
      ...good,
      kind: 'bits',
      flags: 0x40,
      firstSector: 0,
      sectorCount: 1,
      data: new Uint8Array(20_000),
    });
    expect(chunk.subarray(13, 21)).toEqual(u64(20_000));
  });
});
