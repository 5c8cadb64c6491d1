import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { errorOf } from '../bytes/error-of.js';
import { chopEverywhere } from '../support/chop.js';
import {
  configuration,
  EOF,
  fill,
  footer,
  join,
  type Part,
  part,
  qevm,
  RAM_EOS,
  start,
  str8,
  u16,
  u32,
  u64,
} from '../support/stream-builder.js';
import { decode, lastFinding, read, sections } from './read.js';

const PAGE = 4096;
/** A block list of one block of 16 pages. */
const LIST = [u64(16 * PAGE + 0x04), str8('ram'), u64(16 * PAGE)];
const NAME = str8('ram');

/** A stream with one RAM section whose body is this. The machine tells the page size. */
const ram = (...body: readonly Part[]): Uint8Array => qevm(configuration('pc-q35-7.2'), start(2, 'ram', body), EOF);

/** Every kind of record, as it stands in a section; each leaves the section's end where it is. */
const RECORDS: readonly [what: string, record: Part][] = [
  ['ZERO', [u64(0x02), NAME, 0]],
  ['ZERO of the same block', [u64(PAGE + 0x02), NAME, 0, u64(2 * PAGE + 0x22), 0]],
  ['PAGE', [u64(0x08), NAME, fill(PAGE, 0x10)]],
  ['PAGE of the same block', [u64(0x08), NAME, fill(PAGE), u64(PAGE + 0x28), fill(PAGE, 0x7e)]],
  [
    'many PAGEs of the same block',
    [u64(0x08), NAME, fill(PAGE), Array.from({ length: 9 }, (_, at) => [u64(at * PAGE + 0x28), fill(PAGE, at)])],
  ],
  ['XBZRLE', [u64(0x40), NAME, 1, u16(5), fill(5, 0xff)]],
  ['XBZRLE of the same block', [u64(0x02), NAME, 0, u64(0x60), 1, u16(0)]],
  ['XBZRLE of a whole page', [u64(0x40), NAME, 1, u16(PAGE), fill(PAGE)]],
  ['COMPRESS_PAGE', [u64(0x100), NAME, u32(11), fill(11, 0x78)]],
  ['COMPRESS_PAGE of the same block', [u64(0x02), NAME, 0, u64(0x120), u32(1), 0]],
  ['COMPRESS_PAGE as large as zlib can make it', [u64(0x100), NAME, u32(PAGE + 14), fill(PAGE + 14)]],
  ['HOOK, which has no data', u64(0x80)],
  ['MULTIFD_FLUSH', u64(0x200)],
];

describe('a RAM section', () => {
  it.each(RECORDS)('may have records of the kind %s', (_what, record) => {
    const body = join(LIST, record, RAM_EOS);
    const stream = ram(body);
    expect(read(stream).codes).toEqual([]);
    const bodyOffset = stream.length - 1 - footer(2).length - body.length;
    expect(sections(stream)).toEqual([`start ram ${bodyOffset}+${body.length}`]);
  });

  it('may have records of all kinds, and is the same however it is cut', () => {
    const small = RECORDS.filter(([, record]) => join(record).length < 100).map(([, record]) => record);
    const stream = ram(LIST, small, RAM_EOS);
    const whole = decode(stream);
    expect(whole.error).toBeUndefined();
    for (const pieces of chopEverywhere(stream)) expect(decode(pieces)).toEqual(whole);
  });

  it('may be cut anywhere in pages', () => {
    const stream = ram(LIST, RECORDS[3]?.[1] ?? [], RAM_EOS);
    const whole = decode(stream);
    for (let cut = 40; cut < stream.length; cut += 97) {
      expect(decode([stream.slice(0, cut), stream.slice(cut)])).toEqual(whole);
    }
  });

  it('keeps its block and its list from section to section', () => {
    const more = [part(2, [u64(0x28), fill(PAGE), RAM_EOS]), part(2, [u64(0x22), 0, RAM_EOS]), part(2, RAM_EOS)];
    const stream = qevm(configuration('pc-q35-7.2'), start(2, 'ram', [LIST, u64(0x02), NAME, 0, RAM_EOS]), more, EOF);
    expect(read(stream).codes).toEqual([]);
    expect(sections(stream)).toHaveLength(4);
  });

  it('does not take pages for anything: their bytes may be what they like', () => {
    const hostile = join(RAM_EOS, footer(2), 0, 'QEVM', footer(2), fill(PAGE - 23, 0x7e));
    expect(read(ram(LIST, u64(0x08), NAME, hostile, RAM_EOS)).codes).toEqual([]);
  });

  it('may have any upper bits in its words: they are the address', () => {
    expect(read(ram(LIST, u64(0xffff_ffff_ffff_fc02n), NAME, 0, u64(0x0123_4567_89ab_cc10n))).codes).toEqual([]);
  });
});

describe('a RAM record', () => {
  const cases: readonly [what: string, body: Part, says: RegExp][] = [
    ['without any flag', [LIST, u64(0), u64(0)], /flags 0x0 of a RAM record are not one known kind/],
    ['of the obsolete kind FULL', [LIST, u64(0x01), NAME], /flags 0x1 /],
    ['of two kinds', [LIST, u64(0x0a), NAME], /flags 0xa /],
    ['of PAGE and EOS', [LIST, u64(0x18), NAME], /flags 0x18 /],
    [
      'that goes on with a block when none was named',
      [LIST, u64(0x28), fill(PAGE)],
      /goes on with a block, and none was named before/,
    ],
    ['of ZERO that goes on with a block when none was named', [LIST, u64(0x22), 0], /none was named before/],
    [
      'for a block that is not in the list',
      [LIST, u64(0x02), str8('rom'), 0],
      /for block "rom", which the block list does not have/,
    ],
    ['of XBZRLE with another encoding', [LIST, u64(0x40), NAME, 2, u16(5), fill(5)], /a compressed page of 5 bytes/],
    [
      'of XBZRLE longer than a page',
      [LIST, u64(0x40), NAME, 1, u16(PAGE + 1)],
      /of 4097 bytes, where at most 4096 are possible/,
    ],
    [
      'of COMPRESS_PAGE longer than zlib can make it',
      [LIST, u64(0x100), NAME, u32(PAGE + 15)],
      /of 4111 bytes, where at most 4110 are possible/,
    ],
    ['of COMPRESS_PAGE of 4 GiB, before any of it', [LIST, u64(0x100), NAME, u32(0xffff_ffff)], /of 4294967295 bytes/],
    ['that is a second block list', [LIST, LIST], /a second RAM block list/],
  ];

  it.each(cases)('%s is ram-invalid', (_what, body, says) => {
    const finding = lastFinding(ram(body, RAM_EOS));
    expect(finding).toMatchObject({ code: 'ram-invalid', severity: 'error', message: expect.stringMatching(says) });
  });

  it('that is invalid is told where it stands', () => {
    const stream = ram(LIST, u64(0x02), NAME, 0, u64(0x03));
    expect(lastFinding(stream)).toMatchObject({ code: 'ram-invalid', offset: stream.length - 1 - 5 - 8 });
  });

  it('may be for any block where the stream has no list', () => {
    expect(read(ram(u64(0x02), str8('any'), 0, RAM_EOS)).codes).toEqual([]);
  });

  it.each(RECORDS)('is stream-cut wherever it is cut: %s', (_what, record) => {
    const stream = ram(LIST, record, RAM_EOS);
    for (let length = 60; length < stream.length - 1; length += stream.length > 600 ? 61 : 1) {
      const finding = lastFinding(stream.subarray(0, length));
      expect(finding).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });

  it('of a page that is cut tells how much is missing', () => {
    const { message } = lastFinding(ram(LIST, u64(0x08), NAME, fill(1000)).slice(0, -6));
    expect(message).toMatch(/inside section "ram", before its EOF marker \(at least 3096 more bytes expected\)/);
  });
});

describe('RAM pages', () => {
  const stream = ram(LIST, u64(0x08), NAME, fill(PAGE, 1), u64(0x28), fill(PAGE, 2), RAM_EOS);
  /** Where the first page begins. */
  const page = stream.length - 1 - footer(2).length - RAM_EOS.length - PAGE - 8 - PAGE;

  it.each([0, 1, 100, PAGE - 1])(
    'are skippable behind the %d bytes that were pushed, and skipping changes nothing',
    (pushed) => {
      const reader = new CaptureReader();
      reader.push(stream.slice(0, page + pushed));
      expect(reader.skippable).toBe(PAGE - pushed);
      reader.skipped(PAGE - pushed);
      expect(reader.skippable).toBe(0);
      reader.push(stream.slice(page + PAGE));
      reader.finish();
      const whole = read(stream);
      expect(reader.findings.list).toEqual(whole.findings);
      expect(reader.summary).toEqual(whole.reader.summary);
      expect(reader.bytes).toBe(stream.length);
    },
  );

  it('may be skipped in part', () => {
    const reader = new CaptureReader();
    reader.push(stream.slice(0, page));
    reader.skipped(1000);
    expect(reader.skippable).toBe(PAGE - 1000);
    reader.push(stream.slice(page + 1000));
    reader.finish();
    expect(reader.summary.complete).toBe(true);
  });

  it('may not be skipped any further', () => {
    const reader = new CaptureReader();
    reader.push(stream.slice(0, page));
    expect(errorOf(() => reader.skipped(PAGE + 1))).toMatchObject({ code: 'argument' });
    reader.push(stream.slice(page));
    expect(reader.skippable).toBe(0);
    expect(errorOf(() => reader.skipped(1))).toMatchObject({ code: 'argument' });
  });
});
