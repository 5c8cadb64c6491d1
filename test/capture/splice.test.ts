import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { bitmapSha256 } from '../../src/bitmap/sha256.js';
import { nameFromText } from '../../src/bytes/text.js';
import { encodeCapture } from '../../src/capture/capture-encoder.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import type { SpliceChanges } from '../../src/capture/chunk-edits.js';
import { SplicePlanner, spliceCapture } from '../../src/capture/splice.js';
import { encodeTraceItem } from '../../src/capture/trace.js';
import { locateVmdesc, parseVmdesc } from '../../src/capture/vmdesc.js';
import { openSource } from '../../src/io/source.js';
import { planSplice, splicePieces } from '../../src/io/splice-file.js';
import type { BitmapSet, SetBitmap } from '../../src/set/bitmap-set.js';
import { errorOf } from '../bytes/error-of.js';
import { bitmapsOf, loadStream } from '../support/qemu.js';
import { collect, type Sketch, setOf } from '../support/sets.js';
import * as build from '../support/stream-builder.js';
import { listVectors, readStream, traceOf, type Vector } from '../support/vectors.js';
import { describeWithQemu } from '../support/with-qemu.js';

/** Reads a capture with what its end tells of its devices. */
function read(stream: Uint8Array): CaptureReader {
  const place = locateVmdesc(stream, 0);
  const vmdesc = place && parseVmdesc(stream.subarray(place.textOffset, place.textOffset + place.textLength));
  const reader = new CaptureReader({ total: stream.length, vmdesc });
  reader.push(stream);
  reader.finish();
  return reader;
}

const splice = (stream: Uint8Array, changes: SpliceChanges): Uint8Array => collect(spliceCapture(stream, changes));

/** Vectors that QEMU wrote to their end without a fault. */
const WHOLE = listVectors()
  .filter(({ id, channel }) => id.startsWith('captures') && !channel)
  .map((vector): [Vector, Uint8Array] => [vector, readStream(vector)])
  .filter(([, stream]) => {
    const { findings, summary } = read(stream);
    return summary.complete && findings.counts.error === 0;
  });
const WITH_BITMAPS = WHOLE.filter(([, stream]) => stream.length < 2 ** 22 && read(stream).bitmaps.length > 0);

function vector(id: string): Uint8Array {
  const found = WHOLE.find(([one]) => one.id === id);
  if (found === undefined) throw new Error(`there is no whole vector ${id}`);
  return found[1];
}

/** All that is no chunk, as bytes, and what each bitmap is. */
function outside(stream: Uint8Array): string {
  const items = traceOf(stream).filter((item) => item.type !== 'chunk' && item.type !== 'finding');
  return Buffer.concat(items.map(encodeTraceItem)).toString('latin1');
}

function contents(bitmaps: readonly (SetBitmap & { readonly node: { readonly text: string } })[]): string[] {
  return bitmaps.map(({ node, name, recording, persistent, bits }) =>
    JSON.stringify([node.text, name.text, recording, persistent, bits.granularity, [...bits.extents()].slice(0, 2000)]),
  );
}

/** The set of one bitmap of a capture, as the capture has it. */
function only(reader: CaptureReader, at: number): BitmapSet {
  const bitmap = reader.bitmaps[at] as (typeof reader.bitmaps)[number];
  return { nodes: [{ node: bitmap.node, size: undefined, bitmaps: [bitmap] }] };
}

const ADDED = setOf({ node: 'added', name: 'new', granularity: 4096, size: 2 ** 24, dirty: [[4096, 8192]] });

describe('spliceCapture', () => {
  it('has vectors to work on', () => {
    expect(WHOLE.length).toBeGreaterThan(60);
    expect(WITH_BITMAPS.length).toBeGreaterThan(50);
    expect(WITH_BITMAPS.filter(([, stream]) => read(stream).summary.postcopy).length).toBeGreaterThan(3);
  });

  it('changes nothing where nothing is to be changed', () => {
    for (const [{ id }, stream] of WHOLE) {
      expect(Buffer.compare(splice(stream, {}), stream), id).toBe(0);
      const same: SpliceChanges = { drop: () => false, rename: ({ node, bitmap }) => ({ node, bitmap }) };
      expect(Buffer.compare(splice(stream, same), stream), id).toBe(0);
    }
  });

  it('drops a bitmap, and leaves all other bytes and bitmaps', () => {
    for (const [{ id }, stream] of WITH_BITMAPS) {
      const before = read(stream);
      const at = Math.floor(before.bitmaps.length / 2);
      const victim = before.bitmaps[at];
      const drop: SpliceChanges['drop'] = ({ node, bitmap }) =>
        node.text === victim?.node.text && bitmap.text === victim?.name.text;
      const result = splice(stream, { drop });
      const after = read(result);
      expect(after.findings.counts.error, id).toBe(0);
      expect(contents(after.bitmaps), id).toEqual(contents(before.bitmaps).filter((_, index) => index !== at));
      expect(outside(result), id).toBe(outside(stream));
    }
  });

  it('drops all bitmaps', () => {
    for (const [{ id }, stream] of WITH_BITMAPS) {
      const result = splice(stream, { drop: () => true });
      expect(read(result).bitmaps, id).toEqual([]);
      expect(outside(result), id).toBe(outside(stream));
    }
  });

  it('renames, and back again', () => {
    for (const [{ id }, stream] of WITH_BITMAPS) {
      const target = read(stream).bitmaps[0]?.node.text;
      const to = (from: string | undefined, name: string): SpliceChanges => ({
        rename: ({ node }) => (node.text === from ? { node: nameFromText(name) } : undefined),
      });
      const renamed = splice(stream, to(target, 'another-name'));
      expect(read(renamed).bitmaps[0]?.node.text, id).toBe('another-name');
      expect(outside(renamed), id).toBe(outside(stream));
      expect(Buffer.compare(splice(renamed, to('another-name', target as string)), stream), id).toBe(0);
    }
  });

  it('replaces a bitmap of a precopy by itself without any change', () => {
    for (const [{ id }, stream] of WITH_BITMAPS) {
      const reader = read(stream);
      if (reader.summary.postcopy || reader.bitmaps.length > 20) continue;
      for (let at = 0; at < reader.bitmaps.length; at++) {
        expect(Buffer.compare(splice(stream, { put: only(read(stream), at) }), stream), `${id} ${at}`).toBe(0);
      }
    }
  });

  it('replaces a bitmap by another, and leaves all others', () => {
    for (const [{ id }, stream] of WITH_BITMAPS) {
      const before = read(stream);
      const at = before.bitmaps.length - 1;
      const old = before.bitmaps[at] as (typeof before.bitmaps)[number];
      const same = before.bitmaps.filter(({ node }) => node.text === old.node.text);
      const size = Math.max(...same.map((one) => one.coveredBytes));
      if (size === 0 || size > 2 ** 33) continue;
      const bits = new Bitmap(512, { size });
      bits.set(0);
      const bitmap = { name: old.name, recording: !old.recording, persistent: !old.persistent, bits };
      const put = { nodes: [{ node: old.node, size, bitmaps: [bitmap] }] };
      for (const profile of ['qemu', 'compact'] as const) {
        const result = collect(spliceCapture(stream, { put }, { profile }));
        const after = read(result);
        const expected = contents(before.bitmaps);
        expected[at] = contents([{ ...bitmap, node: old.node }])[0] as string;
        expect(contents(after.bitmaps), id).toEqual(expected);
        expect(
          after.findings.list.filter((one) => one.severity === 'error'),
          id,
        ).toEqual([]);
        expect(outside(result), id).toBe(outside(stream));
      }
    }
  });

  describe('a bitmap for a disk of another size', () => {
    const SIZE = 2 ** 30;
    const whole = collect(encodeCapture(setOf({ dirty: [[0, 65_536]] })));
    const gappy = collect(encodeCapture(setOf({ dirty: [[2 ** 29, 65_536]] }), { profile: 'compact' }));
    const part = collect(encodeCapture(setOf({ dirty: [[0, 65_536]] }), { profile: 'compact' }));
    const put = (size: number | null, dirty: readonly (readonly [number, number])[], name = 'b1'): SpliceChanges => ({
      put: setOf({ size, name, dirty, ...(size === null && { covered: dirty[0] && dirty[0][0] + 64 * 65_536 }) }),
    });
    const codeOf = (stream: Uint8Array, changes: SpliceChanges): string | undefined => {
      try {
        splice(stream, changes);
      } catch (error) {
        return (error as { code: string }).code;
      }
      return undefined;
    };

    it.each([
      ['a larger disk beside a whole bitmap', whole, put(2 * SIZE, []), 'size-differs'],
      ['a smaller disk beside a whole bitmap', whole, put(SIZE / 2, []), 'size-differs'],
      ['a larger disk in its place', whole, put(2 * SIZE, [], 'b0'), 'size-differs'],
      ['a smaller disk in its place', whole, put(SIZE / 2, [], 'b0'), 'size-differs'],
      ['a disk that ends before what was sent', gappy, put(SIZE / 4, []), 'size-differs'],
      ['an unknown disk that reaches further', whole, put(null, [[2 * SIZE, 65_536]]), 'size-differs'],
      ['the same disk', whole, put(SIZE, []), undefined],
      ['an unknown disk that is known less far', whole, put(null, [[0, 65_536]]), undefined],
      ['a larger disk beside a bitmap that leaves out what is clean', gappy, put(2 * SIZE, []), undefined],
      ['the same where that begins with the disk', part, put(SIZE, []), undefined],
    ])('%s: %s', (_, stream, changes, code) => {
      expect(codeOf(stream, changes)).toBe(code);
    });
  });

  it('adds a bitmap before the others, or in a section of its own', () => {
    for (const [{ id }, stream] of WHOLE) {
      if (stream.length > 2 ** 22) continue;
      const before = read(stream);
      const result = splice(stream, { put: ADDED });
      const after = read(result);
      expect(after.findings.counts.error, id).toBe(0);
      expect(after.summary).toMatchObject({ complete: true, postcopy: before.summary.postcopy });
      expect(contents(after.bitmaps), id).toEqual([
        '["added","new",true,false,4096,[[4096,8192]]]',
        ...contents(before.bitmaps),
      ]);
      // And out again: what there was before.
      const back = splice(result, { drop: ({ node }) => node.text === 'added' });
      const had = before.summary.sections.some(({ name }) => name === 'dirty-bitmap');
      if (had) expect(Buffer.compare(back, stream), id).toBe(0);
    }
  });

  it('drops and renames any of many bitmaps, whatever names are left out around them', () => {
    const fate = fc.constantFrom('keep', 'drop', 'rename', 'move');
    fc.assert(
      fc.property(fc.array(fc.array(fate, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }), (nodes) => {
        const sketches = nodes.flatMap((fates, node) =>
          fates.map(
            (_, at) =>
              ({
                node: `n${node}`,
                name: `b${at}`,
                size: 2 ** 24,
                dirty: [[(node * 8 + at) * 65_536, 65_536]],
              }) satisfies Sketch,
          ),
        );
        const fateOf = (node: string, name: string): string =>
          nodes[Number(node.slice(1))]?.[Number(name.slice(1))] ?? '';
        const result = splice(collect(encodeCapture(setOf(...sketches))), {
          drop: ({ node, bitmap }) => fateOf(node.text, bitmap.text) === 'drop',
          rename: ({ node, bitmap }) => {
            const what = fateOf(node.text, bitmap.text);
            if (what === 'rename') return { bitmap: nameFromText(`new-${bitmap.text}`) };
            return what === 'move' ? { node: nameFromText(`m-${node.text}`) } : undefined;
          },
        });
        const expected = sketches.flatMap(({ node, name, dirty }) => {
          const what = fateOf(node, name);
          if (what === 'drop') return [];
          return [[what === 'move' ? `m-${node}` : node, what === 'rename' ? `new-${name}` : name, dirty]];
        });
        const { bitmaps, findings } = read(result);
        expect(findings.counts.error).toBe(0);
        expect(bitmaps.map(({ node, name, bits }) => [node.text, name.text, [...bits.extents()]])).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it('edits a file as it edits bytes, without reading the pages', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-splice-'));
    const path = join(folder, 'capture.bin');
    try {
      for (const [{ id }, stream] of WITH_BITMAPS.slice(0, 12)) {
        writeFileSync(path, stream);
        const source = await openSource(path);
        const plan = await planSplice(source, { put: ADDED });
        const pieces: Uint8Array[] = [];
        for await (const piece of splicePieces(source, plan)) pieces.push(piece.slice());
        await source.close();
        expect(Buffer.compare(Buffer.concat(pieces), splice(stream, { put: ADDED })), id).toBe(0);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says what it did', () => {
    const planner = new SplicePlanner({ put: ADDED, rename: () => ({ bitmap: nameFromText('b1') }) });
    planner.push(build.precopy());
    expect(planner.finish().done).toEqual([
      { bitmap: 'disk0/b0', what: 'renamed', to: 'disk0/b1' },
      { bitmap: 'added/new', what: 'added' },
    ]);
  });

  it('keeps an EOS that rides on a chunk that goes', () => {
    const stream = build.bitmapStream(
      [build.startChunk(build.B0), build.EOS],
      [build.bitsChunk(0, build.UNIT, [1, build.fill(7)]), 0x21],
    );
    const result = splice(stream, { drop: () => true });
    expect(read(result).summary.complete).toBe(true);
    expect(result.length).toBe(build.bitmapStream(build.EOS, build.EOS).length);
  });

  const two = build.bitmapStream(
    [build.startChunk(build.B0), build.startChunk({ bitmap: 'b1' }), build.EOS],
    [build.completeChunk({ bitmap: 'b0' }), build.completeChunk({ bitmap: 'b1' }), build.EOS],
  );
  const refusals: readonly (readonly [string, string, Uint8Array, SpliceChanges])[] = [
    ['two bitmaps of one name', 'bitmap-exists', two, { rename: () => ({ bitmap: nameFromText('x') }) }],
    ['a name that is too long', 'name-too-long', two, { rename: () => ({ node: nameFromText('x'.repeat(256)) }) }],
    ['a bitmap without a name', 'name-empty', two, { put: setOf({ name: '' }) }],
    ['a bitmap of unknown size', 'size-unknown', two, { put: setOf({ size: null }) }],
    ['a capture that is cut', 'stream-cut', two.subarray(0, two.length - 1), { put: ADDED }],
    [
      'a bitmap that is never completed',
      'complete-missing',
      build.bitmapStream([build.startChunk(build.B0), build.EOS]),
      { put: setOf({}) },
    ],
    ['bits that were never started', 'never-started', build.bitmapStream([build.completeChunk(build.B0), 1]), {}],
    ['a source that failed', 'source-failed-in-setup', build.bitmapStream([]), { put: ADDED }],
  ];
  for (const [what, code, stream, changes] of refusals) {
    it(`refuses ${what} before the first piece`, () => {
      expect(errorOf(() => spliceCapture(stream, changes).next()).code).toBe(code);
    });
  }
});

describe('mapped-ram', () => {
  const mapped = WHOLE.filter(([{ id }]) => id.includes('mapped-ram'));

  it('is edited behind its pages, which stay where they are', () => {
    expect(mapped.length).toBeGreaterThan(1);
    for (const [{ id }, stream] of mapped) {
      const result = splice(stream, { put: ADDED });
      expect(read(result).findings.counts.error, id).toBe(0);
      // The pages end where the first byte of the added bitmap stands.
      const at = result.findIndex((byte, index) => byte !== stream[index]);
      expect(at, id).toBeGreaterThan(2 ** 20);
    }
  });

  it('is refused where pages would move', () => {
    const ram = (pages: number): build.Part => {
      const header = [build.u32(1), build.u64(4096), build.u64(0), build.u64(pages)];
      return [build.u64(0x1000 | 0x04), build.str8('r'), build.u64(4096), header];
    };
    const head = build.qevm(
      build.configuration('none', build.capabilities('mapped-ram')),
      build.start(3, 'dirty-bitmap', [build.startChunk(build.B0), build.EOS]),
    );
    const pages = 2 ** 20;
    const before = build.join(head, build.start(2, 'ram', ram(pages), { footer: false }));
    const stream = build.join(
      ...[before, build.fill(pages - before.length + 4096), build.RAM_EOS, build.footer(2)],
      ...[build.end(2, build.RAM_EOS), build.end(3, [build.bitmapChunks(), build.EOS]), build.EOF],
    );
    expect(read(stream).bitmaps[0]?.complete).toBe(true);
    expect(errorOf(() => splice(stream, { put: ADDED })).code).toBe('unsupported');
    expect(errorOf(() => splice(stream, { drop: () => true })).code).toBe('unsupported');
    // A name of the same length moves nothing.
    const renamed = splice(stream, { rename: () => ({ bitmap: nameFromText('c0') }) });
    expect(read(renamed).bitmaps[0]?.name.text).toBe('c0');
  });
});

describeWithQemu('spliceCapture and a real QEMU', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-splice-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const cases = ['small-qcow2-persistent', 'none-postcopy', 'caps-off', 'none-no-footers'];
  for (const name of cases) {
    it(`loads ${name} with a bitmap added and the others renamed`, { timeout: 120_000 }, async () => {
      const stream = vector(`captures/${name}`);
      const rename: SpliceChanges['rename'] = ({ bitmap }) => ({ bitmap: nameFromText(`new-${bitmap.text}`) });
      const result = splice(stream, { put: ADDED, rename });
      const path = join(folder, 'out.bin');
      writeFileSync(path, result);
      const { bitmaps } = read(stream);
      const sizes = new Map(bitmaps.map((bitmap) => [bitmap.node.text, bitmap.coveredBytes]));
      sizes.set('added', 2 ** 24);
      const args = name === 'none-no-footers' ? ['-global', 'migration.send-section-footer=off'] : [];
      const nodes = [...sizes].map(([node, size]) => ({ node, size }));
      const qemu = await loadStream(folder, path, nodes, args);
      const shown = await bitmapsOf(qemu).finally(() => qemu.quit());
      const expected = bitmaps.map(({ node, name, bits, coveredBytes }) => ({
        ...{ node: node.text, name: `new-${name.text}`, busy: false, count: bits.count() },
        sha256: bitmapSha256(bits, Math.ceil(coveredBytes / bits.granularity)),
      }));
      expect(shown.filter(({ node }) => node !== 'added')).toMatchObject(
        expected.sort((a, b) => (`${a.node}/${a.name}` < `${b.node}/${b.name}` ? -1 : 1)),
      );
      expect(shown.filter(({ node }) => node === 'added')).toMatchObject([{ name: 'new', count: 8192, busy: false }]);
    });
  }
});
