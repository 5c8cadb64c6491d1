import { describe, expect, it } from 'vitest';
import { chopEverywhere } from '../support/chop.js';
import {
  B0,
  BITMAP_ID,
  bitmapChunks,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  footer,
  full,
  join,
  type Part,
  part,
  precopy,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  startChunk,
  u64,
} from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

const NONE = { footer: false };
const stream = (...items: readonly Part[]): Uint8Array => qevm(configuration(), ...items, EOF);
const RAM_START = (form = {}): Uint8Array => start(RAM_ID, 'ram', [u64(0x04), RAM_EOS], form);
const ram = (form = {}): Uint8Array => part(RAM_ID, RAM_EOS, form);

describe('section footers', () => {
  it('are seen behind the first section that delimits itself', () => {
    expect(read(stream(RAM_START(), ram())).reader.summary.footers).toBe(true);
    expect(read(stream(RAM_START(NONE), ram(NONE))).reader.summary.footers).toBe(false);
    expect(read(stream()).reader.summary.footers).toBeUndefined();
  });

  it('may be missing throughout', () => {
    const { codes, reader } = read(
      stream(
        RAM_START(NONE),
        start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS], NONE),
        ram(NONE),
        end(BITMAP_ID, [bitmapChunks(), EOS], NONE),
      ),
    );
    expect(codes).toEqual([]);
    expect(reader.bitmaps[0]?.complete).toBe(true);
  });

  it('that are missing once are footer-missing, and the stream is read on', () => {
    const items = [RAM_START(), ram(), ram(NONE), ram()];
    const { findings, reader } = read(stream(items));
    expect(findings[0]).toMatchObject({
      code: 'footer-missing',
      severity: 'error',
      offset: stream(items.slice(0, 3)).length - 1,
    });
    expect(findings[0]?.message).toContain('section "ram" has no footer, and a section before it had one');
    expect(reader.summary.complete).toBe(true);
  });

  it('that come once where there were none are footer-missing, and the stream is read on', () => {
    const items = [RAM_START(NONE), ram(NONE), ram()];
    const { findings, reader } = read(stream(items));
    expect(findings[0]).toMatchObject({ code: 'footer-missing', offset: stream(items).length - 1 - 5 });
    expect(reader.summary.complete).toBe(true);
  });

  it('that have the id of another section are footer-mismatch, and the stream is read on', () => {
    const { findings, reader } = read(stream(RAM_START(), [part(RAM_ID, RAM_EOS, NONE), footer(77)], ram()));
    expect(findings[0]).toMatchObject({
      code: 'footer-mismatch',
      severity: 'error',
      offset: stream(RAM_START()).length - 1 + 5 + 8,
    });
    expect(findings[0]?.message).toContain('footer of section "ram": expected id 2, found 77');
    expect(reader.summary.complete).toBe(true);
  });

  it('that belong to no section end the reading', () => {
    const finding = lastFinding(stream(RAM_START(NONE), ram(NONE), footer(99)));
    expect(finding).toMatchObject({
      code: 'footer-mismatch',
      message: expect.stringContaining('belongs to no section'),
    });
    expect(lastFinding(stream(footer(0)))).toMatchObject({ code: 'item-unknown', offset: 17 });
    expect(lastFinding(stream(RAM_START(), footer(99)))).toMatchObject({ code: 'footer-mismatch' });
  });

  it('are the same however the bytes are cut, also where they are wrong', () => {
    for (const items of [
      [RAM_START(), ram(NONE), ram()],
      [RAM_START(NONE), ram()],
      [RAM_START(), part(RAM_ID, RAM_EOS, NONE), footer(9)],
    ]) {
      const bytes = stream(items);
      const whole = decode(bytes);
      for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
    }
  });

  it('that are missing at the end of a cut stream leave the last section told', () => {
    const { events, error } = decode(stream(RAM_START(NONE), ram(NONE)).slice(0, -1));
    expect(events.at(-1)).toMatchObject({ type: 'section-end', length: 0 });
    expect(error).toMatchObject({ code: 'stream-cut' });
  });
});

describe('a source that refuses its bitmaps', () => {
  const refused = qevm(configuration(), RAM_START(), start(BITMAP_ID, 'dirty-bitmap', []));

  it('leaves an empty section, which is source-failed-in-setup', () => {
    const { findings, codes } = read(refused);
    expect(codes).toEqual(['source-failed-in-setup', 'stream-cut']);
    expect(findings[0]).toMatchObject({ severity: 'error', offset: refused.length - 5 });
    expect(findings[1]).toMatchObject({ offset: refused.length });
  });

  it('is told however the bytes are cut', () => {
    const whole = decode(refused);
    for (const pieces of chopEverywhere(refused)) expect(decode(pieces)).toEqual(whole);
  });

  it('is not told where the section only begins like a footer', () => {
    // START, COMPLETE, BITS and ZEROES at once, with both names: nobody writes it, and it is a chunk all the same.
    const chunk = join(0x7e, 0, 0, fill(5), EOS);
    const { codes } = read(qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', chunk), EOF));
    expect(codes).not.toContain('source-failed-in-setup');
    expect(codes).toContain('flags-two-kinds');
  });

  it('is not told where a later section has no body', () => {
    const first = start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]);
    expect(read(qevm(configuration(), first, part(BITMAP_ID, []))).codes).toEqual([
      'source-failed-in-setup',
      'stream-cut',
      'complete-missing',
    ]);
  });

  it('of QEMU 10.0 only leaves a stream that is cut', () => {
    expect(read(qevm(configuration(), RAM_START(NONE))).codes).toEqual(['stream-cut']);
  });
});

describe('a stream without footers', () => {
  it('and with a vmdesc that was read beforehand is read to its end', () => {
    const devices = [
      { name: 'timer', instance: 0, size: 24 },
      { name: 'globalstate', instance: 0, size: 12 },
    ];
    const vmdesc = { pageSize: 4096, configurationBytes: undefined, devices };
    const bytes = precopy({ footers: false });
    const { codes, reader } = read(bytes, { vmdesc, total: bytes.length });
    expect(codes).toEqual([]);
    expect(reader.summary).toMatchObject({ footers: false, complete: true });
    expect(reader.summary.sections.map(({ name, bytes: size }) => `${name} ${size}`)).toContain('timer 43');
  });

  it('and without a vmdesc is tail-unread behind its bitmaps, and complete by its last byte', () => {
    const bytes = precopy({ footers: false, vmdesc: false });
    const { findings, reader } = read(bytes);
    expect(findings).toMatchObject([{ code: 'tail-unread', severity: 'warning' }]);
    expect(findings[0]?.message).toMatch(/section "timer" cannot be stepped over.*All bitmaps came before it/);
    expect(reader.summary.complete).toBe(true);
    expect(reader.bitmaps[0]?.complete).toBe(true);
    expect(read(bytes.slice(0, -1)).reader.summary.complete).toBe(false);
  });

  it('and without a vmdesc is device-unsized where a device comes before the bitmaps', () => {
    const bytes = stream(RAM_START(NONE), full(7, 'early', fill(9), NONE), start(BITMAP_ID, 'dirty-bitmap', EOS, NONE));
    const finding = lastFinding(bytes);
    expect(finding).toMatchObject({
      code: 'device-unsized',
      severity: 'error',
      offset: stream(RAM_START(NONE)).length - 1,
    });
    expect(finding.message).toContain(
      'section "early" cannot be stepped over: the stream has no footers, and no vmdesc is known',
    );
  });
});
