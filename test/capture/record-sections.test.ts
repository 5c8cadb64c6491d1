import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { chop, chopEverywhere } from '../support/chop.js';
import {
  configuration,
  EOF,
  end,
  fill,
  hex,
  join,
  type Part,
  part,
  qevm,
  start,
  str8,
  u16,
  u32,
  u64,
} from '../support/stream-builder.js';
import { decode, lastFinding, read, sections } from './read.js';

const MIB = 1024 * 1024;
const stream = (name: string, ...bodies: readonly Part[]): Uint8Array => {
  const [first, ...more] = bodies;
  return qevm(
    configuration(),
    start(1, name, first ?? []),
    more.map((body) => part(1, body)),
    end(1, bodies.at(-1) ?? []),
    EOF,
  );
};

const DATA = 0x01;
const BLOCK_EOS = u64(0x02);
const block = (sector: number, device: string, data: Part): Part => [u64(sector * 512 + DATA), str8(device), data];

const HTAB_END = fill(8);
const group = (index: number, valid: number, invalid: number): Part => [
  u32(index),
  u16(valid),
  u16(invalid),
  fill(16 * valid, 0xee),
];

const MORE = 2;
const ATTRIBUTES_DONE = u64(0x08);
const ATTRIBUTES_EOS = u64(0x01);
const attributes = (page: number, count: number): Part => [u64(page * 4096 + MORE), u64(count), fill(count, 0x55)];

/** Bodies of sections that delimit themselves. */
const BODIES: readonly [name: string, what: string, body: Part][] = [
  ['block', 'nothing but its end', BLOCK_EOS],
  ['block', 'progress', [u64(50 * 512 + 0x04), u64(100 * 512 + 0x04), BLOCK_EOS]],
  ['block', 'a block of zeroes, without data', [[u64(2048 * 512 + DATA + 0x08), str8('disk0')], BLOCK_EOS]],
  ['spapr/htab', 'nothing: another kind of header', u32(24)],
  ['spapr/htab', 'nothing: no table', u32(0xffff_ffff)],
  ['spapr/htab', 'no groups', [u32(0), HTAB_END]],
  ['spapr/htab', 'groups', [u32(0), group(0, 3, 0), group(3, 0, 5), group(8, 1, 1), HTAB_END]],
  ['s390-storage_attributes', 'nothing but its end', ATTRIBUTES_EOS],
  ['s390-storage_attributes', 'attributes', [attributes(0, 5), attributes(9, 0), attributes(7, 100), ATTRIBUTES_EOS]],
  ['s390-storage_attributes', 'attributes that are done', [attributes(0, 5), ATTRIBUTES_DONE, ATTRIBUTES_EOS]],
];

describe('a section that delimits itself', () => {
  it.each(BODIES)('is stepped over: %s with %s', (name, _what, body) => {
    const bytes = stream(name, body, body);
    expect(read(bytes).codes).toEqual([]);
    const length = join(body).length;
    expect(sections(bytes).map((line) => line.replace(/ \d+\+/, ' '))).toEqual(
      ['start', 'part', 'end'].map((type) => `${type} ${name} ${length}`),
    );
  });

  it.each(BODIES)('is the same however the bytes are cut: %s with %s', (name, _what, body) => {
    const bytes = stream(name, body);
    const whole = decode(bytes);
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it.each(BODIES)('is stream-cut wherever it is cut: %s with %s', (name, _what, body) => {
    const bytes = stream(name, body);
    const from = join(qevm(configuration()), [0x01, u32(1), str8(name), u64(0)]).length;
    for (let length = from; length < from + join(body).length; length++) {
      expect(lastFinding(bytes.subarray(0, length))).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });
});

describe('the legacy block section', () => {
  const body = [block(0, 'disk0', fill(MIB, 0x02)), block(2048, 'disk0', fill(MIB)), BLOCK_EOS];

  it('has 1 MiB of data with each block, also with the last part of a disk', () => {
    expect(read(stream('block', body)).codes).toEqual([]);
  });

  it('may be cut anywhere in the data', () => {
    const bytes = stream('block', body);
    const whole = decode(bytes);
    for (const cut of [60, 100, MIB, MIB + 70, 2 * MIB]) expect(decode(chop(bytes, [cut]))).toEqual(whole);
  });

  it('lets its data be skipped', () => {
    const bytes = stream('block', body);
    const reader = new CaptureReader();
    const header = bytes.indexOf(0x05, 30) + 6;
    reader.push(bytes.slice(0, header));
    expect(reader.skippable).toBe(MIB);
    reader.skipped(MIB);
    reader.push(bytes.slice(header + MIB));
    reader.finish();
    expect(reader.summary.complete).toBe(true);
    expect(reader.findings.counts.error).toBe(0);
  });

  it.each([0, 0x03, 0x05, 0x08, 0x0a, 0x10, 0x100])('is block-invalid with flags 0x%x', (flags) => {
    const finding = lastFinding(stream('block', [u64(flags), str8('disk0'), BLOCK_EOS]));
    expect(finding).toMatchObject({ code: 'block-invalid', severity: 'error' });
    expect(finding.message).toContain(`flags 0x${flags.toString(16)} of a block record are not known`);
    expect(finding.offset).toBe(join(qevm(configuration()), [0x01, u32(1), str8('block'), u64(0)]).length);
  });
});

describe('s390-storage_attributes', () => {
  it.each([0, 0x03, 0x04, 0x0a, 0x800])('is section-invalid with flags 0x%x', (flags) => {
    expect(lastFinding(stream('s390-storage_attributes', u64(flags))).code).toBe('section-invalid');
  });

  it('is u64-too-large where its count is', () => {
    const finding = lastFinding(stream('s390-storage_attributes', [u64(MORE), u64(1n << 60n)]));
    expect(finding).toMatchObject({
      code: 'u64-too-large',
      message: expect.stringContaining('s390-storage_attributes.count'),
    });
  });

  it('waits for no memory where its count is huge', () => {
    const bytes = stream('s390-storage_attributes', [u64(MORE), u64(2 ** 52)]);
    expect(lastFinding(bytes)).toMatchObject({ code: 'stream-cut', offset: bytes.length });
  });
});

describe('sections of one kind', () => {
  it('that walk a body keep nothing of the one before', () => {
    const bytes = qevm(
      configuration(),
      start(1, 'spapr/htab', [u32(0), group(0, 1, 0), HTAB_END]),
      part(1, u32(24)),
      part(1, [u32(0), HTAB_END]),
      end(1, u32(0xffff_ffff)),
      EOF,
    );
    expect(read(bytes).codes).toEqual([]);
    expect(sections(bytes)).toHaveLength(4);
  });

  it('are told apart from names that only look like theirs', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'blocks']) {
      const bytes = qevm(configuration(), start(1, name, hex('0102')), EOF);
      expect(read(bytes).codes, name).toEqual(['device-scanned']);
    }
  });
});
