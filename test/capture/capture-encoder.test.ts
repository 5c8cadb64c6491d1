import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bitmapSha256 } from '../../src/bitmap/sha256.js';
import { nameFromBytes } from '../../src/bytes/text.js';
import { CaptureEncoder, encodeCapture, encodeSection } from '../../src/capture/capture-encoder.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import type { BitmapSet, SetBitmap } from '../../src/set/bitmap-set.js';
import { errorOf } from '../bytes/error-of.js';
import { bitmapsOf, loadStream } from '../support/qemu.js';
import { collect, type Sketch, setOf } from '../support/sets.js';
import {
  bitsChunk,
  join as bytesOf,
  command,
  completeChunk,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  qevm,
  start,
  startChunk,
  vmdesc,
} from '../support/stream-builder.js';
import { describeWithQemu } from '../support/with-qemu.js';

const PROFILES = ['qemu', 'compact'] as const;
const TIB = 2 ** 40;

function read(stream: Uint8Array): CaptureReader {
  const reader = new CaptureReader();
  reader.push(stream);
  reader.finish();
  return reader;
}

describe('CaptureEncoder', () => {
  it('writes header, configuration, ADVISE, both sections with footers, EOF and a vmdesc', () => {
    const set = setOf({ size: 2 ** 22, persistent: true, dirty: [[0, 65_536]] });
    const names = { node: 'disk0', bitmap: 'b0' };
    const expected = qevm(
      configuration('none'),
      command(3),
      start(3, 'dirty-bitmap', [startChunk(names, 65_536, 3), EOS]),
      end(3, [bitsChunk(0, 8192, [1, fill(7)]), completeChunk(), EOS]),
      EOF,
      vmdesc('{"page_size":4096,"devices":[]}'),
    );
    expect(collect(encodeCapture(set, { profile: 'compact' }))).toEqual(Buffer.from(expected));
  });

  it('takes any source and any machine', () => {
    const graph = new MemoryGraph();
    graph
      .addNode({ name: 'disk0', size: 2 ** 30 })
      .create({ name: 'b0', granularity: 65_536 })
      .bits.set(4096);
    const { summary, bitmaps, findings } = read(
      collect(new CaptureEncoder(new Source(graph), { machine: 'pc-q35-7.2' }).pieces()),
    );
    expect(summary).toMatchObject({ machine: 'pc-q35-7.2', complete: true, postcopy: false, footers: true });
    expect(bitmaps[0]?.bits.count()).toBe(65_536);
    expect(findings.list).toEqual([]);
  });

  it('does not hold the stream: pieces are views of one window', () => {
    const set = setOf({ granularity: 512, size: 2 ** 32, dirty: [[0, 2 ** 32]] });
    const window = new Uint8Array(16_384);
    let bytes = 0;
    for (const piece of encodeCapture(set, { window })) {
      expect(piece.length).toBeLessThanOrEqual(window.length);
      bytes += piece.length;
    }
    expect(bytes).toBeGreaterThan(2 ** 20);
  });

  it('cancels the source where the loop is left', () => {
    const graph = new MemoryGraph();
    const bitmap = graph.addNode({ name: 'disk0', size: 2 ** 30 }).create({ name: 'b0', granularity: 65_536 });
    const source = new Source(graph);
    for (const _ of new CaptureEncoder(source).pieces()) break;
    expect([source.state, bitmap.busy]).toEqual(['cancelled', false]);
  });

  const refusals: readonly (readonly [string, string, BitmapSet])[] = [
    ['a node of which nothing tells the size', 'size-unknown', setOf({ size: null, dirty: [[0, 65_536]] })],
    ['a bitmap without a name', 'name-empty', setOf({ name: '' })],
    ['a node without a name', 'name-empty', setOf({ node: '' })],
    ['a name that is too long', 'name-too-long', setOf({ name: 'x'.repeat(256) })],
    [
      'a node name that is not UTF-8',
      'name-not-utf8',
      { nodes: setOf({}).nodes.map((node) => ({ ...node, node: nameFromBytes(Uint8Array.of(0xff)) })) },
    ],
  ];
  for (const [what, code, set] of refusals) {
    it(`refuses ${what} before the first piece`, () => {
      expect(errorOf(() => encodeCapture(set).next()).code).toBe(code);
    });
  }

  it('refuses a machine without a name', () => {
    expect(errorOf(() => new CaptureEncoder(new Source(new MemoryGraph()), { machine: '' })).code).toBe('argument');
  });

  it('ends what is known of different bitmaps at different places', () => {
    // 100 MiB is no multiple of 64 granules of 1 MiB: a range of b1 that ended there would make QEMU abort.
    const set = setOf(
      { name: 'b0', size: null, covered: 100 * 2 ** 20, dirty: [[0, 65_536]] },
      { name: 'b1', granularity: 2 ** 20, covered: 64 * 2 ** 20, dirty: [[0, 2 ** 20]] },
    );
    const { bitmaps, findings } = read(collect(encodeCapture(set)));
    expect(bitmaps.map((bitmap) => bitmap.coveredBytes)).toEqual([100 * 2 ** 20, 64 * 2 ** 20]);
    expect(findings.list).toEqual([]);
  });

  it('writes the same as a section', () => {
    const set = setOf({ size: 2 ** 22, dirty: [[0, 65_536]] });
    const section = collect(encodeSection(set, { profile: 'compact' }));
    const names = { node: 'disk0', bitmap: 'b0' };
    const expected = bytesOf(startChunk(names), EOS, bitsChunk(0, 8192, [1, fill(7)]), completeChunk(), EOS);
    expect(section).toEqual(Buffer.from(expected));
  });

  it('gives any set back, in both profiles', () => {
    const KIB = 1024;
    const bitmap = fc.record({
      granularity: fc.constantFrom(512, 4 * KIB, 64 * KIB, 2 ** 20),
      recording: fc.boolean(),
      persistent: fc.boolean(),
      starts: fc.array(fc.tuple(fc.nat(2 ** 26), fc.integer({ min: 1, max: 2 ** 21 })), { maxLength: 8 }),
    });
    const node = fc.record({ size: fc.integer({ min: 1, max: 2 ** 26 }), bitmaps: fc.array(bitmap, { maxLength: 3 }) });
    fc.assert(
      fc.property(fc.array(node, { maxLength: 3 }), fc.constantFrom(...PROFILES), (nodes, profile) => {
        const sketches = nodes.flatMap(({ size, bitmaps }, at) =>
          bitmaps.map(({ starts, ...rest }, index): Sketch => {
            const inside = starts.filter(([offset]) => offset < size);
            const dirty = inside.map(([offset, length]) => [offset, Math.min(length, size - offset)] as const);
            return { ...rest, size, dirty, node: `node${at}`, name: `b${index}` };
          }),
        );
        const set = setOf(...sketches);
        const reader = read(collect(encodeCapture(set, { profile })));
        const found = reader.bitmaps.map(({ node: name, ...one }) => shown(name.text, one));
        expect(found).toEqual(set.nodes.flatMap((one) => one.bitmaps.map((each) => shown(one.node.text, each))));
        const faults = reader.findings.list.filter(({ severity }) => severity === 'error');
        expect(faults).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('is at least 10 times smaller in compact for 1 TiB at 64 KiB with 1000 random granules', () => {
    const set = setOf({ size: TIB, dirty: randomGranules(1000) });
    const [whole, compact] = PROFILES.map((profile) => collect(encodeCapture(set, { profile })).length);
    expect(whole).toBeGreaterThanOrEqual(10 * (compact as number));
  });
});

describeWithQemu('CaptureEncoder and a real QEMU', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-encoder-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const cases: readonly (readonly [string, readonly Sketch[]])[] = [
    ['1 TiB with 1000 random granules', [{ size: TIB, dirty: randomGranules(1000) }]],
    [
      'several nodes, flags and granularities, an odd size, an empty bitmap',
      [
        { node: 'd0', name: 'a', granularity: 512, size: 1_000_003, recording: false, dirty: [[999_936, 67]] },
        { node: 'd0', name: 'b', granularity: 65_536, persistent: true, dirty: [[0, 1_000_003]] },
        { node: 'd1', name: 'a', granularity: 2 ** 31, size: 3 * TIB, dirty: [[2 ** 40, 1]] },
        { node: 'd1', name: 'empty', granularity: 4096 },
      ],
    ],
  ];
  for (const [what, sketches] of cases) {
    for (const profile of PROFILES) {
      it(`${profile}: it loads ${what}`, { timeout: 120_000 }, async () => {
        const set = setOf(...sketches);
        const stream = join(folder, 'out.bin');
        writeFileSync(stream, collect(encodeCapture(set, { profile })));
        const nodes = set.nodes.map((node) => ({ node: node.node.text, size: node.size as number }));
        const qemu = await loadStream(folder, stream, nodes);
        const shown = await bitmapsOf(qemu).finally(() => qemu.quit());
        const { exit, stderr } = await qemu.quit();
        expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
        expect(shown).toEqual(expected(set));
      });
    }
  }
});

/** A bitmap as far as a stream tells of it; the last granule is whole in one and may be cut in the other. */
function shown(node: string, { name, recording, persistent, bits }: SetBitmap): unknown {
  return [node, name.text, recording, persistent, bits.granularity, [...bits.extents({ clip: false })]];
}

/** What QMP must show of a set. */
function expected(set: BitmapSet): object[] {
  return set.nodes.flatMap(({ node, bitmaps, size = 0 }) =>
    bitmaps.map(({ name, recording, persistent, bits }) => ({
      ...{ node: node.text, name: name.text, granularity: bits.granularity, count: bits.count() },
      ...{ recording, persistent, busy: false },
      sha256: bitmapSha256(bits, Math.ceil(size / bits.granularity)),
    })),
  );
}

/** Granules of 64 KiB on 1 TiB, from a generator of which the seed is fixed. */
function randomGranules(count: number): [number, number][] {
  let state = 1;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return [(state >>> 8) * 65_536, 65_536] as [number, number];
  });
}
