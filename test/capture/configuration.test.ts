import { describe, expect, it } from 'vitest';
import type { CaptureOptions } from '../../src/capture/capture-parser.js';
import { parseVmdesc } from '../../src/capture/vmdesc.js';
import { chopEverywhere } from '../support/chop.js';
import {
  capabilities,
  configuration,
  EOF,
  fill,
  hex,
  join,
  type Part,
  qevm,
  str8,
  subsection,
  u32,
} from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

const PAGE_BITS = subsection('configuration/target-page-bits', u32(12));
const UUID = subsection('configuration/uuid', hex('00112233445566778899aabbccddeeff'));

/** The configuration event of a stream that has only this. */
function configurationOf(part: Part, options: CaptureOptions = {}): unknown {
  const { events, error } = decode(qevm(part, EOF), options);
  if (error !== undefined) throw error;
  return events.find((event) => (event as { type: string }).type === 'configuration');
}

const NOTHING = { targetPageBits: undefined, capabilities: undefined, uuid: undefined };

describe('the configuration section', () => {
  it('names the machine type', () => {
    expect(configurationOf(configuration('pc-i440fx-7.2'))).toEqual({
      type: 'configuration',
      offset: 8,
      length: 5 + 13,
      configuration: { machine: 'pc-i440fx-7.2', ...NOTHING },
    });
  });

  it.each([
    ['target-page-bits', PAGE_BITS, { ...NOTHING, targetPageBits: 12 }],
    [
      'capabilities',
      capabilities('x-ignore-shared', 'mapped-ram'),
      { ...NOTHING, capabilities: ['x-ignore-shared', 'mapped-ram'] },
    ],
    ['no capabilities', capabilities(), { ...NOTHING, capabilities: [] }],
    ['uuid', UUID, { ...NOTHING, uuid: '00112233445566778899aabbccddeeff' }],
  ])('may have the subsection %s', (_name, bytes, more) => {
    expect(configurationOf(configuration('none', bytes))).toMatchObject({
      length: 9 + bytes.length,
      configuration: { machine: 'none', ...more },
    });
  });

  it('may have all subsections, in any order', () => {
    const all = { machine: 'none', targetPageBits: 12, capabilities: ['a'], uuid: '00112233445566778899aabbccddeeff' };
    for (const order of [
      [PAGE_BITS, capabilities('a'), UUID],
      [UUID, capabilities('a'), PAGE_BITS],
    ]) {
      expect(configurationOf(configuration('none', ...order))).toMatchObject({ configuration: all });
    }
  });

  it('reads the bytes that were seen in a capture', () => {
    const seen = [
      0x05,
      str8('configuration/capabilities'),
      hex('00000001 00000001'),
      str8('x-ignore-shared'),
      0x05,
      str8('configuration/uuid'),
      hex('00000001'),
      fill(16, 7),
    ];
    expect(configurationOf(configuration('none', ...seen))).toMatchObject({
      configuration: { capabilities: ['x-ignore-shared'], uuid: '07'.repeat(16) },
    });
  });

  it('is configuration-missing where the stream has none, and the stream is read all the same', () => {
    const { codes, findings, reader } = read(qevm(EOF));
    expect(codes).toEqual(['configuration-missing']);
    expect(findings[0]).toMatchObject({ severity: 'info', offset: 8 });
    expect(reader.summary).toMatchObject({ machine: undefined, capabilities: [], complete: true });
  });

  it.each([
    ['target-page-bits', PAGE_BITS],
    ['capabilities', capabilities('a')],
    ['uuid', UUID],
  ])('has no subsection twice: %s', (name, bytes) => {
    const finding = lastFinding(qevm(configuration('none', bytes, bytes), EOF));
    expect(finding).toMatchObject({ code: 'configuration-invalid', severity: 'error', offset: 17 + bytes.length });
    expect(finding.message).toContain(`a second subsection "configuration/${name}"`);
  });

  it('has no subsection that is not known: nothing tells its length', () => {
    const finding = lastFinding(qevm(configuration('none', PAGE_BITS, subsection('configuration/new', 'xyz')), EOF));
    expect(finding).toMatchObject({ code: 'configuration-invalid', offset: 17 + PAGE_BITS.length });
    expect(finding.message).toContain('subsection "configuration/new" is not known, and nothing tells its length');
  });

  it('is stepped over by the size that the vmdesc gives where it has an unknown subsection', () => {
    const bytes = configuration('none', PAGE_BITS, subsection('configuration/new', 'xyz'));
    const vmdesc = { pageSize: undefined, devices: [], configurationBytes: bytes.length - 1 };
    expect(configurationOf(bytes, { vmdesc })).toMatchObject({
      length: bytes.length,
      configuration: { targetPageBits: 12 },
    });
  });

  it.each([
    ['half a byte', 24.5],
    ['nothing', 0],
    ['less than nothing', -40],
    ['more than any number', 1e300],
    ['more than there is room for', 1e12],
  ])('is configuration-invalid where it has an unknown subsection and the vmdesc gives it %s', (_what, size) => {
    const text = JSON.stringify({ page_size: 4096, configuration: { fields: [{ name: 'x', size }] }, devices: [] });
    const vmdesc = parseVmdesc(join(text));
    const stream = qevm(configuration('none', subsection('configuration/new', fill(2000))), EOF);
    expect(lastFinding(stream, { vmdesc }).code).toBe('configuration-invalid');
  });

  it('has a machine name of at most 4096 bytes', () => {
    expect(configurationOf(configuration('m'.repeat(4096)))).toMatchObject({ length: 5 + 4096 });
    const finding = lastFinding(qevm(configuration('m'.repeat(4097)), EOF));
    expect(finding).toMatchObject({ code: 'configuration-invalid', offset: 9 });
    expect(finding.message).toContain('a machine name of 4097 bytes');
  });

  it('is refused for a huge machine name as soon as its length is read', () => {
    expect(lastFinding(qevm(0x07, u32(0xffff_ffff)))).toMatchObject({ code: 'configuration-invalid' });
  });

  it('has at most 256 capabilities, refused as soon as their count is read', () => {
    const names = Array.from({ length: 256 }, (_, at) => `c${at}`);
    expect(configurationOf(configuration('none', capabilities(...names)))).toMatchObject({
      configuration: { capabilities: names },
    });
    const many = qevm(configuration('none', subsection('configuration/capabilities', u32(257))));
    expect(lastFinding(many).message).toContain('257 capabilities, where at most 256 make sense');
  });

  it('is the same however the bytes are cut', () => {
    const stream = qevm(configuration('none', PAGE_BITS, capabilities('a', 'bc'), UUID), EOF);
    const whole = decode(stream);
    expect(whole.error).toBeUndefined();
    for (const pieces of chopEverywhere(stream)) expect(decode(pieces)).toEqual(whole);
  });

  it('is stream-cut wherever it is cut', () => {
    const stream = qevm(configuration('none', PAGE_BITS, capabilities('a', 'bc'), UUID));
    for (let length = 8; length <= stream.length; length++) {
      expect(lastFinding(stream.subarray(0, length))).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });

  it('is read where the stream ends right behind it', () => {
    const { reader, codes } = read(qevm(configuration('none', UUID)));
    expect(reader.summary.machine).toBe('none');
    expect(codes).toEqual(['stream-cut']);
  });
});
