import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTraceItem, type TraceItem, type TraceOptions, Tracer } from '../../src/capture/trace.js';
import { parseTraceLine, traceLine } from '../../src/capture/trace-json.js';
import { decodeTraceMsgpack, encodeTraceMsgpack } from '../../src/msgpack/trace.js';
import { captureBytes, cuts, sectionBytes } from '../support/arbitraries.js';
import { chop, chopEvery, chopEverywhere, pushAndOverwrite } from '../support/chop.js';
import {
  B0,
  BITMAP_ID,
  bitmapChunks,
  bitsChunk,
  command,
  configuration,
  DEVICES,
  EOF,
  EOS,
  end,
  fill,
  full,
  hex,
  join,
  packaged,
  part,
  precopy,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  startChunk,
  str8,
  u64,
  vmdesc,
  zeroesChunk,
} from '../support/stream-builder.js';
import { listVectors, readStream } from '../support/vectors.js';

function trace(input: Uint8Array | Iterable<Uint8Array>, options: TraceOptions = {}): TraceItem[] {
  const tracer = new Tracer(options);
  const items: TraceItem[] = [];
  pushAndOverwrite(input instanceof Uint8Array ? [input] : input, (piece) => items.push(...tracer.push(piece)));
  items.push(...tracer.finish());
  return items;
}

const bytesOf = (items: Iterable<TraceItem>): Uint8Array => join([...items].map(encodeTraceItem));

/** Holds a trace against the bytes it is of: nothing is lost, and every item lies where it says. */
function expectLossless(items: readonly TraceItem[], bytes: Uint8Array, offset = 0): void {
  let at = offset;
  const misplaced = items.filter((item) => {
    if (item.type === 'finding') return false;
    const found = item.offset !== at || encodeTraceItem(item).length !== item.length;
    at += item.length;
    return found;
  });
  expect(misplaced).toEqual([]);
  expect(Buffer.from(bytesOf(items)).equals(bytes)).toBe(true);
}

/** Some real captures; test/vectors.test.ts has them all. */
const REAL = listVectors().filter(({ id }) =>
  /small-qcow2|none-|microvm|random-bits|size-|odd|refused|inject\/bits-/.test(id),
);

describe('a trace', () => {
  it.each(REAL)('of a real capture is all of its bytes, also through JSON lines and MessagePack: $id', (vector) => {
    const bytes = readStream(vector);
    const items = trace(bytes);
    expectLossless(items, bytes);
    expectLossless(items.map(traceLine).map(parseTraceLine), bytes);
    expectLossless([...decodeTraceMsgpack(join(items.map(encodeTraceMsgpack)))], bytes);
  });

  it('tells headers, sections, chunks, commands and the end; everything else is bytes', () => {
    const types = trace(precopy()).map((item) => item.type);
    expect([...new Set(types)].sort()).toEqual(
      ['bytes', 'chunk', 'command', 'end', 'finding', 'footer', 'header', 'section'].filter((type) =>
        types.includes(type as never),
      ),
    );
    expect(types.slice(0, 4)).toEqual(['header', 'bytes', 'command', 'section']);
    expect(types.filter((type) => type === 'chunk')).toHaveLength(6);
  });

  it('keeps what deviates: widths, unknown flags, names that are not clean, padding', () => {
    const odd = [
      hex('8020 81 20 80800001'.slice(0, 4)),
      hex('8120'),
      hex('0c 02 ff00 01 fe'),
      bitsChunk(0, 64, fill(8, 0xff)),
      startChunk({ node: '', bitmap: 'a\0b' }, 1000, 0xff),
      hex('80800001'),
    ];
    const bytes = join(...odd);
    const items = trace(bytes, { format: 'section' });
    expect(items.filter(({ type }) => type === 'chunk')).toHaveLength(odd.length);
    expectLossless(items, bytes);
    expect(bytesOf(items.map(traceLine).map(parseTraceLine))).toEqual(bytes);
  });

  it('keeps a chunk whose sectors no number holds, as bytes', () => {
    const bytes = join(zeroesChunk((1n << 63n) + 1n, 5), EOS);
    const items = trace(bytes, { format: 'section' });
    expect(items.map(({ type }) => type)).toEqual(['finding', 'bytes', 'chunk']);
    expectLossless(items, bytes);
  });

  it('keeps what stands behind an error, as bytes', () => {
    const bytes = qevm(
      configuration(),
      start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]),
      0x99,
      fill(100_000, 0x11),
    );
    const items = trace(bytes);
    expect(items.at(-1)).toMatchObject({ type: 'bytes' });
    expect(items.filter(({ type }) => type === 'finding').map((item) => (item as { code: string }).code)).toEqual([
      'item-unknown',
    ]);
    expectLossless(items, bytes);
  });

  it('begins at the offset that it is given', () => {
    expectLossless(trace(precopy(), { offset: 4096 }), precopy(), 4096);
  });

  it('of nothing has no bytes', () => {
    expect(trace(fill(0)).map(({ type }) => type)).toEqual(['finding']);
    expect(trace(fill(0), { format: 'section' })).toEqual([]);
  });

  it('is all of its bytes, wherever they end', () => {
    const long = qevm(
      configuration(),
      command(6, fill(60, 0x33)),
      command(99, fill(40)),
      packaged(command(4), fill(50), command(5)),
      EOF,
    );
    for (const bytes of [precopy(), precopy({ footers: false }), long]) {
      for (let length = 0; length < bytes.length; length += 2) {
        const cut = bytes.subarray(0, length);
        const items = trace(cut);
        expectLossless(items, cut);
        expect(trace(chopEvery(cut, 1))).toEqual(items);
      }
    }
  });

  it('of any stream, and of any section, in any pieces is all of its bytes', () => {
    fc.assert(
      fc.property(captureBytes, sectionBytes, cuts, (stream, section, where) => {
        expectLossless(trace(chop(stream, where)), stream);
        expectLossless(trace(chop(section, where), { format: 'section' }), section);
      }),
      { numRuns: 150 },
    );
  });
});

const BEGIN = [configuration('pc'), start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS])];
const DONE = end(BITMAP_ID, [bitmapChunks(), EOS]);
const PAGES = [u64(0x08), str8('a'), fill(4096), Array.from({ length: 40 }, () => [u64(0x28), fill(4096)])];
const LATE = [full(7, 'first', fill(10)), full(8, 'long', fill(150_000, 0x11)), full(9, 'last', fill(10)), EOF];

/** Streams in which bytes that no item stands for are long, or are told late. */
const LONG: readonly [what: string, bytes: Uint8Array][] = [
  ['small items', precopy()],
  ['a command with a long payload', qevm(BEGIN, command(6, fill(60_000, 0x33)), DONE, EOF)],
  ['a command with a long payload of the wrong length', qevm(BEGIN, command(1, fill(65_535, 0x33)), DONE, EOF)],
  ['a long package', qevm(BEGIN, packaged(command(4), fill(150_000, 0x33), command(5)), DONE, EOF)],
  ['a long package that is odd', qevm(BEGIN, packaged(fill(150_000, 0x33)), DONE, EOF)],
  [
    'much RAM, and a finding behind it',
    qevm(BEGIN, start(RAM_ID, 'ram', [PAGES, RAM_EOS]), part(RAM_ID, RAM_EOS, { footer: false }), DONE, EOF),
  ],
  ['much RAM, and an error behind it', qevm(BEGIN, start(RAM_ID, 'ram', [PAGES, u64(0), PAGES]), DONE, EOF)],
  ['a long device that is found by searching', qevm(BEGIN, DONE, LATE)],
  [
    'a long device that is found by searching, before a long vmdesc',
    qevm(BEGIN, DONE, LATE, vmdesc({ x: 'x'.repeat(500), ...DEVICES })),
  ],
  ['a long device that comes early', qevm(LATE.slice(0, 3), BEGIN, DONE, EOF)],
  ['a long device without an end', qevm(BEGIN, full(8, 'long', fill(150_000, 0x11), { footer: false }))],
  ['many bytes after the end', qevm(BEGIN, DONE, EOF, fill(200_000, 0x44))],
];

describe('the items of a trace', () => {
  it('are the same wherever a small stream is cut in two, and byte by byte', () => {
    const whole = trace(precopy());
    for (const pieces of chopEverywhere(precopy())) expect(trace(pieces)).toEqual(whole);
  });

  it.each(LONG)('are the same however the bytes are cut: %s', (_what, bytes) => {
    const whole = trace(bytes);
    expectLossless(whole, bytes);
    for (const size of [97, 999, 65_535, 65_536, 65_537, 140_000]) {
      const pieces = chop(
        bytes,
        Array.from({ length: Math.floor(bytes.length / size) }, (_, at) => (at + 1) * size),
      );
      const items = trace(pieces);
      expect(items.map(shape)).toEqual(whole.map(shape));
      expectLossless(items, bytes);
    }
  });

  it("are the caller's to keep", () => {
    const tracer = new Tracer();
    const bytes = precopy();
    const first = tracer.push(bytes.slice(0, 400));
    const kept = first.map(traceLine);
    tracer.push(bytes.slice(400));
    tracer.finish();
    expect(first.map(traceLine)).toEqual(kept);
  });

  it('are never longer than 64 KiB where they are bytes', () => {
    for (const [, bytes] of LONG) {
      for (const item of trace(bytes)) if (item.type === 'bytes') expect(item.length).toBeLessThanOrEqual(65_536);
    }
  });
});

function shape(item: TraceItem): string {
  return item.type === 'finding' ? `finding ${item.code}` : `${item.type} ${item.offset}+${item.length}`;
}
