import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromBytes, nameFromText, toHex } from '../../src/bytes/text.js';
import type { BitmapSet, SetBitmap } from '../../src/set/bitmap-set.js';
import { formatSetJson, parseSetJson, writeSetJson } from '../../src/set/set-json.js';
import { contents, EXAMPLE, errorOf, extentsOf, model, setOf } from './arbitrary.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function bitmapOf(changes: Partial<SetBitmap> = {}): SetBitmap {
  return { name: nameFromText('b0'), recording: true, persistent: false, bits: new Bitmap(65_536), ...changes };
}

function setWith(size: number | undefined, ...bitmaps: SetBitmap[]): BitmapSet {
  return { nodes: [{ node: nameFromText('disk0'), size, bitmaps }] };
}

describe('formatSetJson', () => {
  it('writes the documented form', () => {
    const bits = new Bitmap(65_536, { size: 2 ** 30 });
    bits.set(0);
    bits.set(536_870_912, 1_048_576);
    expect(formatSetJson(setWith(2 ** 30, bitmapOf({ persistent: true, bits })))).toBe(EXAMPLE);
  });

  it('writes what the model says, for any set', () => {
    fc.assert(
      fc.property(model, (nodes) => {
        const document = JSON.parse(formatSetJson(setOf(nodes)));
        expect(document).toEqual({
          dirtybitmap: 1,
          nodes: nodes.map(({ node, size, bitmaps }) => ({
            node: node.text,
            ...(!node.clean && { nodeHex: toHex(node.bytes) }),
            ...(size !== undefined && { size }),
            bitmaps: bitmaps.map((bitmap) => ({
              name: bitmap.name.text,
              ...(!bitmap.name.clean && { nameHex: toHex(bitmap.name.bytes) }),
              granularity: bitmap.granularity,
              recording: bitmap.recording,
              persistent: bitmap.persistent,
              ...(bitmap.covered !== undefined && { covered: bitmap.covered }),
              dirty: extentsOf(bitmap, bitmap.covered ?? size),
            })),
          })),
        });
      }),
    );
  });

  it('leaves out what is covered where that is all of the disk', () => {
    // A stream covers whole sectors: a disk of one byte is covered up to 512.
    const set = setWith(1, bitmapOf({ coveredBytes: 512 }));
    expect(formatSetJson(set)).not.toContain('covered');
  });

  it('writes in pieces what it writes at once', () => {
    const bits = new Bitmap(512);
    for (let i = 0; i < 10_000; i++) bits.set(i * 1024);
    const pieces: string[] = [];
    writeSetJson(setWith(undefined, bitmapOf({ bits })), (text) => pieces.push(text));
    expect(pieces.length).toBeGreaterThan(3);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(70_000);
    expect(pieces.join('')).toBe(formatSetJson(setWith(undefined, bitmapOf({ bits }))));
  });

  const dirty = (granularity: number, ...offsets: number[]): Bitmap => {
    const bits = new Bitmap(granularity);
    for (const offset of offsets) bits.set(offset);
    return bits;
  };
  const beyond = new Bitmap(1024);
  beyond.writeBytes(2 ** 40, Uint8Array.of(1));
  const long = nameFromText('x'.repeat(1024));
  const disk = { node: nameFromText('disk0'), size: undefined, bitmaps: [] };
  it.each<[string, BitmapSet, string, RegExp]>([
    ['a node twice', { nodes: [disk, disk] }, 'nodes[1].node', /each name once, found "disk0" again; rename/],
    ['a bitmap twice', setWith(1, bitmapOf(), bitmapOf()), 'nodes[0].bitmaps[1].name', /each name once, found "b0"/],
    ['a long name', { nodes: [{ ...disk, node: long }] }, 'nodes[0].node', /at most 1023 bytes, found 1024 bytes/],
    ['a long bitmap name', setWith(1, bitmapOf({ name: long })), 'nodes[0].bitmaps[0].name', /at most 1023 bytes/],
    ['a size that is none', setWith(1.5), 'nodes[0].size', /whole number from 0 to 2\^53, found 1.5/],
    ['a cover that is none', setWith(1, bitmapOf({ coveredBytes: -1 })), 'nodes[0].bitmaps[0].covered', /found -1/],
    [
      'two sizes',
      setWith(1, bitmapOf({ bits: new Bitmap(512, { size: 2 }) })),
      'nodes[0].bitmaps[0]',
      /the node's size, 1 bytes, found bits of a disk of 2 bytes/,
    ],
    [
      'bits behind the disk',
      setWith(512, bitmapOf({ bits: dirty(512, 512) })),
      'nodes[0].bitmaps[0]',
      /nothing dirty behind its 1 granules, found some/,
    ],
    [
      'bits behind what is covered',
      setWith(undefined, bitmapOf({ coveredBytes: 512, bits: dirty(512, 1024) })),
      'nodes[0].bitmaps[0]',
      /nothing dirty/,
    ],
    ['bits behind 2^53', setWith(undefined, bitmapOf({ bits: beyond })), 'nodes[0].bitmaps[0]', /nothing dirty/],
  ])('refuses %s', (_, set, path, message) => {
    const error = errorOf(() => formatSetJson(set));
    expect(error).toMatchObject({ code: 'set-invalid', path });
    expect(error.message).toMatch(message);
  });

  it.each([
    ['maxBitmaps', setWith(1, bitmapOf(), bitmapOf({ name: nameFromText('b1') })), 1],
    ['maxBitmaps', { nodes: [disk, { ...disk, node: nameFromText('disk1') }] }, 1],
    ['maxExtents', setWith(undefined, bitmapOf({ bits: dirty(512, 0, 1024) })), 1],
    ['maxDocumentBytes', setWith(1, bitmapOf()), 100],
  ] as const)('keeps to the limit %s', (limit, set, value) => {
    const error = errorOf(() => formatSetJson(set, { [limit]: value }));
    expect(error.code).toBe('limit');
    expect(error.message).toContain(`raise ${limit}`);
  });
});

describe('parseSetJson', () => {
  it('reads the example', () => {
    const set = parseSetJson(EXAMPLE);
    const bitmap = set.nodes[0]?.bitmaps[0];
    expect(set.nodes[0]).toMatchObject({ node: nameFromText('disk0'), size: 2 ** 30 });
    expect(bitmap).toMatchObject({ name: nameFromText('b0'), recording: true, persistent: true });
    expect(bitmap?.bits.granularity).toBe(65_536);
    expect([...(bitmap?.bits.extents() ?? [])]).toEqual([
      [0, 65_536],
      [536_870_912, 1_048_576],
    ]);
    expect(bitmap).not.toHaveProperty('coveredBytes');
  });

  it('reads back any set, and writes the same text again', () => {
    fc.assert(
      fc.property(model, fc.boolean(), (nodes, asBytes) => {
        const set = setOf(nodes);
        const text = formatSetJson(set);
        const again = parseSetJson(asBytes ? encode(text) : text);
        expect(contents(again)).toEqual(contents(set));
        expect(formatSetJson(again)).toBe(text);
      }),
    );
  });

  it('takes fields in any order, in any layout', () => {
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, item]) => [key, shuffled(item)]),
      );
    };
    fc.assert(
      fc.property(model, fc.constantFrom(undefined, 1, '\t', '\r\n '), (nodes, indent) => {
        const set = setOf(nodes);
        const document = JSON.stringify(shuffled(JSON.parse(formatSetJson(set))), null, indent);
        expect(contents(parseSetJson(document))).toEqual(contents(set));
      }),
      { numRuns: 40 },
    );
  });

  it('shares no memory with the document', () => {
    const bytes = encode(EXAMPLE);
    const set = parseSetJson(bytes);
    bytes.fill(0);
    expect(set.nodes[0]?.bitmaps[0]?.name).toEqual(nameFromText('b0'));
  });

  it('prefers the bytes of a name to its text', () => {
    const text = EXAMPLE.replace('"node": "disk0"', '"node": "other", "nodeHex": "64FF"').replace(
      '"name": "b0"',
      '"nameHex": "00"',
    );
    const node = parseSetJson(text).nodes[0];
    expect(node?.node).toEqual(nameFromBytes(Uint8Array.of(0x64, 0xff)));
    expect(node?.bitmaps[0]?.name).toEqual(nameFromBytes(Uint8Array.of(0)));
  });

  it('takes names of 1023 bytes, and empty ones', () => {
    for (const name of ['x'.repeat(1023), 'ä'.repeat(511), '\u0000'.repeat(511), '']) {
      const set = parseSetJson(EXAMPLE.replace('"b0"', JSON.stringify(name)));
      expect(set.nodes[0]?.bitmaps[0]?.name.text).toBe(name);
    }
  });

  it('takes whole numbers in any notation, and never gives -0', () => {
    const set = parseSetJson(EXAMPLE.replace('[0, 65536]', '[-0, 6.5536e4]'));
    expect([...(set.nodes[0]?.bitmaps[0]?.bits.extents() ?? [])][0]).toEqual([0, 65_536]);
    const empty = parseSetJson('{"dirtybitmap":1,"nodes":[{"node":"n","size":-0.0e3,"bitmaps":[]}]}');
    expect(Object.is(empty.nodes[0]?.size, 0)).toBe(true);
  });

  it('cuts extents at the end of what is covered', () => {
    const text = EXAMPLE.replace('"size": 1073741824, ', '')
      .replace('"dirty"', '"covered": 1000448, "dirty"')
      .replace(/\[0.*?\] \]/s, '[983040, 17408] ]');
    const set = parseSetJson(text);
    expect(set.nodes[0]?.bitmaps[0]?.coveredBytes).toBe(1_000_448);
    expect([...(set.nodes[0]?.bitmaps[0]?.bits.extents() ?? [])]).toEqual([[983_040, 65_536]]);
    expect(formatSetJson(set)).toBe(text);
  });

  it.each([
    ['maxDocumentBytes', EXAMPLE.length - 1],
    ['maxBitmaps', 0],
    ['maxExtents', 1],
    ['maxBitmapMemory', 1024],
  ])('keeps to the limit %s', (limit, value) => {
    const error = errorOf(() => parseSetJson(EXAMPLE, { [limit]: value }));
    expect(error.code).toBe('limit');
    expect(error.message).toContain(limit);
  });

  it('counts bitmaps and extents over all nodes, and bytes of UTF-8', () => {
    const bitmap = '{"name":"b","granularity":512,"recording":true,"persistent":true,"dirty":[[0,512]]}';
    const text = `{"dirtybitmap":1,"nodes":[{"node":"n","bitmaps":[${bitmap}]},{"node":"m","bitmaps":[${bitmap}]}]}`;
    expect(parseSetJson(text, { maxBitmaps: 2, maxExtents: 2 }).nodes.length).toBe(2);
    expect(errorOf(() => parseSetJson(text, { maxBitmaps: 1 })).code).toBe('limit');
    expect(errorOf(() => parseSetJson(text, { maxExtents: 1 })).code).toBe('limit');
    const wide = text.replace('"n"', '"ä"');
    expect(errorOf(() => parseSetJson(wide, { maxDocumentBytes: wide.length })).code).toBe('limit');
  });

  it('shares the memory of the limits over all bitmaps', () => {
    const bitmap = (name: string): string =>
      `{"name":"${name}","granularity":512,"recording":true,"persistent":true,"dirty":[[0,1073741824]]}`;
    const text = `{"dirtybitmap":1,"nodes":[{"node":"n","bitmaps":[${bitmap('a')},${bitmap('b')}]}]}`;
    const one = parseSetJson(text.replace(/,\{"name":"b".*?\}/, ''));
    const memory = one.nodes[0]?.bitmaps[0]?.bits.allocatedBytes ?? 0;
    expect(parseSetJson(text, { maxBitmapMemory: 2 * memory }).nodes.length).toBe(1);
    expect(errorOf(() => parseSetJson(text, { maxBitmapMemory: 1.5 * memory })).code).toBe('limit');
  });

  it('refuses a disk that is dirty beyond all memory at once', () => {
    const text = EXAMPLE.replace('1073741824', `${2 ** 52}`)
      .replace('65536,', '512,')
      .replace('1048576]', `${2 ** 51}]`);
    expect(errorOf(() => parseSetJson(text)).code).toBe('limit');
  });
});
