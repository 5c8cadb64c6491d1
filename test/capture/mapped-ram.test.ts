import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { chop, chopEvery } from '../support/chop.js';
import { type Block, MAPPED, mappedStream, PAGE } from '../support/mapped-stream.js';
import {
  capabilities,
  configuration,
  EOF,
  fill,
  join,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  str8,
  u32,
  u64,
} from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

const BOTH = configuration('none', capabilities('x-ignore-shared', 'mapped-ram'));

const TWO: readonly Block[] = [
  { name: 'pc.ram', pages: 16 },
  { name: 'vga', pages: 3 },
];

describe('mapped RAM', () => {
  it('is stepped over by the offsets in the headers of its blocks', () => {
    const { codes, reader } = read(mappedStream(TWO));
    expect(codes).toEqual([]);
    expect(reader.bitmaps[0]?.bits.dirtyGranules()).toBe(1);
  });

  it('has offsets of the file, where the stream begins somewhere in it', () => {
    const stream = mappedStream(TWO, { origin: 12_288 });
    expect(read(stream, { offset: 12_288 }).codes).toEqual([]);
    expect(read(join(fill(12_288), stream)).codes).toEqual(['leading-bytes']);
    expect(read(stream).codes).not.toEqual([]);
  });

  it('has no gap for a block that is shared and ignored (11.0)', () => {
    const blocks = [{ name: 'shared', pages: 100, ignored: true }, ...TWO];
    expect(read(mappedStream(blocks, { head: BOTH, address: u64(0xc_0000) })).codes).toEqual([]);
  });

  it('has an address for each block beside x-ignore-shared', () => {
    expect(read(mappedStream(TWO, { head: BOTH, address: u64(0) })).codes).toEqual([]);
  });

  it('is the same however the stream is cut', () => {
    const stream = mappedStream(TWO);
    const whole = decode(stream);
    expect(whole.error).toBeUndefined();
    for (const cut of [50, 61, 62, 70, 90, 98, 99, 100, 101, 5000, 70_000, stream.length - 60]) {
      expect(decode(chop(stream, [cut]))).toEqual(whole);
    }
    expect(decode(chopEvery(stream, 13))).toEqual(whole);
  });

  it.each([1, 64, 1000])(
    'gives the same where gaps are skipped, however much was pushed: pieces of %d bytes',
    (size) => {
      const stream = mappedStream(TWO);
      const whole = read(stream);
      const reader = new CaptureReader();
      let skipped = 0;
      for (let at = 0; at < stream.length; ) {
        const skip = Math.min(reader.skippable, stream.length - at);
        if (skip > 0) reader.skipped(skip);
        skipped += skip;
        at += skip;
        reader.push(stream.slice(at, at + size));
        at = Math.min(stream.length, at + size);
      }
      reader.finish();
      expect(skipped).toBeGreaterThan(19 * PAGE - 2 * size);
      expect(reader.bytes).toBe(stream.length);
      expect(reader.findings.list).toEqual(whole.findings);
      expect(reader.summary).toEqual(whole.reader.summary);
      expect(reader.bitmaps.map(({ offset, bits }) => [offset, [...bits.extents()]])).toEqual(
        whole.reader.bitmaps.map(({ offset, bits }) => [offset, [...bits.extents()]]),
      );
    },
  );

  it('is ram-invalid where the header has another version', () => {
    expect(lastFinding(mappedStream([{ name: 'a', pages: 1, version: 2 }]))).toMatchObject({
      code: 'ram-invalid',
      message: expect.stringContaining('mapped-ram header version 2, expected 1'),
    });
  });

  it('is ram-invalid where the pages are said to lie before the header', () => {
    expect(lastFinding(mappedStream([{ name: 'a', pages: 1, pagesOffset: 40 }])).message).toMatch(
      /mapped-ram pages at 40, before the end of their own header at \d+/,
    );
  });

  it('is ram-invalid where the pages are said to end above 2^53-1', () => {
    const blocks = [{ name: 'a', pages: 1, pagesOffset: Number.MAX_SAFE_INTEGER - 100 }];
    expect(lastFinding(mappedStream(blocks)).message).toContain('mapped-ram pages end above 2^53-1');
  });

  it('is stream-cut where the file ends in the gap, and that takes no memory', () => {
    const stream = mappedStream([{ name: 'a', pages: 1, pagesOffset: 2 ** 50 }]);
    expect(lastFinding(stream)).toMatchObject({ code: 'stream-cut', offset: stream.length });
  });

  it('tells the page size', () => {
    const stream = qevm(
      MAPPED,
      start(RAM_ID, 'ram', [
        u64(PAGE + 4),
        str8('a'),
        u64(PAGE),
        u32(1),
        u64(8192),
        u64(0),
        u64(0),
        u64(0x08),
        str8('a'),
        fill(8192, 0x10),
        RAM_EOS,
      ]),
      EOF,
    );
    expect(read(stream).codes).toEqual([]);
  });
});
