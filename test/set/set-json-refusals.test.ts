import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSetJson, parseSetJson } from '../../src/set/set-json.js';
import { contents, EXAMPLE, errorOf, model, mutated, resultOf, setOf } from './arbitrary.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('parseSetJson', () => {
  const huge = 'x'.repeat(100_000);
  /** What is replaced in the example, by what; the path and the message of the refusal. */
  it.each<[string, string | RegExp, string, string, RegExp]>([
    ['nothing', /.*/s, '', '', /expected an object, found the end of the document/],
    ['another type of document', /.*/s, '"set"', '', /expected an object, found "set"; give/],
    ['JSON of another kind', /.*/s, '{"format": "capture"}', '', /expected the field dirtybitmap, found none/],
    ['an unknown version', '": 1,', '": 2,', 'dirtybitmap', /expected version 1, found 2; .*newer/],
    ['a version that is no number', '": 1,', '": "1",', 'dirtybitmap', /expected a whole number .* found "1"/],
    ['no nodes', /,\s*"nodes".*/s, '}', '', /expected the field nodes, found none; add it/],
    ['an unknown field', '{ "dirty', '{ "x": [{}], "dirty', '', /expected a field of the form, found "x"/],
    ['nodes of another type', /"nodes".*/s, '"nodes": {} }', 'nodes', /expected an array, found an object/],
    ['a node of another type', /"nodes".*/s, '"nodes": [null] }', 'nodes[0]', /expected an object, found null/],
    ['an unknown field of a node', '"size"', '"Size"', 'nodes[0].Size', /expected a field of the form, found "Size"/],
    ['a field that bends the path', '"size"', '"a.b\\u001b"', 'nodes[0]["a.b\\x1b"]', /found "a\.b\\x1b"/],
    ['a prototype', '"size": 1073741824', '"__proto__": {"size": 1}', 'nodes[0].__proto__', /a field of the form/],
    ['a node without a name', '"node": "disk0", ', '', 'nodes[0]', /expected the field node, found none/],
    ['a node without bitmaps', /"bitmaps".*/s, '"size2": 1}]}', 'nodes[0].size2', /a field of the form/],
    ['a node without bitmaps', /, "bitmaps".*/s, '}]}', 'nodes[0]', /expected the field bitmaps, found none/],
    ['a node name of another type', '"disk0"', '7', 'nodes[0].node', /expected a text, found 7/],
    ['a lone surrogate', '"disk0"', '"\\ud800"', 'nodes[0].node', /surrogate that stands alone/],
    [
      'a name of 1024 bytes',
      '"disk0"',
      `"${'ä'.repeat(512)}"`,
      'nodes[0].node',
      /at most 1023 bytes, found 1024 bytes/,
    ],
    ['a huge name', '"disk0"', `"${huge}"`, 'nodes[0].node', /at most 6138 bytes, found a longer one/],
    ['bytes that are none', '"disk0",', '"", "nodeHex": "xy",', 'nodes[0].nodeHex', /in hexadecimal, found "xy"/],
    ['half a byte', '"disk0",', '"", "nodeHex": "123",', 'nodes[0].nodeHex', /in hexadecimal, found "123"/],
    ['too many bytes', '"disk0",', `"", "nodeHex": "${'00'.repeat(1024)}",`, 'nodes[0].nodeHex', /found 1024 bytes/],
    ['a size of null', '1073741824', 'null', 'nodes[0].size', /whole number from 0 to 2\^53, found null/],
    ['a negative size', '1073741824', '-1', 'nodes[0].size', /found -1/],
    ['a size with a fraction', '1073741824', '0.5', 'nodes[0].size', /found 0.5/],
    ['a size over 2^53', '1073741824', '9007199254740993', 'nodes[0].size', /found 9007199254740993/],
    ['a size beyond all numbers', '1073741824', '1e999', 'nodes[0].size', /found 1e999/],
    ['a field twice', '"size"', '"size": 1, "size"', 'nodes[0].size', /each field once, found it a second time/],
    ['a field twice, escaped', '"size"', '"size": 1, "s\\u0069ze"', 'nodes[0].size', /each field once/],
    ['no bitmap name', '"name": "b0", ', '', 'nodes[0].bitmaps[0]', /expected the field name, found none/],
    ['no granularity', '"granularity": 65536, ', '', 'nodes[0].bitmaps[0]', /the field granularity, found none/],
    ['no recording', '"recording": true, ', '', 'nodes[0].bitmaps[0]', /the field recording, found none/],
    ['no persistent', '"persistent": true, ', '', 'nodes[0].bitmaps[0]', /the field persistent, found none/],
    ['no dirty', /, "dirty".*/s, '}]}]}', 'nodes[0].bitmaps[0]', /the field dirty, found none/],
    ['a misspelt field', '"dirty"', '"dirtty"', 'nodes[0].bitmaps[0].dirtty', /found "dirtty"; correct its name/],
    ['a granularity of 3', '65536,', '3,', 'nodes[0].bitmaps[0].granularity', /power of two from 512 .* found 3/],
    ['a granularity of 256', '65536,', '256,', 'nodes[0].bitmaps[0].granularity', /found 256/],
    ['a granularity of 4 GiB', '65536,', '4294967296,', 'nodes[0].bitmaps[0].granularity', /found 4294967296/],
    ['flags of another type', 'true', '1', 'nodes[0].bitmaps[0].recording', /expected true or false, found 1/],
    [
      'flags of another type',
      '"persistent": true',
      '"persistent": "true"',
      'nodes[0].bitmaps[0].persistent',
      /found "true"/,
    ],
    ['bits in JSON', '"dirty"', '"bits"', 'nodes[0].bitmaps[0].bits', /expected `dirty` in JSON, found `bits`/],
    [
      'too large a cover',
      '"dirty"',
      '"covered": 1073741825, "dirty"',
      'nodes[0].bitmaps[0].covered',
      /at most the size/,
    ],
    ['dirty of another type', /\[\s*\[.*/s, '"all" } ] } ] }', 'nodes[0].bitmaps[0].dirty', /an array, found "all"/],
    [
      'an extent of another type',
      '[0, 65536]',
      '{}',
      'nodes[0].bitmaps[0].dirty[0]',
      /expected a pair .* found an object/,
    ],
    ['an extent of one number', '[0, 65536]', '[0]', 'nodes[0].bitmaps[0].dirty[0]', /a comma and a length, found \]/],
    ['an extent of none', '[0, 65536]', '[]', 'nodes[0].bitmaps[0].dirty[0]', /whole number .* found \]/],
    [
      'an extent of three',
      '[0, 65536]',
      '[0, 65536, 1]',
      'nodes[0].bitmaps[0].dirty[0]',
      /the end of a pair .* found ,/,
    ],
    ['an extent of texts', '[0, 65536]', '["0", 65536]', 'nodes[0].bitmaps[0].dirty[0]', /found "0"/],
    ['an extent of no bytes', '65536]', '0]', 'nodes[0].bitmaps[0].dirty[0]', /length above 0, found 0/],
    [
      'an odd offset',
      '[0,',
      '[512,',
      'nodes[0].bitmaps[0].dirty[0]',
      /a multiple of the granularity, 65536, found 512/,
    ],
    [
      'an odd end',
      '65536]',
      '65535]',
      'nodes[0].bitmaps[0].dirty[0]',
      /an end that is a multiple .* or 1073741824, .* found 65535/,
    ],
    [
      'extents that touch',
      '[536870912,',
      '[65536,',
      'nodes[0].bitmaps[0].dirty[1]',
      /above 65536, .* found 65536; sort/,
    ],
    ['extents that overlap', '65536]', '671088640]', 'nodes[0].bitmaps[0].dirty[1]', /an offset above 671088640/],
    ['descending extents', '[0,', '[805306368,', 'nodes[0].bitmaps[0].dirty[1]', /an offset above/],
    ['an extent behind the end', '[536870912,', '[1073741824,', 'nodes[0].bitmaps[0].dirty[1]', /at most 1073741824/],
    ['an extent over the end', '1048576]', '536936448]', 'nodes[0].bitmaps[0].dirty[1]', /at most 1073741824, .* cut/],
    ['an extent beyond 2^53', /"size".*?,(.*)65536\]/s, '$19007199254740991]', 'nodes[0].bitmaps[0].dirty[0]', /end/],
  ])('refuses %s (%s)', (_, what, by, path, message) => {
    const error = errorOf(() => parseSetJson(EXAMPLE.replace(what, by)));
    expect(error).toMatchObject({ code: 'set-invalid', path });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(`${path === '' ? 'the document' : path}: expected `)).toBe(true);
    expect(error.message.length).toBeLessThan(400);
  });

  it('refuses an extent that is cut where the end is not known', () => {
    const text = EXAMPLE.replace('"size": 1073741824, ', '').replace('65536]', '65535]');
    expect(errorOf(() => parseSetJson(text)).message).toMatch(
      /an end that is a multiple of the granularity, 65536, found/,
    );
  });

  it('refuses names that come twice, by their bytes', () => {
    const bitmap = '{"name":"b","granularity":512,"recording":true,"persistent":true,"dirty":[]}';
    const two = (a: string, b: string): string => `{"dirtybitmap":1,"nodes":[{"node":"n","bitmaps":[${a},${b}]}]}`;
    const error = errorOf(() => parseSetJson(two(bitmap, bitmap.replace('"name":"b"', '"nameHex":"62"'))));
    expect(error).toMatchObject({ code: 'set-invalid', path: 'nodes[0].bitmaps[1].name' });
    const node = '{"node":"n","bitmaps":[]}';
    const nodes = errorOf(() => parseSetJson(`{"dirtybitmap":1,"nodes":[${node},${node}]}`));
    expect(nodes).toMatchObject({ code: 'set-invalid', path: 'nodes[1].node' });
    expect(nodes.message).toMatch(/each name once, found "n" again/);
  });

  it('tells the byte where it is', () => {
    const error = errorOf(() => parseSetJson(EXAMPLE.replace('"disk0"', '"dïsk"').replace('65536,', '3,')));
    expect(error.offset).toBe(
      encode(EXAMPLE.replace('"disk0"', '"dïsk"')).indexOf(0x36, EXAMPLE.indexOf('granularity')),
    );
  });

  it('tells where the bitmap or its extents begin, for what shows only when the node is known', () => {
    const at = (text: string): number | undefined => errorOf(() => parseSetJson(text)).offset;
    expect(at(EXAMPLE.replace('[0,', '[1,'))).toBe(EXAMPLE.indexOf('[', EXAMPLE.indexOf('"dirty"')));
    expect(at(EXAMPLE.replace('"recording": true, ', ''))).toBe(EXAMPLE.indexOf('{ "name"'));
    expect(at(EXAMPLE.replace('"dirty"', '"covered": 1073741825, "dirty"'))).toBe(EXAMPLE.indexOf('{ "name"'));
  });

  it('refuses texts and bytes that are no UTF-8', () => {
    expect(errorOf(() => parseSetJson(EXAMPLE.replace('disk0', '\ud800'))).message).toMatch(/surrogate/);
    const bytes = encode(EXAMPLE);
    bytes[EXAMPLE.indexOf('disk0')] = 0xff;
    const error = errorOf(() => parseSetJson(bytes));
    expect(error).toMatchObject({ code: 'set-invalid', path: 'nodes[0].node', offset: EXAMPLE.indexOf('"disk0"') });
  });

  it('refuses what nests deeply, without end', () => {
    for (const open of ['[', '{"a":', '[{"a":']) {
      const error = errorOf(() => parseSetJson(`{"x":${open.repeat(200_000)}`));
      expect(error.code).toBe('set-invalid');
      expect(error.message).toMatch(/at most 64 brackets inside one another/);
    }
  });

  it('refuses more fields than there can be, before it remembers them all', () => {
    const fields = Array.from({ length: 100_000 }, (_, i) => `"f${i}":0`).join();
    expect(errorOf(() => parseSetJson(`{${fields}}`)).message).toMatch(/at most 64 fields, found more/);
  });

  it('gives a set or its own error, for any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const result = resultOf(() => parseSetJson(JSON.stringify(value)));
        expect(result).toBeInstanceOf(Error);
      }),
    );
  });

  it('gives a set or its own error, for a document with any value in any place', () => {
    const places = (value: unknown, path: (string | number)[] = []): (string | number)[][] => [
      path,
      ...(typeof value === 'object' && value !== null
        ? Object.entries(value).flatMap(([key, item]) =>
            places(item, [...path, Array.isArray(value) ? Number(key) : key]),
          )
        : []),
    ];
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.maxSafeInteger(),
      fc.constantFrom(65_536, '__proto__', ''),
    );
    fc.assert(
      fc.property(model, fc.nat(), value, (nodes, at, put) => {
        const document = JSON.parse(formatSetJson(setOf(nodes)));
        const all = places(document).slice(1);
        const place = all[at % all.length] ?? [];
        const parent = place.slice(0, -1).reduce((below, key) => below[key], document);
        parent[place.at(-1) ?? ''] = put;
        const result = resultOf(() => parseSetJson(JSON.stringify(document)));
        if (!(result instanceof Error)) expect(contents(parseSetJson(formatSetJson(result)))).toEqual(contents(result));
      }),
      { numRuns: 500 },
    );
  });

  it('gives a set or its own error, for mutated documents, and never one that JSON.parse refuses', () => {
    const ascii = fc.oneof(fc.constantFrom(...encode('[]{},:"\\0123456789-.eEtrufalsn \n')), fc.nat({ max: 255 }));
    const documents = model.map((nodes) => encode(formatSetJson(setOf(nodes))));
    fc.assert(
      fc.property(mutated(documents, ascii), (bytes) => {
        const result = resultOf(() => parseSetJson(bytes));
        if (result instanceof Error) return;
        JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
        expect(contents(parseSetJson(formatSetJson(result)))).toEqual(contents(result));
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses every document that is cut', () => {
    for (let end = 0; end < EXAMPLE.trimEnd().length; end++) {
      const error = errorOf(() => parseSetJson(EXAMPLE.slice(0, end)));
      expect(error.code).toBe('set-invalid');
    }
    expect(errorOf(() => parseSetJson(`${EXAMPLE}]`)).message).toMatch(/the end of the document, found \]/);
  });
});
