import { describe, expect, it } from 'vitest';
import { chopEverywhere } from '../support/chop.js';
import {
  BITMAP_ID,
  configuration,
  DEVICES,
  device,
  EOF,
  EOS,
  fill,
  full,
  join,
  precopy,
  qevm,
  start,
  u32,
  vmdesc,
} from '../support/stream-builder.js';
import { decode, read } from './read.js';

/** A stream up to its EOF marker. */
const ENDED = qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', EOS), EOF);

describe('the end of a stream', () => {
  it('is its EOF marker', () => {
    const { reader, codes } = read(ENDED);
    expect(codes).toEqual([]);
    expect(reader.summary.complete).toBe(true);
    expect(decode(ENDED).events.at(-1)).toEqual({ type: 'end', offset: ENDED.length - 1, length: 1 });
  });

  it('may be followed by a vmdesc', () => {
    const bytes = join(ENDED, vmdesc(DEVICES));
    expect(read(bytes).codes).toEqual([]);
    expect(decode(bytes).events.at(-1)).toEqual({
      ...{ type: 'vmdesc', offset: ENDED.length, length: bytes.length - ENDED.length },
      vmdesc: {
        ...{ pageSize: 4096, configurationBytes: undefined },
        devices: [
          { name: 'timer', instance: 0, size: 24 },
          { name: 'globalstate', instance: 0, size: 12 },
        ],
      },
    });
  });

  it('with a vmdesc of a device that did not come is no fault', () => {
    expect(read(join(ENDED, vmdesc({ page_size: 4096, devices: [device('x', 1)] }))).codes).toEqual([]);
  });

  it.each([
    ['no JSON', 'not json'],
    ['cut JSON', '{"page_size":4096,"devices":['],
    ['no object', '[1,2]'],
    ['nothing', ''],
    ['no list of devices', '{"page_size":4096}'],
    ['devices that are no objects', '{"devices":[1,2]}'],
    ['a device without a name', '{"devices":[{"instance_id":0,"fields":[]}]}'],
    ['a device of less than no bytes', '{"devices":[{"name":"a","instance_id":0,"size":-1}]}'],
    ['a device of half a byte', '{"devices":[{"name":"a","instance_id":0,"size":0.5}]}'],
    ['a device of more bytes than any number', '{"devices":[{"name":"a","instance_id":0,"size":1e300}]}'],
    ['a device that is nested too deep', nested(100)],
    ['arrays that are nested without end', '['.repeat(100_000)],
  ])('with a vmdesc of %s is vmdesc-invalid', (_what, text) => {
    const { findings, reader } = read(join(ENDED, vmdesc(text)));
    expect(findings).toMatchObject([{ code: 'vmdesc-invalid', severity: 'warning', offset: ENDED.length }]);
    expect(reader.summary.complete).toBe(true);
  });

  it('inside the vmdesc is vmdesc-invalid, and the stream is complete', () => {
    const bytes = join(ENDED, vmdesc(DEVICES));
    for (let length = ENDED.length + 5; length < bytes.length; length++) {
      const { findings, reader } = read(bytes.subarray(0, length));
      expect(findings).toMatchObject([
        { code: 'vmdesc-invalid', offset: ENDED.length, message: 'the input ends inside the vmdesc' },
      ]);
      expect(reader.summary.complete).toBe(true);
    }
  });

  it('inside the header of the vmdesc is vmdesc-invalid too, also behind devices that were searched', () => {
    for (const stream of [ENDED, precopy({ vmdesc: false })]) {
      const bytes = join(stream, vmdesc(DEVICES));
      for (let length = stream.length + 1; length <= stream.length + 5; length++) {
        const { codes, findings, reader } = read(bytes.subarray(0, length));
        expect(codes.filter((code) => code !== 'device-scanned')).toEqual(['vmdesc-invalid']);
        expect(findings.find(({ code }) => code === 'vmdesc-invalid')).toMatchObject({ offset: stream.length });
        expect(reader.summary.complete).toBe(true);
      }
    }
  });

  it.each([1, 5, 100_000])('may be followed by %d bytes of anything, which is bytes-after-end', (count) => {
    const { findings, reader } = read(join(ENDED, fill(count, 0x33)));
    expect(findings).toMatchObject([{ code: 'bytes-after-end', severity: 'warning', offset: ENDED.length }]);
    expect(findings[0]?.message).toContain(`${count} bytes follow the end of the stream`);
    expect(reader.summary.complete).toBe(true);
  });

  it('may be followed by more behind the vmdesc too', () => {
    const bytes = join(ENDED, vmdesc(DEVICES));
    expect(read(join(bytes, fill(7))).findings).toMatchObject([{ code: 'bytes-after-end', offset: bytes.length }]);
  });

  it('is not followed by another stream', () => {
    expect(read(join(ENDED, ENDED)).codes).toEqual(['bytes-after-end']);
    expect(read(join(ENDED, ENDED)).reader.summary.sections).toHaveLength(1);
  });

  it('is the same however the bytes are cut', () => {
    for (const bytes of [
      join(ENDED, vmdesc(DEVICES)),
      join(ENDED, vmdesc('x')),
      join(ENDED, fill(9, 1)),
      join(ENDED, vmdesc(DEVICES), 0),
    ]) {
      const whole = decode(bytes);
      for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
    }
  });

  it('with a vmdesc that is larger than allowed steps over it', () => {
    const { codes, reader } = read(precopy(), { limits: { maxVmdescBytes: 100 } });
    expect(codes).toEqual(['device-scanned']);
    expect(reader.summary.complete).toBe(true);
  });

  it('with a vmdesc of 4 GiB takes no memory for it', () => {
    const { findings } = read(join(ENDED, 0x06, u32(0xffff_ffff), fill(1000, 0x20)));
    expect(findings.map(({ code }) => code)).not.toContain('limit');
    expect(read(join(ENDED, 0x06, u32(0xffff_ffff), fill(1000, 0x20))).reader.summary.complete).toBe(true);
  });

  it('may be all there is', () => {
    const { reader, codes } = read(qevm(configuration(), EOF));
    expect(codes).toEqual([]);
    expect(reader.summary).toMatchObject({ complete: true, sections: [], footers: undefined });
  });

  it('before any section is stream-cut', () => {
    for (const bytes of [qevm(), qevm(configuration()), qevm(configuration(), full(1, 'x', fill(9)))]) {
      expect(read(bytes).findings.at(-1)).toMatchObject({
        code: 'stream-cut',
        severity: 'error',
        offset: bytes.length,
      });
    }
  });
});

function nested(depth: number): string {
  const open = '{"vmsd_name":"x","fields":[],"subsections":['.repeat(depth);
  return `{"devices":[{"name":"a","instance_id":0,"fields":[],"subsections":[${open}${']}'.repeat(depth)}]}]}`;
}
