import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameFromText } from '../../src/bytes/text.js';
import { loadDocument } from '../../src/cli/load-document.js';
import { DirtyBitmapError } from '../../src/errors.js';
import type { Source } from '../../src/io/source.js';
import { encodeSetMsgpack } from '../../src/msgpack/set.js';
import type { InputReport } from '../../src/report/input-report.js';
import { formatSetJson } from '../../src/set/set-json.js';
import { model, setOf } from './arbitrary.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const MAP = '[{"offset":0,"length":512,"type":1},{"offset":512,"length":100,"type":0}]';

/** A file, or where the size is not told a pipe, that is read in pieces of so many bytes. */
function sourceOf(bytes: Uint8Array, size: number | undefined, piece = 7): Source & { reads: number } {
  return {
    size,
    reads: 0,
    async read(into, offset) {
      this.reads++;
      const part = bytes.subarray(offset, offset + Math.min(piece, into.length));
      into.set(part);
      return part.length;
    },
    async close() {},
  };
}

async function load(bytes: Uint8Array, format: 'set' | 'nbdinfo', options: object = {}): Promise<InputReport> {
  const head = bytes.slice(0, 5);
  return loadDocument('x', sourceOf(bytes, bytes.length), format, {
    head,
    offset: 0,
    onProgress: undefined,
    ...options,
  });
}

describe('loadDocument', () => {
  it('reads a set in either form into a report, from a file and from a pipe', async () => {
    await fc.assert(
      fc.asyncProperty(
        model,
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 100 }),
        async (nodes, binary, pipe, piece) => {
          const set = setOf(nodes);
          const bytes = binary ? encodeSetMsgpack(set) : encode(formatSetJson(set));
          const head = bytes.slice(0, 5);
          const source = sourceOf(bytes, pipe ? undefined : bytes.length, piece);
          const report = await loadDocument('x', source, 'set', { head, offset: 0, onProgress: undefined });
          expect(report).toMatchObject({ input: 'x', format: 'set', bytes: bytes.length, findings: { total: 0 } });
          expect(report.bitmaps).toMatchObject(
            nodes.flatMap(({ node, size, bitmaps }) =>
              bitmaps.map(({ name, granularity, recording, persistent, covered, granules }) => ({
                node: { text: node.text },
                name: { text: name.text },
                granularity,
                recording,
                persistent,
                complete: true,
                coveredBytes: covered ?? size ?? ((granules.at(-1) ?? -1) + 1) * granularity,
              })),
            ),
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  it('reads a map of nbdinfo as one bitmap of no node', async () => {
    const report = await load(encode(MAP), 'nbdinfo');
    expect(report).toMatchObject({ format: 'nbdinfo', bytes: MAP.length });
    expect(report.bitmaps).toMatchObject([
      { node: undefined, name: nameFromText(''), granularity: 512, complete: true, coveredBytes: 612 },
    ]);
    expect(report.bitmaps[0]).not.toHaveProperty('wireBytes');
  });

  it('begins at the offset, and tells how far it is', async () => {
    const bytes = encode(`junk${MAP}`);
    const seen: number[] = [];
    const report = await loadDocument('x', sourceOf(bytes, bytes.length, 64), 'nbdinfo', {
      head: bytes.slice(4, 10),
      offset: 4,
      onProgress: (at) => seen.push(at),
    });
    expect(report.bytes).toBe(bytes.length);
    expect(seen).toEqual([74, bytes.length]);
  });

  it('reads a file that says no size, or a wrong one', async () => {
    for (const size of [0, 10, 1000]) {
      const report = await loadDocument('x', sourceOf(encode(MAP), size), 'nbdinfo', {});
      expect(report.bitmaps.length).toBe(1);
    }
  });

  it('refuses a file that is too large before it is read, and a pipe as soon as it is', async () => {
    const limits = { maxDocumentBytes: 20 };
    const file = sourceOf(encode(MAP), MAP.length);
    await expect(loadDocument('x', file, 'nbdinfo', { limits })).rejects.toMatchObject({ code: 'limit' });
    expect(file.reads).toBe(0);
    const pipe = sourceOf(encode(MAP), undefined);
    await expect(loadDocument('x', pipe, 'nbdinfo', { limits })).rejects.toMatchObject({ code: 'limit' });
    expect(pipe.reads).toBe(3);
  });

  it.each([
    ['set', ''],
    ['set', 'hello'],
    ['set', '{"dirtybitmap":2}'],
    ['nbdinfo', '{}'],
  ] as const)('refuses a bad %s: %s', async (format, text) => {
    await expect(load(encode(text), format)).rejects.toMatchObject({ code: 'set-invalid' });
  });

  it('refuses bad MessagePack', async () => {
    for (const bytes of [Uint8Array.of(0x81), Uint8Array.of(0xc1), Uint8Array.of(0xff), encode('Ünicode')]) {
      const error = await load(bytes, 'set').catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(DirtyBitmapError);
      expect(error).toMatchObject({ code: 'set-invalid' });
    }
  });
});
