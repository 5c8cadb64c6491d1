import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTraceItem, type TraceItem } from '../../src/capture/trace.js';
import { parseTraceLine, traceLine } from '../../src/capture/trace-json.js';
import { errorOf } from '../bytes/error-of.js';
import { nameBytes } from '../support/arbitraries.js';
import { hex } from '../support/stream-builder.js';

const CHUNK = { type: 'chunk', offset: 0, length: 1, kind: 'complete', flags: 0x20, flagsWidth: 1 } as const;

describe('a line of a trace', () => {
  it.each<[what: string, item: TraceItem, line: object]>([
    [
      'a chunk with clean names',
      { ...CHUNK, node: hex('c3a4'), bitmap: hex('c080') },
      { ...CHUNK, node: 'ä', bitmap: '\0' },
    ],
    [
      'a chunk with names that are not clean',
      { ...CHUNK, node: hex('ff00'), bitmap: hex('61') },
      { ...CHUNK, nodeHex: 'ff00', bitmap: 'a' },
    ],
    ['a chunk with empty names', { ...CHUNK, node: hex('') }, { ...CHUNK, node: '' }],
    [
      'BITS with data in base64',
      { ...CHUNK, kind: 'bits', flags: 0x40, firstSector: 0, sectorCount: 1, data: hex('00ff10') },
      { ...CHUNK, kind: 'bits', flags: 0x40, firstSector: 0, sectorCount: 1, data: 'AP8Q' },
    ],
    [
      'bytes',
      { type: 'bytes', offset: 5, length: 1, data: hex('ff') },
      { type: 'bytes', offset: 5, length: 1, data: '/w==' },
    ],
    [
      'a finding without a place',
      { type: 'finding', severity: 'info', code: 'leading-bytes', message: 'x' },
      { type: 'finding', severity: 'info', code: 'leading-bytes', message: 'x' },
    ],
  ])('is JSON: %s', (_what, item, line) => {
    expect(JSON.parse(traceLine(item))).toEqual(line);
    expect(parseTraceLine(traceLine(item))).toEqual(item);
  });

  it('keeps any name', () => {
    fc.assert(
      fc.property(nameBytes, nameBytes, (node, bitmap) => {
        const item = { ...CHUNK, flags: 0x2c, node, bitmap };
        expect(encodeTraceItem(parseTraceLine(traceLine(item)))).toEqual(encodeTraceItem(item));
      }),
    );
  });

  it('keeps long data', () => {
    const data = Uint8Array.from({ length: 65_536 }, (_, at) => (at * 7) & 0xff);
    const item = { type: 'bytes', offset: 0, length: data.length, data } as const;
    expect(parseTraceLine(traceLine(item))).toEqual(item);
  });

  it('has no line break inside', () => {
    expect(traceLine({ ...CHUNK, flags: 0x24, bitmap: hex('610a0d62') })).not.toMatch(/[\r\n]/);
  });

  it.each([
    ['nothing', '', /a line of JSON was expected/],
    ['no JSON', '{', /a line of JSON was expected/],
    ['no object', '5', /an object was expected/],
    ['a list', '[]', /an object was expected/],
    ['null', 'null', /an object was expected/],
    ['no type', '{}', /no item of a trace has the type undefined/],
    ['a type that is none', '{"type":"toString"}', /has the type "toString"/],
    ['a type that is no text', '{"type":{}}', /no item of a trace/],
    ['a missing place', '{"type":"end","offset":0}', /length of a end item/],
    ['a negative place', '{"type":"end","offset":-1,"length":1}', /offset of a end item/],
    ['a place that is no number', '{"type":"end","offset":"0","length":1}', /offset of a end item/],
    ['a kind that is none', JSON.stringify({ ...CHUNK, kind: 'x' }), /kind of a chunk item/],
    ['a width that is none', JSON.stringify({ ...CHUNK, flagsWidth: 3 }), /flagsWidth of a chunk item/],
    ['data that are no base64', '{"type":"bytes","offset":0,"length":1,"data":"%"}', /data is not base64/],
    [
      'data that are no text',
      '{"type":"bytes","offset":0,"length":1,"data":5}',
      /data is not base64|data of a bytes item/,
    ],
    ['no data', '{"type":"bytes","offset":0,"length":1}', /data of a bytes item/],
    ['a name that is no hexadecimal', JSON.stringify({ ...CHUNK, nodeHex: 'xx' }), /nodeHex is not hexadecimal/],
    ['a name that is no text', JSON.stringify({ ...CHUNK, bitmap: 5 }), /bitmap is no text/],
    ['deviations that are none', JSON.stringify({ ...CHUNK, deviations: ['x'] }), /deviations of a chunk item/],
    ['a code that is none', '{"type":"finding","severity":"info","code":"x","message":""}', /code of a finding item/],
    [
      'a severity that is none',
      '{"type":"finding","severity":"x","code":"limit","message":""}',
      /severity of a finding/,
    ],
  ])('is set-invalid where it has %s', (_what, line, says) => {
    expect(errorOf(() => parseTraceLine(line))).toMatchObject({
      code: 'set-invalid',
      message: expect.stringMatching(says),
    });
  });

  it('of any text is an item or set-invalid, and an item has bytes or is refused', () => {
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({
          type: fc.constantFrom('chunk', 'header', 'section', 'footer', 'command', 'end', 'bytes', 'finding'),
          offset: fc.jsonValue(),
          length: fc.jsonValue(),
          data: fc.jsonValue(),
          id: fc.jsonValue(),
          name: fc.jsonValue(),
        })
        .map((value) => JSON.stringify(value)),
      fc
        .record(
          {
            flags: fc.nat(0xffff_ffff),
            kind: fc.constantFrom('start', 'bits', 'zeroes', 'bare', 'complete'),
            node: fc.jsonValue(),
            firstSector: fc.jsonValue(),
            sectorCount: fc.nat(),
            granularity: fc.nat(),
          },
          { requiredKeys: ['kind'] },
        )
        .map((value) => JSON.stringify({ ...CHUNK, ...value })),
    );
    fc.assert(
      fc.property(anything, (line) => {
        let item: TraceItem;
        try {
          item = parseTraceLine(line);
        } catch (error) {
          expect(error).toMatchObject({ name: 'DirtyBitmapError', code: 'set-invalid' });
          return;
        }
        try {
          expect(encodeTraceItem(item)).toBeInstanceOf(Uint8Array);
        } catch (error) {
          expect(error).toMatchObject({ name: 'DirtyBitmapError', code: 'argument' });
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('encodeTraceItem', () => {
  it.each<[what: string, item: object, says: RegExp]>([
    [
      'START without its granularity',
      { ...CHUNK, kind: 'start', flags: 0x10 },
      /a start chunk of a trace lacks a field/,
    ],
    [
      'BITS without data',
      { ...CHUNK, kind: 'bits', flags: 0x40, firstSector: 0, sectorCount: 0 },
      /a bits chunk of a trace lacks a field/,
    ],
    ['ZEROES without a range', { ...CHUNK, kind: 'zeroes', flags: 0x42 }, /a zeroes chunk of a trace lacks a field/],
    ['flags of another kind', { ...CHUNK, flags: 0x10 }, /are of a start chunk/],
    ['a version above 2^32-1', { type: 'header', offset: 0, length: 8, version: 2 ** 32 }, /found 4294967296/],
    [
      'a section name of 256 bytes',
      {
        type: 'section',
        offset: 0,
        length: 0,
        sectionType: 'full',
        id: 1,
        name: 'x'.repeat(256),
        instance: 0,
        version: 0,
      },
      /found 256/,
    ],
    [
      'a command of 65536 bytes',
      { type: 'command', offset: 0, length: 0, id: 1, name: 'x', data: new Uint8Array(65_536) },
      /found 65536/,
    ],
  ])('refuses %s', (_what, item, says) => {
    expect(errorOf(() => encodeTraceItem(item as TraceItem))).toMatchObject({
      code: 'argument',
      message: expect.stringMatching(says),
    });
  });

  it('makes no bytes of a finding', () => {
    expect(encodeTraceItem({ type: 'finding', severity: 'info', code: 'limit', message: '' })).toEqual(hex(''));
  });
});
