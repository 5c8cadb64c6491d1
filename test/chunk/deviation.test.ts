import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/bytes/text.js';
import { decodeChunk } from '../../src/chunk/decode-chunk.js';
import { DEVIATION_BIT, DEVIATIONS, type Deviation, deviationsOf, refusalMask } from '../../src/chunk/deviation.js';
import { encodeChunk } from '../../src/chunk/encode-chunk.js';
import { SectionDecoder } from '../../src/chunk/section-decoder.js';
import { RULES } from '../../src/rules.js';
import { errorOf } from '../bytes/error-of.js';
import { hex } from '../support/stream-builder.js';

interface Case {
  readonly code: Deviation;
  readonly what: string;
  readonly bytes: string;
  /** What the message says was expected and found. */
  readonly says: RegExp;
}

const CASES: readonly Case[] = [
  {
    code: 'name-empty',
    what: 'a node name of no bytes',
    bytes: '08 00',
    says: /1 to 255 bytes was expected, found.* 0 bytes/,
  },
  { code: 'name-empty', what: 'a bitmap name of no bytes', bytes: '14 00 00010000 00', says: /found one of 0 bytes/ },
  { code: 'name-nul', what: 'NUL in a node name', bytes: '08 03 610062', says: /without NUL was expected/ },
  {
    code: 'name-nul',
    what: 'NUL at the end of a bitmap name',
    bytes: '04 02 6100',
    says: /ends the name at the first NUL/,
  },
  {
    code: 'flags-two-kinds',
    what: 'START beside COMPLETE',
    bytes: '30 00010000 00',
    says: /0x30: expected one of START, COMPLETE, BITS, found several; decoded as start/,
  },
  { code: 'flags-two-kinds', what: 'COMPLETE beside BITS', bytes: '60', says: /0x60.*decoded as complete/ },
  {
    code: 'flags-zeroes-without-bits',
    what: 'ZEROES alone',
    bytes: '02',
    says: /flags 0x2: ZEROES means nothing without BITS/,
  },
  { code: 'flags-zeroes-without-bits', what: 'ZEROES beside COMPLETE', bytes: '22', says: /0x22/ },
  {
    code: 'flags-unknown',
    what: 'a flag above 0x7f',
    bytes: '8121',
    says: /flags 0x121: bits above 0x7f are not defined/,
  },
  { code: 'flags-unknown', what: 'the flag 0x80', bytes: '808000a0', says: /flags 0xa0/ },
  {
    code: 'flags-wide',
    what: 'two bytes where one would do',
    bytes: '8020',
    says: /flags 0x20 stand in 2 bytes where fewer would do/,
  },
  { code: 'flags-wide', what: 'four bytes where one would do', bytes: '80800020', says: /flags 0x20 stand in 4 bytes/ },
  {
    code: 'flags-wide',
    what: 'four bytes where two would do',
    bytes: '80800120',
    says: /flags 0x120 stand in 4 bytes/,
  },
  { code: 'flags-none', what: 'no flag', bytes: '00', says: /without any flag/ },
  { code: 'flags-none', what: 'no flag in two bytes', bytes: '8000', says: /without any flag/ },
  {
    code: 'granularity-invalid',
    what: 'a granularity of 0',
    bytes: '10 00000000 00',
    says: /expected a power of two from 512 to 2147483648 bytes, found 0/,
  },
  { code: 'granularity-invalid', what: 'a granularity of 256', bytes: '10 00000100 00', says: /found 256/ },
  { code: 'granularity-invalid', what: 'a granularity of 1536', bytes: '10 00000600 00', says: /found 1536/ },
  { code: 'granularity-invalid', what: 'a granularity of 3 GiB', bytes: '10 c0000000 00', says: /found 3221225472/ },
  { code: 'granularity-invalid', what: 'a granularity of 2^32-1', bytes: '10 ffffffff 00', says: /found 4294967295/ },
  {
    code: 'start-flags-reserved',
    what: 'bit 3 of the START byte',
    bytes: '10 00010000 08',
    says: /START byte 0x8: bits 3 to 7 must be zero/,
  },
  { code: 'start-flags-reserved', what: 'bit 7 of the START byte', bytes: '10 00010000 80', says: /START byte 0x80/ },
  {
    code: 'start-flags-autoload',
    what: 'bit 2 of the START byte',
    bytes: '10 00010000 05',
    says: /START byte 0x5: bit 2 \(autoload\) is obsolete/,
  },
  {
    code: 'sector-count-zero',
    what: 'BITS of no sectors',
    bytes: '40 0000000000000000 00000000 0000000000000000',
    says: /a bits chunk of 0 sectors at sector 0/,
  },
  {
    code: 'sector-count-zero',
    what: 'ZEROES of no sectors, not at 0',
    bytes: '42 0000000000002000 00000000',
    says: /a zeroes chunk of 0 sectors at sector 8192/,
  },
  {
    code: 'sector-overflow',
    what: 'a range that ends above 2^53 bytes',
    bytes: '42 0000100000000000 00000001',
    says: /sectors 17592186044416 \+ 1: the range must end .*2\^53 bytes/,
  },
  {
    code: 'sector-overflow',
    what: 'a first sector that wraps in QEMU',
    bytes: '42 0080000000000000 00000040',
    says: /sectors 36028797018963968 \+ 64/,
  },
  {
    code: 'sector-overflow',
    what: 'the largest first sector',
    bytes: '40 ffffffffffffffff ffffffff 0000000000000000',
    says: /sectors 18446744073709551615 \+ 4294967295/,
  },
];

/** A sector that no number holds cannot be decoded as QEMU does. */
const FATAL: readonly Deviation[] = ['sector-overflow'];

describe('a deviation', () => {
  it('has at least one case here for every code', () => {
    expect([...new Set(CASES.map(({ code }) => code))].sort()).toEqual([...DEVIATIONS].sort());
  });

  it('has a rule for every code', () => {
    for (const code of DEVIATIONS) expect(RULES[code].rule).not.toBe('');
  });

  it.each(CASES.filter(({ code }) => !FATAL.includes(code)))(
    '$code is decoded, listed and written back: $what',
    ({ code, bytes }) => {
      const chunk = decodeChunk(hex(bytes));
      if (typeof chunk === 'number') throw new Error('more bytes needed');
      expect(chunk.deviations).toContain(code);
      expect(chunk.length).toBe(hex(bytes).length);
      expect(toHex(encodeChunk(chunk))).toBe(toHex(hex(bytes)));
    },
  );

  it.each(CASES)('$code is an error where it is refused: $what', ({ code, bytes, says }) => {
    for (const refuse of [[code], 'all'] as const) {
      const error = errorOf(() => decodeChunk(hex(bytes), 0, { refuse, offset: 500 }));
      // Where all are refused, one that comes before it in the list may be told instead.
      if (refuse !== 'all') expect(error.code).toBe(code);
      expect(error.offset).toBe(500);
      if (error.code === code) expect(error.message).toMatch(says);
    }
  });

  it.each(CASES)(
    '$code is an error of a section decoder that refuses it, at its chunk: $what',
    ({ code, bytes, says }) => {
      const decoder = new SectionDecoder({ refuse: [code], offset: 1000 });
      const push = (): void => {
        for (const event of decoder.push(hex(`2001${bytes}01`))) expect(event).toMatchObject({ type: 'chunk' });
      };
      expect(errorOf(push)).toMatchObject({ code, offset: 1002, message: expect.stringMatching(says) });
    },
  );

  it.each(CASES.filter(({ code }) => !FATAL.includes(code)))(
    '$code is no error where only the others are refused: $what',
    ({ code, bytes }) => {
      const deviations = (decodeChunk(hex(bytes)) as { deviations: readonly Deviation[] }).deviations;
      const refuse = DEVIATIONS.filter((other) => other !== code && !deviations.includes(other));
      expect(decodeChunk(hex(bytes), 0, { refuse })).toMatchObject({ deviations });
    },
  );

  it.each(CASES.filter(({ code }) => FATAL.includes(code)))(
    '$code is always an error of decodeChunk, because no number holds the sector: $what',
    ({ code, bytes, says }) => {
      expect(errorOf(() => decodeChunk(hex(bytes)))).toMatchObject({
        code,
        offset: 0,
        message: expect.stringMatching(says),
      });
    },
  );
});

describe('what is no deviation', () => {
  it.each([
    [
      'every granularity from 512 bytes to 2 GiB',
      Array.from({ length: 23 }, (_, at) => `10 ${(2 ** (9 + at)).toString(16).padStart(8, '0')} 00`),
    ],
    [
      'the flags that QEMU sends',
      ['01', '20', '1c 01 61 01 62 00010000 01', '4c 01 61 01 62 0000000000000000 00000001 0000000000000001 01'],
    ],
    ['both defined START bits', ['10 00010000 00', '10 00010000 01', '10 00010000 02', '10 00010000 03']],
    ['names of 1 and of 255 bytes', ['04 01 61', `04 ff ${'61'.repeat(255)}`]],
    ['c0 80 in a name, which is U+0000 and not NUL', ['04 02 c080']],
    [
      'ZEROES of no sectors at 0, and ranges that end at 2^53 bytes',
      ['42 0000000000000000 00000000', '42 00000fffffffffff 00000001'],
    ],
    [
      'EOS on any kind',
      ['11 00010000 00', '21', '43 0000000000000000 00000001', '41 0000000000000000 00000001 0000000000000000'],
    ],
  ])('%s', (_what, chunks) => {
    for (const text of chunks) expect(decodeChunk(hex(text), 0, { refuse: 'all' })).toMatchObject({ deviations: [] });
  });
});

describe('the bits of deviations', () => {
  it('are different, and stand for the codes in their order', () => {
    expect(deviationsOf(refusalMask('all'))).toEqual(DEVIATIONS);
    expect(deviationsOf(0)).toEqual([]);
    for (const code of DEVIATIONS) expect(deviationsOf(DEVIATION_BIT[code])).toEqual([code]);
  });

  it('of a refusal are those of what is refused', () => {
    expect(refusalMask('none')).toBe(0);
    expect(refusalMask([])).toBe(0);
    expect(deviationsOf(refusalMask(['flags-wide', 'name-empty']))).toEqual(['name-empty', 'flags-wide']);
  });

  it('are all told of a chunk that breaks many rules', () => {
    const chunk = decodeChunk(hex('ffff0032 00 0100 00000001 ff'.replace('0032', 'ff3e')));
    expect(chunk).toMatchObject({
      deviations: [
        'name-empty',
        'name-nul',
        'flags-two-kinds',
        'flags-zeroes-without-bits',
        'flags-unknown',
        'granularity-invalid',
        'start-flags-reserved',
        'start-flags-autoload',
      ],
    });
  });
});
