import { describe, expect, it } from 'vitest';
import { chopEverywhere } from '../support/chop.js';
import { configuration, EOF, fill, hex, join, type Part, precopy, qevm, u32 } from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

/** Where the START chunk of {@link precopy} stands. */
const START_OFFSET = precopy().indexOf(0x1c, 60);

describe('what is no migration stream', () => {
  it.each<[what: string, bytes: Part, found: string, advice: string]>([
    ['a multifd side channel', hex('11223344 00000001'), 'a multifd side channel', 'capture that one'],
    ['a TLS stream', hex('160301 0200 010001fc'), 'a TLS stream', 'capture the migration in the clear'],
    ['a libvirt save image', ['LibvirtQemudSave', fill(100)], 'a libvirt save image', 'pass its place with --offset'],
    ['gzip data', hex('1f8b0800 00000000 0003'), 'gzip data', 'decompress it first'],
    ['zstd data', hex('28b52ffd 00000000'), 'zstd data', 'decompress it first'],
    ['xz data', hex('fd377a585a00 0000'), 'xz data', 'decompress it first'],
    ['lz4 data', hex('04224d18 00000000'), 'lz4 data', 'decompress it first'],
    ['a qcow2 image', hex('514649fb 00000003'), 'a qcow2 image', 'it is an image'],
    ['a stream without its header', hex('0800030000 010000'), 'a stream without its header', 'it carries no bitmaps'],
  ])('is not-main-channel where it is %s', (_what, bytes, found, advice) => {
    const finding = lastFinding(join(bytes));
    expect(finding).toMatchObject({ code: 'not-main-channel', severity: 'error', offset: 0 });
    expect(finding.message).toContain(`expected QEVM, found ${found}`);
    expect(finding.message).toContain(advice);
  });

  it.each<[what: string, bytes: Part]>([
    ['text', 'hello world'],
    ['a stream of the other byte order', 'MVEQ\0\0\0\x03'],
    ['control characters', '\x1b[2J\x07\x07\x07\x07'],
    ['a stream behind one byte', ['x', qevm(configuration(), EOF)]],
    ['ones', fill(100, 0xff)],
  ])('is magic-invalid where it is %s, with what was found', (_what, bytes) => {
    const finding = lastFinding(join(bytes));
    expect(finding).toMatchObject({ code: 'magic-invalid', severity: 'error', offset: 0 });
    expect(finding.message).toMatch(/expected QEVM \(51 45 56 4d\), found [0-9a-f]{16} \(".*"\)/);
    expect(finding.message).not.toMatch(/\p{Cc}/u);
  });

  it('is magic-invalid where it is empty', () => {
    expect(lastFinding(fill(0))).toMatchObject({
      code: 'magic-invalid',
      offset: 0,
      message: expect.stringContaining('the input is empty'),
    });
    expect(lastFinding([])).toMatchObject({ code: 'magic-invalid' });
  });

  it('is magic-invalid where it is zeroes only', () => {
    expect(lastFinding(fill(5000))).toMatchObject({
      code: 'magic-invalid',
      message: expect.stringContaining('the input is 5000 zero bytes'),
    });
    expect(lastFinding(fill(3 * 1024 * 1024))).toMatchObject({ code: 'magic-invalid' });
  });

  it.each(['51', '4c69', '1122', '1f'])('is told as far as it goes where it is shorter than a header: %s', (bytes) => {
    expect(lastFinding(hex(bytes)).code).toMatch(/^(magic-invalid|not-main-channel|stream-cut)$/);
  });

  it('is told however the bytes are cut', () => {
    for (const bytes of [hex('11223344 00000001 00'), join('hello world'), join(fill(5), 'no stream'), fill(9)]) {
      const whole = decode(bytes);
      expect(whole.error).toBeDefined();
      for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
    }
  });
});

describe('zeroes before a stream', () => {
  it.each([1, 7, 8, 1000, 1024 * 1024])('are stepped over, and told: %d of them', (count) => {
    const { codes, reader, findings } = read(join(fill(count), precopy()));
    expect(codes).toEqual(['leading-bytes']);
    expect(findings[0]).toMatchObject({
      severity: 'info',
      offset: 0,
      message: expect.stringContaining(`after ${count} zero bytes`),
    });
    expect(reader.bitmaps[0]).toMatchObject({ complete: true, offset: count + START_OFFSET });
  });

  it('are stepped over up to 1 MiB', () => {
    expect(lastFinding(join(fill(1024 * 1024 + 1), precopy())).code).toBe('magic-invalid');
  });

  it('are the same however the bytes are cut', () => {
    const bytes = join(fill(11), qevm(configuration(), EOF));
    const whole = decode(bytes);
    expect(whole.error).toBeUndefined();
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it('are none where the offset of the stream is given', () => {
    const { codes, reader } = read(precopy(), { offset: 5000 });
    expect(codes).toEqual([]);
    expect(reader.bitmaps[0]?.offset).toBe(5000 + START_OFFSET);
  });
});

describe('the version of a stream', () => {
  it.each([0, 1, 2, 4, 0x0300_0000, 0xffff_ffff])('%d is version-unsupported', (version) => {
    const finding = lastFinding(join('QEVM', u32(version), configuration(), EOF));
    expect(finding).toMatchObject({ code: 'version-unsupported', severity: 'error', offset: 4 });
    expect(finding.message).toContain(`expected stream version 3, found ${version}`);
  });

  it('is told before it is refused', () => {
    expect(decode(join('QEVM', u32(2))).events).toEqual([{ type: 'header', version: 2, offset: 0, length: 8 }]);
  });
});

describe('a stream that is cut in its header', () => {
  it('is no other thing: what is there is a stream', () => {
    for (let length = 4; length < 8; length++) {
      const finding = lastFinding(precopy().subarray(0, length));
      expect(finding).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });
});
