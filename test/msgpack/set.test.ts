import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromBytes, nameFromText } from '../../src/bytes/text.js';
import { decodeSetMsgpack, encodeSetMsgpack } from '../../src/msgpack/set.js';
import type { BitmapSet } from '../../src/set/bitmap-set.js';
import { formatSetJson, parseSetJson } from '../../src/set/set-json.js';
import { contents, errorOf, extentsOf, model, mutated, resultOf, setOf } from '../set/arbitrary.js';

type Json = Record<string, unknown>;

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A document as another writer may make it. */
function documentOf(bitmap: Json = {}, node: Json = {}): Json {
  const fields = { name: utf8('b0'), granularity: 512, recording: true, persistent: false, dirty: [0, 512], ...bitmap };
  return { dirtybitmap: 1, nodes: [{ node: utf8('disk0'), size: 4096, bitmaps: [fields], ...node }] };
}

function encoded(document: unknown): Uint8Array {
  return encode(document, { ignoreUndefined: true, maxDepth: 1000 });
}

function setWith(bits: Bitmap): BitmapSet {
  const bitmap = { name: nameFromText('b0'), recording: true, persistent: false, bits };
  return { nodes: [{ node: nameFromText('n'), size: bits.size, bitmaps: [bitmap] }] };
}

/** The only bitmap of an encoded set, as decoded by the library alone. */
function fieldsOf(bytes: Uint8Array): Json {
  const document = decode(bytes) as { nodes: { bitmaps: Json[] }[] };
  return document.nodes[0]?.bitmaps[0] as Json;
}

describe('encodeSetMsgpack', () => {
  it('begins with what tells the format', () => {
    expect([...encodeSetMsgpack({ nodes: [] })]).toEqual([
      0x82,
      0xab,
      ...utf8('dirtybitmap'),
      1,
      0xa5,
      ...utf8('nodes'),
      0x90,
    ]);
  });

  it('writes what the model says, for any set, each bitmap in the shorter form', () => {
    fc.assert(
      fc.property(model, (nodes) => {
        const document = decode(encodeSetMsgpack(setOf(nodes))) as Json;
        expect(document).toEqual({
          dirtybitmap: 1,
          nodes: nodes.map(({ node, size, bitmaps }) => ({
            node: node.bytes,
            ...(size !== undefined && { size }),
            bitmaps: bitmaps.map((bitmap) => {
              const { granularity, recording, persistent, covered, granules } = bitmap;
              const dirty = { dirty: extentsOf(bitmap, covered ?? size).flat() };
              const last = granules.at(-1) ?? -1;
              let form: Json = dirty;
              if (last < 8000) {
                const bits = { bits: new Uint8Array(Math.ceil((last + 1) / 8)) };
                for (const granule of granules)
                  bits.bits[granule >> 3] = (bits.bits[granule >> 3] ?? 0) | (1 << (granule & 7));
                if (encode(bits).length < encode(dirty).length) form = bits;
              }
              return {
                name: bitmap.name.bytes,
                granularity,
                recording,
                persistent,
                ...(covered !== undefined && { covered }),
                ...form,
              };
            }),
          })),
        });
      }),
    );
  });

  it('takes bits for scattered granules and extents for long runs', () => {
    const bits = new Bitmap(512, { size: 2 ** 30 });
    bits.set(0, 2 ** 29);
    expect(fieldsOf(encodeSetMsgpack(setWith(bits)))).toMatchObject({ dirty: [0, 2 ** 29] });
    const scattered = new Bitmap(512, { size: 2 ** 30 });
    for (let i = 0; i < 1000; i++) scattered.set(i * 1024);
    expect(fieldsOf(encodeSetMsgpack(setWith(scattered)))).toMatchObject({ bits: new Uint8Array(250).fill(0x55) });
  });

  it('carries more scattered granules than extents may be listed, as bits', () => {
    const bits = new Bitmap(512);
    for (let i = 0; i < 100; i++) bits.set(i * 1024);
    expect(contents(decodeSetMsgpack(encodeSetMsgpack(setWith(bits), { maxExtents: 10 }), { maxExtents: 10 }))).toEqual(
      contents(setWith(bits)),
    );
    expect(errorOf(() => formatSetJson(setWith(bits), { maxExtents: 10 })).message).toMatch(/use the MessagePack form/);
  });

  it('refuses what no document can hold', () => {
    const disk = { node: nameFromText('n'), size: 1, bitmaps: [] };
    expect(errorOf(() => encodeSetMsgpack({ nodes: [disk, disk] }))).toMatchObject({
      code: 'set-invalid',
      path: 'nodes[1].node',
    });
  });

  it('keeps to the limits', () => {
    const bits = new Bitmap(512, { size: 2 ** 50 });
    bits.set(0);
    bits.set(2 ** 49);
    for (const limit of ['maxDocumentBytes', 'maxExtents', 'maxBitmaps']) {
      const error = errorOf(() => encodeSetMsgpack(setWith(bits), { [limit]: limit === 'maxBitmaps' ? 0 : 1 }));
      expect(error.code).toBe('limit');
      expect(error.message).toContain(`raise ${limit}`);
    }
  });
});

describe('decodeSetMsgpack', () => {
  it('reads back any set, and writes the same bytes again', () => {
    fc.assert(
      fc.property(model, (nodes) => {
        const set = setOf(nodes);
        const bytes = encodeSetMsgpack(set);
        const again = decodeSetMsgpack(bytes);
        expect(contents(again)).toEqual(contents(set));
        expect(encodeSetMsgpack(again)).toEqual(bytes);
        expect(formatSetJson(again)).toBe(formatSetJson(set));
        expect(contents(parseSetJson(formatSetJson(again)))).toEqual(contents(set));
      }),
    );
  });

  it('takes fields in any order, texts as names, whole numbers as doubles, and needless zeroes', () => {
    const document = {
      nodes: [
        {
          bitmaps: [
            { bits: Uint8Array.of(2, 0, 0, 0), persistent: true, recording: false, granularity: 512, name: 'b0' },
            { name: utf8('b1'), granularity: 512, recording: true, persistent: true, dirty: [-0, 512] },
          ],
          size: 4096,
          node: 'disk0',
        },
      ],
      dirtybitmap: 1,
    };
    const set = decodeSetMsgpack(encode(document, { forceIntegerToFloat: true }));
    expect(set.nodes[0]).toMatchObject({ node: nameFromText('disk0'), size: 4096 });
    expect(set.nodes[0]?.bitmaps.map(({ bits }) => [...bits.extents()])).toEqual([[[512, 512]], [[0, 512]]]);
  });

  it('keeps names that are not UTF-8', () => {
    const name = Uint8Array.of(0xff, 0, 0xc3);
    expect(decodeSetMsgpack(encoded(documentOf({ name }))).nodes[0]?.bitmaps[0]?.name).toEqual(nameFromBytes(name));
  });

  it('shares no memory with the document', () => {
    const bytes = encoded(documentOf({ dirty: undefined, bits: Uint8Array.of(3) }));
    const set = decodeSetMsgpack(bytes);
    bytes.fill(0);
    expect(set.nodes[0]?.node).toEqual(nameFromText('disk0'));
    expect([...(set.nodes[0]?.bitmaps[0]?.bits.extents() ?? [])]).toEqual([[0, 1024]]);
  });

  const B = 'nodes[0].bitmaps[0]';
  it.each<[string, unknown, string, RegExp]>([
    ['another value', 7, '', /expected a map, found 7/],
    ['a map of another kind', { nodes: [] }, '', /expected the field dirtybitmap, found none/],
    ['an unknown version', { dirtybitmap: 2 }, 'dirtybitmap', /expected version 1, found 2/],
    ['no nodes', { dirtybitmap: 1 }, '', /expected the field nodes/],
    ['an unknown field', { dirtybitmap: 1, nodes: [], more: 1 }, '', /a field of the form, found "more"/],
    ['nodes of another type', { dirtybitmap: 1, nodes: {} }, 'nodes', /expected an array, found a map/],
    ['a node of another type', { dirtybitmap: 1, nodes: [null] }, 'nodes[0]', /expected a map, found null/],
    ['a name of another type', documentOf({}, { node: 1 }), 'nodes[0].node', /expected binary, found 1/],
    ['a name in hexadecimal', documentOf({ nameHex: '00' }), `${B}.nameHex`, /no name in hexadecimal/],
    ['a long name', documentOf({ name: new Uint8Array(1024) }), `${B}.name`, /at most 1023 bytes, found 1024/],
    ['a fraction', documentOf({}, { size: 0.5 }), 'nodes[0].size', /whole number from 0 to 2\^53, found 0.5/],
    ['a negative number', documentOf({}, { size: -1 }), 'nodes[0].size', /found -1/],
    ['a number over 2^53', documentOf({}, { size: 2 ** 53 + 2 }), 'nodes[0].size', /found 9007199254740994/],
    ['a granularity of 3', documentOf({ granularity: 3 }), `${B}.granularity`, /power of two .* found 3/],
    ['a flag of another type', documentOf({ recording: 1 }), `${B}.recording`, /true or false, found 1/],
    [
      'dirty of another type',
      documentOf({ dirty: {} }),
      `${B}.dirty`,
      /a flat array of offsets and lengths.* found a map/,
    ],
    ['half an extent', documentOf({ dirty: [0] }), `${B}.dirty`, /an even number of items, found an array of 1 items/],
    [
      'pairs',
      documentOf({
        dirty: [
          [0, 512],
          [1024, 512],
        ],
      }),
      `${B}.dirty[0]`,
      /whole number .* found an array of 2 items/,
    ],
    ['extents of texts', documentOf({ dirty: [0, 'x'] }), `${B}.dirty[1]`, /found binary of 1 bytes/],
    ['extents that touch', documentOf({ dirty: [0, 512, 512, 512] }), `${B}.dirty[1]`, /an offset above 512/],
    ['an extent behind the end', documentOf({ dirty: [4096, 512] }), `${B}.dirty[0]`, /at most 4096/],
    ['dirty and bits', documentOf({ bits: new Uint8Array(0) }), `${B}.bits`, /either `dirty` or `bits`, found both/],
    ['neither', documentOf({ dirty: undefined }), B, /expected the field dirty/],
    ['bits of another type', documentOf({ dirty: undefined, bits: [1] }), `${B}.bits`, /binary, found an array/],
    [
      'bits behind the end',
      documentOf({ dirty: undefined, bits: Uint8Array.of(0, 1) }),
      `${B}.bits`,
      /behind the disk's 8 granules/,
    ],
    [
      'bits behind the cover',
      documentOf({ covered: 513, dirty: undefined, bits: Uint8Array.of(4) }),
      `${B}.bits`,
      /2 granules/,
    ],
    [
      'bits behind 2^53',
      documentOf(
        { granularity: 2 ** 31, dirty: undefined, bits: new Uint8Array(2 ** 19 + 1).fill(1, -1) },
        { size: undefined },
      ),
      `${B}.bits`,
      /4194304 granules/,
    ],
    ['a date', documentOf({}, { size: new Date(0) }), '', /found other MessagePack, or what is none/],
    ['a prototype', JSON.parse('{"dirtybitmap": 1, "nodes": [], "__proto__": 1}'), '', /found other MessagePack/],
    ['a constructor', { dirtybitmap: 1, nodes: [], constructor: 1 }, '', /found "constructor"/],
    ['a long field', { dirtybitmap: 1, ['x'.repeat(100)]: 1 }, '', /found other MessagePack/],
    ['deep nesting', documentOf({ dirty: [[[0]]] }), '', /at most 8 levels, found more/],
  ])('refuses %s', (_, document, path, message) => {
    const error = errorOf(() => decodeSetMsgpack(encoded(document)));
    expect(error).toMatchObject({ code: 'set-invalid', path });
    expect(error.message).toMatch(message);
  });

  it('refuses names that come twice', () => {
    const { nodes } = documentOf() as { nodes: { bitmaps: Json[] }[] };
    const bitmap = nodes[0]?.bitmaps[0];
    const twice = errorOf(() =>
      decodeSetMsgpack(encoded(documentOf({}, { bitmaps: [bitmap, { ...bitmap, name: 'b0' }] }))),
    );
    expect(twice).toMatchObject({ code: 'set-invalid', path: 'nodes[0].bitmaps[1].name' });
    const node = errorOf(() => decodeSetMsgpack(encoded({ dirtybitmap: 1, nodes: [...nodes, ...nodes] })));
    expect(node).toMatchObject({ code: 'set-invalid', path: 'nodes[1].node' });
  });

  it.each([
    ['maxDocumentBytes', 50],
    ['maxBitmaps', 0],
    ['maxExtents', 0],
    ['maxBitmapMemory', 100],
  ])('keeps to the limit %s', (limit, value) => {
    const error = errorOf(() => decodeSetMsgpack(encoded(documentOf()), { [limit]: value }));
    expect(error.code).toBe('limit');
    expect(error.message).toContain(limit);
  });

  it('refuses every document that is cut, and what follows one', () => {
    const bytes = encoded(documentOf());
    for (let end = 0; end < bytes.length; end++) {
      expect(errorOf(() => decodeSetMsgpack(bytes.subarray(0, end))).code).toBe('set-invalid');
    }
    const more = errorOf(() => decodeSetMsgpack(Uint8Array.of(...bytes, 0xc0)));
    expect(more).toMatchObject({ code: 'set-invalid', offset: bytes.length });
    expect(more.message).toMatch(/expected the end of the document, found 1 more bytes/);
  });

  it('gives a set or its own error, for any bytes, any values and mutated documents', () => {
    const byte = fc.oneof(fc.nat({ max: 255 }), fc.integer({ min: 0xc0, max: 0xdf }));
    const bytes = fc.oneof(
      fc.array(byte, { maxLength: 30 }).map((all) => Uint8Array.from(all)),
      fc.object({ withDate: true, withTypedArray: true, maxDepth: 4 }).map(encoded),
      mutated(
        model.map((nodes) => encodeSetMsgpack(setOf(nodes))),
        byte,
      ),
    );
    fc.assert(
      fc.property(bytes, (document) => {
        const result = resultOf(() => decodeSetMsgpack(document));
        if (result instanceof Error) return;
        expect(contents(decodeSetMsgpack(encodeSetMsgpack(result)))).toEqual(contents(result));
      }),
      { numRuns: 3000 },
    );
  });
});
