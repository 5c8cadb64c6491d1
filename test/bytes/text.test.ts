import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, nameFromBytes, nameFromText, printable, quoted, toHex } from '../../src/bytes/text.js';
import { hex, join } from '../support/stream-builder.js';

/** Text of any characters: all code points but surrogates. */
const anyText = fc
  .array(fc.oneof(fc.nat(0x10f7ff), fc.nat(0x2100), fc.nat(0x7f)), { maxLength: 30 })
  .map((codes) => String.fromCodePoint(...codes.map((code) => (code < 0xd800 ? code : code + 0x800))));

describe('a name', () => {
  it.each([
    ['of plain ASCII is shown as it is', '6469736b30', 'disk0', true],
    ['of clean UTF-8 is shown as it is', 'c3a4e282acf09f9880', 'ä€😀', true],
    ['of no bytes is empty', '', '', true],
    ['with c0 80 has U+0000 there, as QEMU means it', '61c08062', 'a\0b', true],
    ['with c0 80 beside other UTF-8 is clean', 'c3a4c080c3a4', 'ä\0ä', true],
    ['with a byte order mark keeps it', 'efbbbf61', '\ufeff' + 'a', true],
    ['with a newline is clean: escaping is for who shows it', '610a62', 'a\nb', true],
    ['with a backslash is clean', '5c783030', '\\x00', true],
    ['with a NUL byte shows it as \\x00', '610062', 'a\\x00b', false],
    ['with a stray byte shows it as \\xNN', '61ff62', 'a\\xffb', false],
    ['with a stray continuation shows it as \\xNN', '8061', '\\x80a', false],
    ['with a cut sequence shows each byte of it', '61e282', 'a\\xe2\\x82', false],
    ['with a cut sequence goes on behind it', 'e28261', '\\xe2\\x82a', false],
    ['with a surrogate shows its bytes', 'eda080', '\\xed\\xa0\\x80', false],
    ['with an overlong form other than c0 80 shows its bytes', 'c0af', '\\xc0\\xaf', false],
    ['with a lone c0 shows it', '61c0', 'a\\xc0', false],
    ['above U+10FFFF shows its bytes', 'f4908080', '\\xf4\\x90\\x80\\x80', false],
    ['with dirt keeps the clean sequences around it', 'c3a4ffe282ac', 'ä\\xff€', false],
    ['with dirt still has U+0000 for c0 80', 'ffc080', '\\xff\0', false],
  ])('%s', (_rule, bytes, text, clean) => {
    const name = nameFromBytes(hex(bytes));
    expect(name.text).toBe(text);
    expect(name.clean).toBe(clean);
    expect(toHex(name.bytes)).toBe(bytes);
  });

  it('keeps a copy of its bytes, so that it outlives the piece it came in', () => {
    const piece = hex('6162');
    const name = nameFromBytes(piece);
    piece.fill(0);
    expect(toHex(name.bytes)).toBe('6162');
  });

  it('from a text has the text again, and its bytes are those that the text came from', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const name = nameFromText(text);
        expect(name).toMatchObject({ text, clean: true });
        expect(nameFromBytes(name.bytes)).toEqual(name);
      }),
    );
  });

  it('from a text has c0 80 for U+0000', () => {
    expect(toHex(nameFromText('\0a\0').bytes)).toBe('c08061c080');
  });

  it('from any bytes is clean only where its text leads back to those bytes', () => {
    const dirty = fc.uint8Array({ maxLength: 12 });
    const nearlyClean = fc
      .array(fc.constantFrom('61', 'c3a4', 'c080', 'e282ac', 'f09f9880', 'ff', '00', 'e2', 'c0', 'efbbbf'), {
        maxLength: 8,
      })
      .map((parts) => hex(parts.join('')));
    fc.assert(
      fc.property(fc.oneof(dirty, nearlyClean), (bytes) => {
        const name = nameFromBytes(bytes);
        expect(toHex(name.bytes)).toBe(toHex(bytes));
        if (name.clean) expect(toHex(nameFromText(name.text).bytes)).toBe(toHex(bytes));
        else expect(name.text).toMatch(/\\x[0-9a-f]{2}/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('text for terminals', () => {
  it.each([
    ['a newline', 'a\nb', 'a\\nb'],
    ['a tab', 'a\tb', 'a\\tb'],
    ['escape sequences', '\x1b[31mred', '\\x1b[31mred'],
    ['carriage return and backspace', 'a\r\b', 'a\\x0d\\x08'],
    ['NUL and DEL', '\0\x7f', '\\x00\\x7f'],
    ['C1 controls', '\x9b', '\\x9b'],
    ['bidirectional overrides', 'a\u202eb', 'a\\u{202e}b'],
    ['bidirectional isolates', '\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['zero-width characters', 'a\u200b\u200d\ufeff', 'a\\u{200b}\\u{200d}\\u{feff}'],
    ['a soft hyphen', '\xad', '\\xad'],
    ['line and paragraph separators', '\u2028\u2029', '\\u{2028}\\u{2029}'],
    ['surrogates that stand alone', '\ud800x', '\\u{d800}x'],
    ['private use and what is not assigned', '\ue000\u{e0080}', '\\u{e000}\\u{e0080}'],
    ['tags, which are invisible', '\u{e0041}', '\\u{e0041}'],
  ])('escapes %s', (_what, text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('leaves letters, marks, signs and spaces alone', () => {
    const text = 'disk-0_ä é 漢字 😀 #block123 "x" \\n';
    expect(printable(text)).toBe(text);
  });

  it('never lets a control or format character through', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
      }),
    );
  });
});

describe('quoted text', () => {
  it('stands in double quotes and is printable', () => {
    expect(quoted('a\nb')).toBe('"a\\nb"');
  });

  it('is cut to the length asked for, and says so', () => {
    expect(quoted('x'.repeat(64))).toBe(`"${'x'.repeat(64)}"`);
    expect(quoted('x'.repeat(65))).toBe(`"${'x'.repeat(64)}..."`);
    expect(quoted('abcdef', 3)).toBe('"abc..."');
  });

  it('is never cut in the middle of a character', () => {
    for (const max of [1, 2, 3, 63, 64]) expect(quoted('😀'.repeat(64), max)).not.toMatch(/\p{Cs}/u);
  });
});

describe('hexadecimal', () => {
  it('has two digits a byte, and reads back', () => {
    expect(toHex(join(0, 1, 0xab))).toBe('0001ab');
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
  });

  it('is read in either case, and is nothing where it is odd or no digits', () => {
    expect(fromHex('AbCd')).toEqual(hex('abcd'));
    expect(fromHex('')).toEqual(new Uint8Array(0));
    for (const text of ['a', 'abc', 'zz', '0x', ' 1', '1 ', '-1']) expect(fromHex(text)).toBeUndefined();
  });
});
