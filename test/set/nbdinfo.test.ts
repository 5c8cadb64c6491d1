import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameFromText } from '../../src/bytes/text.js';
import { mapJson } from '../../src/report/map-document.js';
import { parseNbdinfo } from '../../src/set/nbdinfo.js';
import { errorOf, mutated, resultOf } from './arbitrary.js';

/*
 * nbdinfo 1.14.2 and QEMU 7.2.22, word for word:
 *   qemu-img create -f qcow2 a.qcow2 10M; qemu-img bitmap --add -g 64k a.qcow2 b0
 *   qemu-io -c 'write 0 64k' -c 'write 1M 100k' -c 'write 8000k 5k' -c 'write 10176k 64k' a.qcow2
 *   nbdinfo --map=qemu:dirty-bitmap:b0 --json -- [ qemu-nbd -r -f qcow2 -B b0 a.qcow2 ]
 */
const REAL = `[
{ "offset": 0, "length": 65536, "type": 1, "description": "dirty"},
{ "offset": 65536, "length": 983040, "type": 0, "description": "clean"},
{ "offset": 1048576, "length": 131072, "type": 1, "description": "dirty"},
{ "offset": 1179648, "length": 7012352, "type": 0, "description": "clean"},
{ "offset": 8192000, "length": 65536, "type": 1, "description": "dirty"},
{ "offset": 8257536, "length": 2162688, "type": 0, "description": "clean"},
{ "offset": 10420224, "length": 65536, "type": 1, "description": "dirty"}
]
`;

/** The same, of a disk of 1000448 bytes: a bitmap of 64 KiB granularity, whose last granule the disk's end cuts. */
const REAL_ODD = `[
{ "offset": 0, "length": 65536, "type": 1, "description": "dirty"},
{ "offset": 65536, "length": 917504, "type": 0, "description": "clean"},
{ "offset": 983040, "length": 17408, "type": 1, "description": "dirty"}
]
`;

/** Its bitmap of 512 bytes granularity. */
const REAL_FINE = `[
{ "offset": 0, "length": 512, "type": 1, "description": "dirty"},
{ "offset": 512, "length": 999424, "type": 0, "description": "clean"},
{ "offset": 999936, "length": 512, "type": 1, "description": "dirty"}
]
`;

/** Bitmaps of 1 MiB granularity, clean and all dirty, and a disk of no bytes. */
const REAL_CLEAN = '[\n{ "offset": 0, "length": 3145728, "type": 0, "description": "clean"}\n]\n';
const REAL_DIRTY = '[\n{ "offset": 0, "length": 3145728, "type": 1, "description": "dirty"}\n]\n';
const REAL_EMPTY = '[\n\n]\n';

interface Run {
  offset: number;
  length: number;
  type: number;
  description?: string;
}

const extentsOf = (text: string): (readonly [number, number])[] => [...parseNbdinfo(text).bits.extents()];

/** Runs of these lengths, dirty and clean by turns. */
function runsOf(lengths: readonly number[], dirtyFirst: boolean): Run[] {
  let offset = 0;
  return lengths.map((length, index) => {
    const type = Number((index % 2 === 0) === dirtyFirst);
    offset += length;
    return { offset: offset - length, length, type, description: type === 1 ? 'dirty' : 'clean' };
  });
}

describe('parseNbdinfo', () => {
  it.each([
    [
      'a bitmap',
      REAL,
      10 * 2 ** 20,
      65_536,
      [
        [0, 65_536],
        [1_048_576, 131_072],
        [8_192_000, 65_536],
        [10_420_224, 65_536],
      ],
    ],
    [
      'a granule that the end cuts',
      REAL_ODD,
      1_000_448,
      65_536,
      [
        [0, 65_536],
        [983_040, 17_408],
      ],
    ],
    [
      'a fine bitmap',
      REAL_FINE,
      1_000_448,
      512,
      [
        [0, 512],
        [999_936, 512],
      ],
    ],
    ['a clean bitmap', REAL_CLEAN, 3 * 2 ** 20, 65_536, []],
    ['a bitmap that is all dirty', REAL_DIRTY, 3 * 2 ** 20, 65_536, [[0, 3 * 2 ** 20]]],
    ['a disk of no bytes', REAL_EMPTY, 0, 65_536, []],
  ] as const)('reads what a real nbdinfo prints: %s', (_, text, size, granularity, extents) => {
    const { bits } = parseNbdinfo(text);
    expect(bits.size).toBe(size);
    expect(bits.granularity).toBe(granularity);
    expect([...bits.extents()]).toEqual(extents);
  });

  it('says what a map does not tell as QMP would create it', () => {
    expect(parseNbdinfo(REAL)).toMatchObject({ name: nameFromText(''), recording: true, persistent: false });
    expect(parseNbdinfo(REAL, { name: 'b0' }).name).toEqual(nameFromText('b0'));
  });

  it('finds the granularity that divides every change, from 512 bytes to 64 KiB', () => {
    const granularity = (...lengths: number[]): number =>
      parseNbdinfo(JSON.stringify(runsOf(lengths, true))).bits.granularity;
    expect(granularity(2 ** 30, 2 ** 30)).toBe(65_536);
    expect(granularity(65_536, 32_768, 1)).toBe(32_768);
    expect(granularity(2 ** 20, 4096 * 3, 5)).toBe(4096);
    expect(granularity(512, 7)).toBe(512);
    expect(granularity(7)).toBe(65_536);
  });

  it('finds larger ones where a disk would have too many granules', () => {
    const { bits } = parseNbdinfo(JSON.stringify(runsOf([2 ** 40, 2 ** 51], true)));
    expect(bits.granularity).toBe(2 ** 20);
    expect([...bits.extents()]).toEqual([[0, 2 ** 40]]);
  });

  it('joins runs of one type, and lets them meet anywhere', () => {
    const runs = [
      { offset: 0, length: 512, type: 1 },
      { offset: 512, length: 1, type: 1 },
      { offset: 513, length: 511, type: 1 },
      { offset: 1024, length: 0, type: 0 },
      { offset: 1024, length: 1024, type: 1 },
      { offset: 2048, length: 3, type: 0 },
      { offset: 2051, length: 3, type: 0 },
    ];
    const { bits } = parseNbdinfo(JSON.stringify(runs));
    expect([...bits.extents()]).toEqual([[0, 2048]]);
    expect(bits.granularity).toBe(2048);
    expect(bits.size).toBe(2054);
  });

  it('takes any type for dirty that has bit 0, and any other fields', () => {
    const text = '[{"length":512,"x":[{"type":0}],"type":3,"offset":0},{"offset":512,"length":512,"type":2}]';
    expect(extentsOf(text)).toEqual([[0, 512]]);
  });

  it('reads what map --json writes, for any runs', () => {
    const unit = fc.integer({ min: 9, max: 24 });
    const lengths = fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 30 });
    fc.assert(
      fc.property(unit, lengths, fc.nat({ max: 511 }), fc.boolean(), (shift, counts, odd, dirtyFirst) => {
        const runs = runsOf(
          counts.map((count, index) => count * 2 ** shift + (index === counts.length - 1 ? odd : 0)),
          dirtyFirst,
        );
        const { bits } = parseNbdinfo(JSON.stringify(runs));
        const size = runs.reduce((sum, run) => sum + run.length, 0);
        expect(bits.size).toBe(size);
        const text = [...mapJson({ bits, coveredBytes: size })].join('');
        expect(JSON.parse(text)).toEqual(runs);
        // The largest that divides all changes, and no larger.
        const changes = runs.slice(1).map((run) => run.offset);
        const fits = (granularity: number): boolean => changes.every((change) => change % granularity === 0);
        expect(fits(bits.granularity)).toBe(true);
        expect(bits.granularity === 65_536 || !fits(bits.granularity * 2)).toBe(true);
      }),
    );
  });

  const two = (second: object): string => JSON.stringify([{ offset: 0, length: 512, type: 0 }, second]);
  it.each<[string, string, string, RegExp]>([
    ['another document', '{}', '', /expected an array, found an object/],
    ['other items', '[1]', '[0]', /expected an object, found 1/],
    [
      'totals',
      '[{"size": 10158080, "percent": 96.875, "type": 0, "description": "clean"}]',
      '[0]',
      /found only type, description; give what `nbdinfo/,
    ],
    ['an empty item', '[{}]', '[0]', /offset, length and type, found only others/],
    ['no type', '[{"offset": 0, "length": 512}]', '[0]', /found only offset, length/],
    [
      'a type of another type',
      '[{"offset": 0, "length": 512, "type": "dirty"}]',
      '[0].type',
      /whole number .* found "dirty"/,
    ],
    ['a negative length', '[{"offset": 0, "length": -512, "type": 1}]', '[0].length', /found -512/],
    [
      'a description of another type',
      '[{"offset": 0, "length": 1, "type": 1, "description": 1}]',
      '[0].description',
      /a text, found 1/,
    ],
    [
      'a first gap',
      '[{"offset": 512, "length": 512, "type": 1}]',
      '[0].offset',
      /expected 0, where the run before ends, found 512/,
    ],
    ['a gap', two({ offset: 1024, length: 512, type: 1 }), '[1].offset', /expected 512, .* found 1024/],
    ['an overlap', two({ offset: 0, length: 512, type: 1 }), '[1].offset', /expected 512, .* found 0/],
    [
      'an odd change',
      '[{"offset":0,"length":100,"type":1},{"offset":100,"length":1,"type":0}]',
      '[1].offset',
      /a multiple of 512/,
    ],
    ['a disk beyond 2^53', two({ offset: 512, length: 2 ** 53 - 511, type: 0 }), '[1].length', /ends at 2\^53/],
    [
      'a map of allocation',
      '[{"offset":0,"length":512,"type":3,"description":"hole,zero"}]',
      '[0].description',
      /"dirty" for this type, found "hole,zero" \(type 3\); is it the map of another context/,
    ],
    [
      'a map of depth',
      '[{"offset":0,"length":512,"type":1,"description":"local"}]',
      '[0].description',
      /another context/,
    ],
    [
      'a contradiction',
      '[{"offset":0,"length":512,"type":1,"description":"clean"}]',
      '[0].description',
      /"dirty" for this type/,
    ],
    ['what follows', `${REAL}[]`, '', /the end of the document, found an array/],
    ['a cut', REAL.slice(0, 200), '[2]', /found the end of the document/],
  ])('refuses %s', (_, text, path, message) => {
    const error = errorOf(() => parseNbdinfo(text));
    expect(error).toMatchObject({ code: 'set-invalid', path });
    expect(error.message).toMatch(message);
  });

  it.each([
    ['maxDocumentBytes', REAL.length - 1],
    ['maxExtents', 3],
    ['maxBitmapMemory', 1024],
  ])('keeps to the limit %s', (limit, value) => {
    const error = errorOf(() => parseNbdinfo(REAL, { limits: { [limit]: value } }));
    expect(error.code).toBe('limit');
    expect(error.message).toContain(limit);
  });

  it('gives a bitmap or its own error, for any JSON and for mutated maps', () => {
    const bytes = fc.oneof(
      fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))),
      mutated(
        fc.constant(new TextEncoder().encode(REAL)),
        fc.oneof(fc.constantFrom(...new TextEncoder().encode('[]{},:"0125')), fc.nat({ max: 255 })),
      ),
    );
    fc.assert(
      fc.property(bytes, (document) => {
        resultOf(() => parseNbdinfo(document));
      }),
      { numRuns: 1000 },
    );
  });
});
