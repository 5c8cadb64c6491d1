import { describe, expect, it } from 'vitest';
import { locateVmdesc, parseVmdesc } from '../../src/capture/vmdesc.js';
import { DEVICES, EOF, fill, join, precopy, u32, vmdesc } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';

const parsed = (json: unknown) => parseVmdesc(join(JSON.stringify(json)));
const field = (size: number, more: object = {}): object => ({ name: 'f', type: 'x', size, ...more });
const one = (state: object) =>
  parsed({ page_size: 4096, devices: [{ name: 'd', instance_id: 0, ...state }] })?.devices[0]?.size;

describe('the place of a vmdesc', () => {
  const bytes = precopy();
  const offset = bytes.length - vmdesc(DEVICES).length;
  const place = { offset, textOffset: offset + 5, textLength: vmdesc(DEVICES).length - 5 };

  it('is found from the end of the file, whatever part of it is at hand', () => {
    for (let from = 0; from <= offset; from++) expect(locateVmdesc(bytes.subarray(from), from)).toEqual(place);
  });

  it('is not found where it does not lie wholly in that part', () => {
    for (let from = offset + 1; from <= bytes.length; from++)
      expect(locateVmdesc(bytes.subarray(from), from)).toBeUndefined();
  });

  it.each([1, 511, 4096])('is found before %d zeroes, with which some writers round a file up', (count) => {
    expect(locateVmdesc(join(bytes, fill(count)), 0)).toEqual(place);
  });

  it('is not found where something else follows', () => {
    expect(locateVmdesc(join(bytes, 'x'), 0)).toBeUndefined();
  });

  it('is the last item byte that a fitting length follows', () => {
    const text = '{"a":"\x06\x00\x00\x00\x09{xxxxxxx"}';
    expect(locateVmdesc(join(EOF, 0x06, u32(text.length), text), 100)).toMatchObject({
      offset: 101,
      textLength: text.length,
    });
  });

  it.each([
    ['nothing', fill(0)],
    ['zeroes', fill(100)],
    ['a stream without one', precopy({ vmdesc: false })],
    ['an object without a header', join('{"a":1}')],
    ['a length that does not fit', join(0x06, u32(5), '{"a":1}')],
    ['a brace alone', join('}')],
    ['no object', join(0x06, u32(3), '[1}')],
  ])('is not found in %s', (_what, tail) => {
    expect(locateVmdesc(tail, 0)).toBeUndefined();
  });

  it('is found in a real stream', () => {
    const real = new Uint8Array(readStream(vectorOf('captures/microvm-precopy.bin')));
    const found = locateVmdesc(real, 0);
    const text = real.subarray(found?.textOffset, (found?.textOffset ?? 0) + (found?.textLength ?? 0));
    expect(parseVmdesc(text)?.devices.length).toBeGreaterThan(10);
    expect(parseVmdesc(text)?.pageSize).toBe(4096);
  });
});

describe('the size of a device', () => {
  it.each<[what: string, state: object, size: number]>([
    ['the sum of its fields', { fields: [field(3), field(4)] }, 7],
    ['with arrays that are told once', { fields: [field(4, { array_len: 10 })] }, 40],
    [
      'with the elements of arrays that are told one by one',
      { fields: [field(4, { index: 0 }), field(4, { index: 1 })] },
      8,
    ],
    [
      'with fields inside fields counted once',
      { fields: [field(9, { struct: { vmsd_name: 's', fields: [field(9)] } })] },
      9,
    ],
    [
      'with subsections and their headers',
      { fields: [field(1)], subsections: [{ vmsd_name: 'd/sub', version: 1, fields: [field(2)] }] },
      1 + 1 + 1 + 5 + 4 + 2,
    ],
    [
      'with subsections of subsections',
      {
        fields: [],
        subsections: [{ vmsd_name: 'a', fields: [], subsections: [{ vmsd_name: 'bc', fields: [field(1)] }] }],
      },
      7 + 8 + 1,
    ],
    ['in one piece, where it is an old-style device', { size: 100, fields: [field(1)] }, 100],
    ['nothing, without fields', {}, 0],
  ])('is %s', (_what, state, size) => {
    expect(one(state)).toBe(size);
  });

  it('is told with its name and its instance, in the order of the stream', () => {
    const devices = [
      { name: 'b', instance_id: 7, fields: [] },
      { name: 'a', instance_id: 0, size: 1 },
    ];
    expect(parsed({ devices })).toEqual({
      ...{ pageSize: undefined, configurationBytes: undefined },
      devices: [
        { name: 'b', instance: 7, size: 0 },
        { name: 'a', instance: 0, size: 1 },
      ],
    });
  });

  it('of the configuration is told since 8.2', () => {
    expect(
      parsed({ configuration: { vmsd_name: 'configuration', fields: [field(4), field(13)] }, devices: [] })
        ?.configurationBytes,
    ).toBe(17);
  });
});
