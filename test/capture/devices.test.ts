import { describe, expect, it } from 'vitest';
import { parseVmdesc } from '../../src/capture/vmdesc.js';
import { chop, chopEvery, chopEverywhere } from '../support/chop.js';
import {
  B0,
  BITMAP_ID,
  bitmapChunks,
  command,
  configuration,
  DEVICES,
  device,
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
  str8,
  u32,
  u64,
  vmdesc,
} from '../support/stream-builder.js';
import { decode, lastFinding, read, sections } from './read.js';

const RAM = start(RAM_ID, 'ram', [u64(0x04), RAM_EOS]);
const BITMAP = start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]);
const END = [end(RAM_ID, RAM_EOS), end(BITMAP_ID, [bitmapChunks(), EOS])];
const stream = (...items: readonly Part[]): Uint8Array => qevm(configuration(), ...items);
/** A stream whose last bitmap is through before these devices. */
const tail = (...devices: readonly Part[]): Uint8Array => stream(RAM, BITMAP, END, devices, EOF);
/** A stream with these devices before any bitmap. */
const early = (...devices: readonly Part[]): Uint8Array => stream(devices, RAM, BITMAP, END, EOF);
/** The vmdesc with these sizes, as it is read from the end of a file. */
const described = (...devices: readonly object[]) => parseVmdesc(join(JSON.stringify({ page_size: 4096, devices })));
const fulls = (bytes: Uint8Array, options = {}): string[] =>
  sections(bytes, options)
    .filter((line) => line.startsWith('full'))
    .map((line) => line.replace(/\d+\+/, ''));

describe('device sections, when no vmdesc tells their sizes', () => {
  it('are stepped over by searching for their footers, and that is said', () => {
    const bytes = tail(
      full(0, 'timer', fill(24)),
      full(4, 'cpu', fill(1000, 0x7e)),
      full(5, '0000:00:01.3/piix4_pm', []),
    );
    const { findings, reader } = read(bytes);
    expect(findings).toMatchObject([{ code: 'device-scanned', severity: 'info' }]);
    expect(findings[0]?.message).toContain('3 device sections ("timer", "cpu", "0000:00:01.3/piix4_pm")');
    expect(reader.summary.complete).toBe(true);
    expect(fulls(bytes)).toEqual(['full timer 24', 'full cpu 1000', 'full 0000:00:01.3/piix4_pm 0']);
  });

  it.each([
    ['before all STARTs (11.0)', [full(7, 'virtio-mem-device-early', fill(40, 1)), RAM, BITMAP]],
    ['among STARTs (10.0)', [RAM, full(7, 'virtio-mem-device-early', fill(40, 1)), BITMAP]],
    ['behind STARTs (10.0)', [RAM, BITMAP, full(7, 'virtio-mem-device-early', fill(40, 1)), part(RAM_ID, RAM_EOS)]],
    ['before a command', [RAM, full(7, 'virtio-mem-device-early', fill(40, 1)), command(11), BITMAP]],
  ])('may come early: %s', (_where, items) => {
    const bytes = stream(items, END, EOF);
    const { codes, reader } = read(bytes);
    expect(codes).toEqual(['device-scanned']);
    expect(reader.bitmaps[0]?.complete).toBe(true);
    expect(fulls(bytes)).toEqual(['full virtio-mem-device-early 40']);
  });

  it('that come early are device-unsized where no end of the stream confirms them: a guest may have made the bitmaps up', () => {
    const { findings } = read(early(full(7, 'early', fill(40))).slice(0, -1));
    expect(findings).toMatchObject([{ code: 'device-unsized', severity: 'error', offset: 17 }, { code: 'stream-cut' }]);
    expect(findings[0]?.message).toContain('the bitmaps may not be what the source sent');
  });

  it('may belong to an iterable that is not known: START, PART and END are each searched', () => {
    const items = [
      RAM,
      start(9, 'vfio', fill(30, 0xee)),
      BITMAP,
      part(9, fill(50, 0xee)),
      part(RAM_ID, RAM_EOS),
      end(9, fill(3, 0xee)),
      END,
    ];
    const bytes = stream(items, EOF);
    expect(read(bytes).codes).toEqual(['device-scanned']);
    expect(sections(bytes).filter((line) => line.includes('vfio'))).toHaveLength(3);
  });

  it('are the same however the bytes are cut', () => {
    for (const bytes of [precopy({ vmdesc: false }), early(full(7, 'early', footer(7)))]) {
      const whole = decode(bytes);
      expect(whole.error).toBeUndefined();
      for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
    }
  });

  it('are held against the vmdesc where that comes at last, and a difference is device-size-mismatch', () => {
    const devices = [full(0, 'timer', fill(24)), full(4, 'globalstate', fill(12))];
    expect(read(join(tail(devices), vmdesc(DEVICES))).codes).toEqual([]);
    const wrong = { page_size: 4096, devices: [device('timer', 24), device('globalstate', 13)] };
    const { findings } = read(join(tail(devices), vmdesc(wrong)));
    expect(findings).toMatchObject([{ code: 'device-size-mismatch', severity: 'warning' }, { code: 'device-scanned' }]);
    expect(findings[0]?.message).toContain('"globalstate": 12 bytes were found by searching, the vmdesc gives 13');
  });

  it('of more bytes than allowed are tail-unread behind the bitmaps, and device-unsized before them', () => {
    const limits = { maxDeviceBytes: 1000 };
    const large = full(7, 'large', fill(2000, 0x11));
    const unread = read(tail(large), { limits });
    expect(unread.codes).toEqual(['tail-unread']);
    expect(unread.reader.summary.complete).toBe(true);
    expect(unread.reader.bitmaps[0]?.complete).toBe(true);
    // However the bytes come.
    expect(decode(chopEvery(tail(large), 300), { limits })).toEqual(decode(tail(large), { limits }));
    expect(lastFinding(early(large), { limits })).toMatchObject({
      code: 'device-unsized',
      offset: 17,
      message: expect.stringContaining('no footer within 1000 bytes'),
    });
  });

  it('cost no memory however long they are', () => {
    const bytes = tail(full(7, 'long', fill(300_000, 0x11)));
    expect(decode(chopEvery(bytes, 4096))).toEqual(decode(bytes));
  });
});

describe('what looks like a footer in a device', () => {
  /** Bytes that a guest can put into device state, for a device of the id 7. */
  const plants: readonly [what: string, planted: Part][] = [
    ['a footer alone', footer(7)],
    ['a footer before zeroes', [footer(7), fill(300)]],
    ['footers in a row', Array.from({ length: 40 }, () => footer(7))],
    ['a footer before a footer of another id', [footer(7), footer(8)]],
    ['a footer before a section of an id that was used', [footer(7), full(RAM_ID, 'x', [])]],
    ['a footer before a section of its own id', [footer(7), full(7, 'dev', [])]],
    ['a footer before the START of a section of its own id', [footer(7), start(7, 'dev', [])]],
    ['a footer before a section whose name is not printable', [footer(7), 0x04, u32(99), str8('a\0b'), u64(1)]],
    ['a footer before a section without a name', [footer(7), 0x04, u32(99), 0, u64(1)]],
    ['a footer before a section of a mad version', [footer(7), 0x04, u32(99), str8('name'), u32(0), u32(65_536)]],
    [
      'a footer before a section header, and nothing that ends that section',
      [footer(7), 0x04, u32(99), str8('name'), u32(0), u32(1)],
    ],
    [
      'a footer before a section that would end in another device',
      [footer(7), full(99, 'name', fill(9)), full(98, 'more', [])],
    ],
    ['a footer before PART of a section that is not known', [footer(7), 0x02, u32(55), RAM_EOS]],
    ['a footer before PART of a device', [footer(7), 0x02, u32(7), RAM_EOS]],
    ['a footer before a command that is not known', [footer(7), command(77)]],
    ['a footer before a command of the wrong length', [footer(7), command(1, fill(9))]],
    ['a footer before EOF, and more', [footer(7), EOF, fill(20, 0x33)]],
    ['a footer before EOF and a vmdesc that is no object', [footer(7), EOF, 0x06, u32(20), fill(20)]],
    ['a footer before an item that is none', [footer(7), 0x09]],
  ];

  it.each(plants)('is not taken for one: %s', (_what, planted) => {
    for (const around of [0, 1, 400]) {
      const body = join(fill(around, 0x11), planted, fill(around, 0x22));
      if (around === 0 && body.length === 5) continue;
      for (const bytes of [tail(full(7, 'dev', body)), early(full(7, 'dev', body))]) {
        expect(read(bytes).codes).toEqual(['device-scanned']);
        expect(fulls(bytes)[0]).toBe(`full dev ${body.length}`);
      }
    }
  });

  it.each(plants)('is not taken for one however the bytes are cut: %s', (_what, planted) => {
    const bytes = tail(full(7, 'dev', [0x11, planted, 0x22]));
    const whole = decode(bytes);
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it.each([
    ['START of dirty-bitmap', start(50, 'dirty-bitmap', [startChunk({ node: 'fake', bitmap: 'fake' }), EOS])],
    ['START of ram', start(50, 'ram', [u64(4), RAM_EOS])],
    ['PART of dirty-bitmap', part(BITMAP_ID, [bitmapChunks(), EOS])],
    ['END of ram', end(RAM_ID, RAM_EOS)],
    ['a command', command(1)],
    ['a package', command(7, u32(0))],
  ])('is not believed behind the last bitmap, where only devices can follow: before %s', (_what, fake) => {
    const body = join(fill(9, 0x11), footer(7), fake, fill(9, 0x22));
    const bytes = tail(full(7, 'dev', body));
    const { codes, reader } = read(bytes);
    expect(codes).toEqual(['device-scanned']);
    expect(fulls(bytes)).toEqual([`full dev ${body.length}`]);
    expect(reader.bitmaps.map(({ name }) => name.text)).toEqual(['b0']);
  });

  it('is not believed before EOF and a vmdesc that does not end with the file', () => {
    const body = join(fill(9, 0x11), footer(7), EOF, vmdesc(DEVICES), fill(9, 0x22));
    const bytes = tail(full(7, 'dev', body));
    expect(read(bytes, { total: bytes.length }).codes).toEqual(['device-scanned']);
    expect(fulls(bytes, { total: bytes.length })).toEqual([`full dev ${body.length}`]);
  });

  it('is told, where it led astray before the bitmaps: they may be made up', () => {
    const fake = [
      start(50, 'dirty-bitmap', [startChunk({ node: 'fake', bitmap: 'fake' }), EOS]),
      end(50, [bitmapChunks(), EOS]),
    ];
    const { codes, findings } = read(early(full(7, 'dev', [fill(9, 0x11), footer(7), fake, 0x99, fill(30)])));
    expect(codes).toContain('item-unknown');
    expect(codes).toContain('device-unsized');
    expect(findings.find(({ code }) => code === 'device-unsized')?.message).toContain('a guest can imitate a footer');
  });
});

describe('device sections, when a vmdesc was read beforehand', () => {
  const body = join(fill(9, 0x11), footer(7), start(50, 'dirty-bitmap', EOS), fill(9, 0x22));

  it('are stepped over by their sizes, whatever is in them', () => {
    for (const bytes of [tail(full(7, 'dev', body)), early(full(7, 'dev', body))]) {
      const options = { vmdesc: described(device('dev', body.length)), total: bytes.length };
      expect(read(bytes, options).codes).toEqual([]);
      expect(fulls(bytes, options)).toEqual([`full dev ${body.length}`]);
    }
  });

  it('are matched by name and instance, in order', () => {
    const devices = [device('a', 5), device('a', 6, 1), device('b', 7), device('a', 8, 2)];
    const bytes = tail(
      full(7, 'a', fill(5)),
      full(8, 'a', fill(6), { instance: 1 }),
      full(9, 'b', fill(7)),
      full(10, 'a', fill(8), { instance: 2 }),
    );
    expect(read(bytes, { vmdesc: described(...devices) }).codes).toEqual([]);
    expect(fulls(bytes, { vmdesc: described(...devices) })).toEqual(['full a 5', 'full a 6', 'full b 7', 'full a 8']);
  });

  it.each([
    ['too small', -1],
    ['much too small', -body.length],
    ['too large', 1],
    ['much too large', 1000],
    ['too large for any file', 2 ** 50],
  ])('are searched where the size is %s, and that is device-size-mismatch', (_what, wrong) => {
    const dev = full(7, 'dev', fill(40, 0x11));
    const told = device('dev', Math.max(0, 40 + wrong));
    const more = full(8, 'more', fill(2000, 0x22));
    for (const [bytes, vmdesc] of [
      [tail(dev, more), described(told, device('more', 2000))],
      [tail(more, dev), described(device('more', 2000), told)],
      [early(dev), described(told)],
    ] as const) {
      const { codes, reader } = read(bytes, { vmdesc, total: bytes.length });
      expect(codes.filter((code) => code !== 'device-scanned')).toEqual(['device-size-mismatch']);
      expect(reader.summary.complete).toBe(true);
      expect(reader.bitmaps[0]?.complete).toBe(true);
      expect(fulls(bytes, { vmdesc, total: bytes.length })).toContain('full dev 40');
    }
  });

  it('are searched where the vmdesc does not have them', () => {
    const bytes = tail(full(7, 'dev', fill(40)), full(8, 'known', fill(9)));
    const { codes, reader } = read(bytes, { vmdesc: described(device('known', 9)) });
    expect(codes).toEqual([]);
    expect(reader.summary.complete).toBe(true);
    expect(fulls(bytes, { vmdesc: described(device('known', 9)) })).toEqual(['full dev 40', 'full known 9']);
  });

  it('are the same however the bytes are cut, also where a size is wrong', () => {
    const bytes = tail(full(7, 'dev', body), full(8, 'more', fill(9)));
    for (const size of [body.length, body.length - 3, body.length + 3]) {
      const options = { vmdesc: described(device('dev', size), device('more', 9)), total: bytes.length };
      const whole = decode(bytes, options);
      for (let cut = 90; cut < bytes.length; cut++) expect(decode(chop(bytes, [cut]), options)).toEqual(whole);
      expect(decode(chopEvery(bytes, 1), options)).toEqual(whole);
    }
  });
});
