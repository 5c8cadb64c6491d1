import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonReader } from '../../src/set/json-reader.js';
import { errorOf, mutated, resultOf } from './arbitrary.js';

const readerOf = (text: string): JsonReader => new JsonReader(new TextEncoder().encode(text));

/** Whether JSON.parse takes a text. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether the reader takes a text. */
function isRead(text: string): boolean {
  const reader = readerOf(text);
  return !(
    resultOf(() => {
      reader.skip();
      reader.end();
    }) instanceof Error
  );
}

describe('JsonReader', () => {
  const json = fc.oneof(
    fc.json({ maxDepth: 4, stringUnit: 'binary' }),
    fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value, null, 2)),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc
      .array(fc.constantFrom(...'[]{},:"\\/u0123456789abcdefE+-.truefalsnl \t\n\r'), { maxLength: 8 })
      .map((all) => all.join('')),
  );

  it('takes exactly what JSON.parse takes', () => {
    fc.assert(
      fc.property(json, (text) => {
        expect(isRead(text)).toBe(isJson(text));
      }),
      { numRuns: 3000 },
    );
  });

  it('takes exactly what JSON.parse takes, of mutated documents', () => {
    const ascii = fc.constantFrom(
      ...new TextEncoder().encode('[]{},:"\\/u0123456789aFeE+-.truefalsnl \t\n\r\0\x1f\x7f\v'),
    );
    const bytes = mutated(
      json.map((text) => new TextEncoder().encode(text.replace(/[^\0-\x7f]/gu, '?'))),
      ascii,
    );
    fc.assert(
      fc.property(bytes, (all) => {
        const text = new TextDecoder().decode(all);
        expect(isRead(text)).toBe(isJson(text));
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    '01',
    '-',
    '+1',
    '1.',
    '.5',
    '1e',
    '1e+',
    '0x1',
    '--1',
    '"\t"',
    '"\\x41"',
    '"\\u12g4"',
    '"\\u123',
    '"\\',
    '"',
    "'a'",
  ])('refuses %s as JSON.parse does', (text) => {
    expect(isJson(text)).toBe(false);
    expect(isRead(text)).toBe(false);
  });

  it('reads texts as JSON.parse does', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.nat({ max: 0xffff }).map((c) => String.fromCharCode(c)) }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        // JSON.stringify escapes surrogates that stand alone, so that what is read may hold them.
        expect(readerOf(JSON.stringify(text)).text()).toBe(text);
      }),
    );
  });

  it('reads whole numbers as JSON.parse does, and refuses all others', () => {
    const numbers = fc.oneof(
      fc.maxSafeInteger().map(String),
      fc.double().map(String),
      fc.bigInt({ min: 0n, max: 2n ** 60n }).map(String),
      fc.tuple(fc.integer(), fc.nat({ max: 20 })).map(([digits, exponent]) => `${digits}e${exponent}`),
      fc.tuple(fc.nat(), fc.nat()).map(([whole, part]) => `${whole}.${part}`),
      fc.constantFrom(
        '0',
        '-0',
        '-0.0',
        '9007199254740991',
        '9007199254740992',
        '9007199254740993',
        '9007199254740992.0',
        '9.007199254740993e15',
        '999999999999999',
      ),
    );
    fc.assert(
      fc.property(numbers, (text) => {
        const value = isJson(text) ? JSON.parse(text) : Number.NaN;
        const result = resultOf(() => readerOf(text).uint());
        const exact = Number.isSafeInteger(value) || text === '9007199254740992';
        if (exact && value >= 0) expect(result).toBe(value + 0);
        else expect(result).toBeInstanceOf(Error);
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses a number of endless digits', () => {
    expect(errorOf(() => readerOf('1'.repeat(100_000)).uint()).message).toMatch(
      /expected a number of at most 1100 characters, found 1{24}\.\.\.;/,
    );
    expect(errorOf(() => readerOf(`0.${'0'.repeat(100_000)}`).uint()).message).toMatch(/at most 1100 characters/);
  });

  it('passes over values of any kind', () => {
    const reader = readerOf(' [null, true, false, -1.5e-3, "\\"", {"a": {}, "b": []}, []] 7 ');
    reader.skip();
    expect(reader.uint()).toBe(7);
    reader.end();
  });

  it('gives the path and the byte of what it refuses', () => {
    const reader = readerOf('{"a": [0, {"ä b": [1, 2, x]}]}');
    const numbers = () => reader.array(() => reader.uint());
    const error = errorOf(() =>
      reader.object(() => reader.array((index) => (index === 0 ? reader.uint() : reader.object(numbers)))),
    );
    expect(error).toMatchObject({ code: 'set-invalid', path: 'a[1]["ä b"][2]', offset: 26 });
    expect(error.message).toMatch(/^a\[1\]\["ä b"\]\[2\]: expected a whole number from 0 to 2\^53, found x; give/);
  });

  it('shows what it found without letting it out', () => {
    const found = (text: string): string | undefined =>
      /found (.*);/s.exec(errorOf(() => readerOf(text).uint()).message)?.[1];
    expect(found('"\u001b[2J"')).toBe('"\\x1b[2J"');
    expect(found('\u001b[2J')).toBe('\\x1b');
    expect(found('\u202e')).toBe('\\u{202e}');
    expect(found(`"${'a'.repeat(100)}"`)).toBe(`"${'a'.repeat(23)}...`);
    expect(found('truely')).toBe('truely');
    expect(found('')).toBe('the end of the document');
  });
});
