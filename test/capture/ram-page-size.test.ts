import { describe, expect, it } from 'vitest';
import { CaptureDecoder } from '../../src/capture/capture-decoder.js';
import type { CaptureOptions } from '../../src/capture/capture-parser.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { chop, chopEvery } from '../support/chop.js';
import {
  ADVISE,
  command,
  configuration,
  EOF,
  fill,
  join,
  type Part,
  qevm,
  RAM_EOS,
  start,
  str8,
  subsection,
  u32,
  u64,
} from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

const TOTAL = 1024 * 1024;
const LIST = [u64(TOTAL + 0x04), str8('ram'), u64(TOTAL)];
const NAME = str8('ram');

/** What a page holds that no record looks like. */
const GARBAGE = 0xff;

/** Pages of this size, the first one with its block's name. */
function pages(size: number, count: number, content = GARBAGE): Part {
  return Array.from({ length: count }, (_, at) => [
    u64(at * size + (at === 0 ? 0x08 : 0x28)),
    at === 0 ? NAME : [],
    fill(size, content),
  ]);
}

const stream = (machine: Part, ...body: readonly Part[]): Uint8Array =>
  qevm(machine, start(2, 'ram', [LIST, body, RAM_EOS]), EOF);
const bits = (count: number): Uint8Array => subsection('configuration/target-page-bits', u32(count));

describe('the page size', () => {
  const advise = (size: number | bigint): Part => command(ADVISE, [u64(4096), u64(size)]);
  const vmdesc = (pageSize: number): CaptureOptions => ({
    vmdesc: { pageSize, configurationBytes: undefined, devices: [] },
  });

  it.each<[what: string, size: number, head: Part, options: CaptureOptions]>([
    ['target-page-bits of the configuration', 1024, configuration('virt', bits(10)), {}],
    ['target-page-bits of 64 KiB pages', 65_536, configuration('virt', bits(16)), {}],
    ['POSTCOPY_ADVISE', 8192, [configuration('clipper'), advise(8192)], {}],
    ['the vmdesc', 16_384, configuration('tricore'), vmdesc(16_384)],
    ['the machine type of a PC', 4096, configuration('pc-i440fx-7.2'), {}],
    ['the machine type of a mainframe', 4096, configuration('s390-ccw-virtio-7.2'), {}],
    ['target-page-bits rather than POSTCOPY_ADVISE', 1024, [configuration('virt', bits(10)), advise(4096)], {}],
    ['POSTCOPY_ADVISE rather than the vmdesc', 8192, [configuration('x'), advise(8192)], vmdesc(4096)],
    ['the vmdesc rather than the machine type', 8192, configuration('pc'), vmdesc(8192)],
  ])('is told by %s', (_what, size, head, options) => {
    // One page that says nothing about its size, so a guess could not find it.
    expect(read(stream(head, pages(size, 2, 0x10)), options).codes).toEqual([]);
  });

  it.each([1024, 4096, 8192, 16_384])('of %d bytes is found where nothing tells it, and that is said', (size) => {
    const bytes = stream(configuration('unknown'), pages(size, 6));
    const { codes, findings, reader } = read(bytes);
    expect(codes).toEqual(['ram-page-size-guessed']);
    expect(findings[0]).toMatchObject({
      severity: 'info',
      message: expect.stringContaining(`${size} bytes fit the RAM records`),
    });
    expect(reader.summary.complete).toBe(true);
  });

  it.each([1024, 4096, 8192, 16_384])('of %d bytes is found by one page, where EOS follows it', (size) => {
    expect(read(stream(configuration('unknown'), pages(size, 1))).codes).toEqual(['ram-page-size-guessed']);
  });

  it.each([1024, 4096, 8192, 16_384])('of %d bytes is found by the kinds of records that follow', (size) => {
    const records = [
      u64(0x22),
      0,
      u64(0x200),
      u64(0x60),
      1,
      Uint8Array.of(0, 3),
      fill(3),
      u64(0x120),
      u32(9),
      fill(9),
      u64(0x02),
      NAME,
      0,
    ];
    expect(read(stream(configuration('unknown'), pages(size, 1), records, pages(size, 2))).codes).toEqual([
      'ram-page-size-guessed',
    ]);
  });

  it('is 4096 where several fit: it is the commonest', () => {
    // Pages of EOS words, which end a body wherever one looks.
    const eos = join(Array.from({ length: 512 }, () => RAM_EOS));
    const bytes = qevm(configuration('unknown'), start(2, 'ram', [LIST, u64(0x08), NAME, eos, RAM_EOS]), EOF);
    expect(read(bytes).codes).toEqual(['ram-page-size-guessed']);
  });

  it('is not tried where there are no pages', () => {
    expect(read(stream(configuration('unknown'), u64(0x02), NAME, 0)).codes).toEqual([]);
  });

  it('that fits nothing is ram-invalid', () => {
    const bytes = stream(configuration('unknown'), u64(0x08), NAME, fill(100_000, GARBAGE));
    expect(read(bytes).codes).toEqual(['ram-invalid']);
    expect(lastFinding(bytes).message).toContain('no page size fits the RAM records');
  });

  it.each([0, 512, 3000, 131_072, 2n ** 60n])('told as %d makes no sense, and is found by trying', (size) => {
    const { codes } = read(stream([configuration('unknown'), advise(size)], pages(8192, 6)));
    expect(codes).toEqual(['ram-page-size-guessed']);
  });

  it.each([1024, 8192, 16_384])('of %d bytes is found the same however the stream is cut', (size) => {
    const other = [u64(0x02), NAME, 0, u64(size * 7 + 0x08), NAME, fill(size, GARBAGE)];
    const bytes = stream(configuration('unknown'), pages(size, 3), other, pages(size, 3));
    const whole = decode(bytes);
    expect(whole.error).toBeUndefined();
    for (let cut = 1; cut < bytes.length; cut += cut % 997 < 40 ? 1 : 61)
      expect(decode(chop(bytes, [cut]))).toEqual(whole);
    expect(decode(chopEvery(bytes, 7))).toEqual(whole);
  });

  it.each([1024, 8192, 16_384])('of %d bytes is found byte by byte too', (size) => {
    const bytes = stream(configuration('unknown'), pages(size, 1), u64(0x02), NAME, 0);
    expect(decode(chopEvery(bytes, 1))).toEqual(decode(bytes));
  });

  it('is found as soon as the bytes settle it, and not at the end of the stream only', () => {
    const decoder = new CaptureDecoder();
    const bytes = stream(configuration('unknown'), pages(4096, 40));
    const types = [...decoder.push(bytes)].map(({ type }) => type);
    expect(types.at(-1)).toBe('end');
    // A page that could be of any size does not hold up more than a few of the largest.
    const unsettled = new CaptureReader();
    unsettled.push(qevm(configuration('unknown'), start(2, 'ram', [LIST, u64(0x08), NAME, fill(100_000, GARBAGE)])));
    expect(unsettled.findings.list).toMatchObject([{ code: 'ram-invalid' }]);
  });

  it('depends on the same bytes however much has come: a hostile page cannot mean two things', () => {
    // At 1024 bytes an EOS follows. At 16384 a record of 70000 bytes follows, and others behind it.
    const page = join(fill(1024, GARBAGE), RAM_EOS, fill(16_384 - 1024 - 8, GARBAGE));
    const far = [u64(0x120), u32(70_000), fill(70_000, GARBAGE), Array.from({ length: 8 }, () => [u64(0x22), 0])];
    const bytes = qevm(configuration('unknown'), start(2, 'ram', [LIST, u64(0x08), NAME, page, far, RAM_EOS]), EOF);
    const whole = decode(bytes);
    expect(decode(chopEvery(bytes, 1000))).toEqual(whole);
    expect(decode(chop(bytes, [84_000]))).toEqual(whole);
  });

  it.each([4096, 16_384])('of %d bytes is stream-cut, not ram-invalid, wherever the trial is cut', (size) => {
    const bytes = stream(configuration('unknown'), pages(size, 1), u64(0x08), NAME, fill(size, GARBAGE));
    const second = bytes.length - 1 - 5 - 8 - size - 12;
    for (let length = second - 5; length <= second + 30; length++) {
      for (const pieces of [
        [bytes.slice(0, length)],
        chop(bytes.slice(0, length), [length - 1]),
        chop(bytes.slice(0, length), [100]),
      ]) {
        expect(lastFinding(pieces)).toMatchObject({ code: 'stream-cut', offset: length });
      }
    }
  });
});
