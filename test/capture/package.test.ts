import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { chopEverywhere } from '../support/chop.js';
import {
  B0,
  BITMAP_ID,
  bitmapChunks,
  command,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  full,
  join,
  LISTEN,
  PACKAGED,
  type Part,
  packaged,
  part,
  qevm,
  RUN,
  start,
  startChunk,
  UNIT,
  u32,
  zeroesChunk,
} from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

const START = start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]);
const END = end(BITMAP_ID, [bitmapChunks(), EOS]);
const postcopy = (pack: Part): Uint8Array => qevm(configuration(), command(3), START, pack, END, EOF);

const DEVICES = [full(0, 'timer', fill(24)), full(4, 'globalstate', fill(104, 0x61))];
const PACKAGE = packaged(command(LISTEN), DEVICES, command(2, u32(3)), command(RUN));
/** Where the package's command stands. */
const OFFSET = qevm(configuration(), command(3), START).length;

describe('the package of a postcopy', () => {
  it('is stepped over by its length, and the bitmaps behind it are read', () => {
    const { reader, codes } = read(postcopy(PACKAGE));
    expect(codes).toEqual([]);
    expect(reader.summary).toMatchObject({ postcopy: true, complete: true, commands: ['POSTCOPY_ADVISE', 'PACKAGED'] });
    expect(reader.bitmaps[0]?.bits.dirtyGranules()).toBe(1);
    // Its sections are not looked at.
    expect(reader.summary.sections.map(({ name }) => name)).toEqual(['dirty-bitmap']);
  });

  it('is told with its length', () => {
    const event = decode(postcopy(PACKAGE)).events.find(
      (any) => 'command' in any && (any.command as { id: number }).id === PACKAGED,
    );
    expect(event).toMatchObject({ offset: OFFSET, length: 9, command: { packageBytes: PACKAGE.length - 9 } });
  });

  it('does not make the stream forget names: they are remembered across it', () => {
    const between = [
      START,
      part(BITMAP_ID, [zeroesChunk(0, UNIT), EOS]),
      PACKAGE,
      end(BITMAP_ID, [zeroesChunk(UNIT, UNIT), 0x21]),
    ];
    const { reader, codes } = read(qevm(configuration(), between, EOF));
    expect(codes).toEqual([]);
    expect(reader.bitmaps[0]).toMatchObject({ complete: true, coveredBytes: 2 * UNIT * 512 });
  });

  it('may hold anything: no bitmap travels inside, and nothing inside is believed', () => {
    const fake = [
      start(9, 'dirty-bitmap', [startChunk({ node: 'x', bitmap: 'y' }), EOS]),
      full(8, 'dev', [EOF, 'QEVM', fill(30, 0x7e)]),
    ];
    const { reader, codes } = read(postcopy(packaged(command(LISTEN), fake, command(RUN))));
    expect(codes).toEqual([]);
    expect(reader.bitmaps).toHaveLength(1);
  });

  it('may be as small as LISTEN and RUN', () => {
    expect(read(postcopy(packaged(command(LISTEN), command(RUN)))).codes).toEqual([]);
  });

  it.each([
    [
      'begins otherwise than with LISTEN',
      packaged(command(1), DEVICES, command(RUN)),
      'begins otherwise than with POSTCOPY_LISTEN',
      9,
    ],
    [
      'begins with a LISTEN that has a payload',
      packaged(command(LISTEN, fill(1)), DEVICES, command(RUN)),
      'begins otherwise',
      9,
    ],
    [
      'ends otherwise than with RUN',
      packaged(command(LISTEN), DEVICES, command(1)),
      'ends otherwise than with POSTCOPY_RUN',
      9 + 5 + join(DEVICES).length,
    ],
    [
      'ends with EOF',
      packaged(command(LISTEN), DEVICES, command(RUN), EOF),
      'ends otherwise',
      9 + 5 + join(DEVICES).length + 1,
    ],
  ])('that %s is package-invalid, and stepped over all the same', (_what, pack, says, at) => {
    const { findings, reader } = read(postcopy(pack));
    expect(findings).toMatchObject([{ code: 'package-invalid', severity: 'warning', offset: OFFSET + at }]);
    expect(findings[0]?.message).toContain(says);
    expect(reader.bitmaps[0]?.complete).toBe(true);
  });

  it.each([0, 1, 5, 9])('of %d bytes is package-invalid: LISTEN and RUN take more', (bytes) => {
    const { findings, reader } = read(postcopy([command(PACKAGED, u32(bytes)), fill(bytes, 0xee)]));
    expect(findings).toMatchObject([{ code: 'package-invalid', offset: OFFSET + 9 }]);
    expect(findings[0]?.message).toContain(`a package of ${bytes} bytes`);
    expect(reader.bitmaps[0]?.complete).toBe(true);
  });

  it('may come twice, which no QEMU does', () => {
    expect(read(postcopy([PACKAGE, PACKAGE])).reader.bitmaps[0]?.complete).toBe(true);
  });

  it('is the same however the bytes are cut', () => {
    const bytes = postcopy(PACKAGE);
    const whole = decode(bytes);
    expect(whole.error).toBeUndefined();
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it('is stream-cut wherever it is cut, and says how much of it is missing', () => {
    const bytes = postcopy(PACKAGE);
    for (let length = OFFSET + 9; length < OFFSET + PACKAGE.length; length++) {
      expect(lastFinding(bytes.subarray(0, length))).toMatchObject({ code: 'stream-cut', offset: length });
    }
    const { message } = lastFinding(bytes.subarray(0, OFFSET + 9 + 5 + 20));
    expect(message).toContain(
      `inside the package of a postcopy, before its EOF marker (at least ${PACKAGE.length - 9 - 5 - 20} more bytes`,
    );
  });

  it('of 4 GiB is not waited for in memory', () => {
    const bytes = postcopy([command(PACKAGED, u32(0xffff_ffff)), command(LISTEN), fill(1000)]);
    expect(lastFinding(bytes)).toMatchObject({ code: 'stream-cut', offset: bytes.length });
  });

  it('may be skipped but for its first and its last command', () => {
    const bytes = postcopy(PACKAGE);
    const reader = new CaptureReader();
    const first = OFFSET + 9 + 5;
    const inside = PACKAGE.length - 9 - 10;
    reader.push(bytes.slice(0, first));
    expect(reader.skippable).toBe(inside);
    reader.skipped(inside);
    reader.push(bytes.slice(first + inside));
    reader.finish();
    const whole = read(bytes).reader;
    expect(reader.findings.list).toEqual(whole.findings.list);
    expect(reader.summary).toEqual(whole.summary);
  });
});
