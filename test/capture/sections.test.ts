import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { usedHeap } from '../chunk/used-heap.js';
import {
  B0,
  BITMAP_ID,
  bitmapChunks,
  completeChunk,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  full,
  hex,
  join,
  type Part,
  part,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  startChunk,
  UNIT,
  u32,
  u64,
  zeroesChunk,
} from '../support/stream-builder.js';
import { decode, lastFinding, read, sections } from './read.js';

const stream = (...items: readonly Part[]): Uint8Array => qevm(configuration(), ...items, EOF);
const FIRST = 17;
const RAM = start(RAM_ID, 'ram', [u64(0x04), RAM_EOS]);
const BITMAP = start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]);

describe('a section', () => {
  it('is told with its type, its header and the ends of its body and of its footer', () => {
    const { events } = decode(stream(BITMAP));
    const section = { id: BITMAP_ID, name: 'dirty-bitmap', instance: 0, version: 1 };
    expect(events.filter((event) => (event as { type: string }).type.startsWith('section'))).toEqual([
      { type: 'section', sectionType: 'start', section, offset: FIRST, length: 26 },
      { type: 'section-end', sectionType: 'start', section, offset: FIRST + 26 + 16, length: 5 },
    ]);
  });

  it('may have any id and any instance', () => {
    const items = [
      start(0xffff_ffff, 'ram', [u64(0x04), RAM_EOS], { instance: 0xffff_ffff }),
      part(0xffff_ffff, RAM_EOS),
    ];
    expect(read(stream(items)).codes).toEqual([]);
  });

  it('that continues one without a START is section-unknown', () => {
    for (const [what, item] of [
      ['PART', part(9, RAM_EOS)],
      ['END', end(9, RAM_EOS)],
    ] as const) {
      const finding = lastFinding(stream(item));
      expect(finding).toMatchObject({ code: 'section-unknown', severity: 'error', offset: FIRST });
      expect(finding.message).toContain(`${what} of section 9, which had no START`);
    }
  });

  it('that continues a device is section-unknown', () => {
    expect(lastFinding(stream(RAM, full(9, 'dev', fill(4)), part(RAM_ID, RAM_EOS), part(9, RAM_EOS))).code).toBe(
      'section-unknown',
    );
  });

  it('without a name is section-name-invalid', () => {
    expect(lastFinding(stream([0x01, u32(1), 0, u64(0)]))).toMatchObject({
      code: 'section-name-invalid',
      offset: FIRST,
    });
  });

  it('may have a name of 255 bytes, whatever they are', () => {
    const name = `${'n'.repeat(254)}\xff`;
    expect(read(stream(RAM, start(9, name, hex('00')), part(RAM_ID, RAM_EOS))).reader.summary.sections[1]?.name).toBe(
      name,
    );
  });

  it('that takes the id of another name is section-id-reused', () => {
    const finding = lastFinding(stream(RAM, start(RAM_ID, 'dirty-bitmap', EOS)));
    expect(finding).toMatchObject({ code: 'section-id-reused', offset: FIRST + RAM.length });
    expect(finding.message).toContain('section id 2 was "ram" and is now "dirty-bitmap"');
  });

  it('may start twice with the same name and id', () => {
    const { codes } = read(
      stream(BITMAP, start(BITMAP_ID, 'dirty-bitmap', EOS), end(BITMAP_ID, [bitmapChunks(), EOS])),
    );
    expect(codes).toEqual([]);
  });

  it.each([
    ['dirty-bitmap', 0, 1, [EOS]],
    ['dirty-bitmap', 2, 1, [EOS]],
    ['ram', 3, 4, [u64(0x04), RAM_EOS]],
    ['block', 0, 1, [u64(0x02)]],
    ['s390-storage_attributes', 1, 0, [u64(0x01)]],
  ] as const)('of %s with version %d is section-version, and read all the same', (name, version, known, body) => {
    const { findings, reader } = read(stream(start(1, name, body, { version })));
    expect(findings[0]).toMatchObject({ code: 'section-version', severity: 'error', offset: FIRST });
    expect(findings[0]?.message).toContain(`section "${name}" has version ${version}, where ${known} is known`);
    expect(reader.summary.complete).toBe(true);
  });

  it('may end more than once, and its state lives on: END of RAM comes twice in postcopy', () => {
    const items = [
      RAM,
      BITMAP,
      end(RAM_ID, RAM_EOS),
      end(BITMAP_ID, [zeroesChunk(0, UNIT), EOS]),
      end(RAM_ID, RAM_EOS),
      end(BITMAP_ID, [completeChunk(), EOS]),
    ];
    const { codes, reader } = read(stream(items));
    expect(codes).toEqual([]);
    expect(reader.bitmaps[0]?.complete).toBe(true);
    expect(sections(stream(items)).filter((line) => line.startsWith('end'))).toHaveLength(4);
  });

  it('may go on after its END', () => {
    expect(read(stream(BITMAP, end(BITMAP_ID, EOS), part(BITMAP_ID, [bitmapChunks(), EOS]))).codes).toEqual([]);
  });

  it('is limit where there are more ids than allowed', () => {
    const one = (id: number): Uint8Array => start(id, 'dirty-bitmap', EOS);
    const five = stream([0, 1, 2, 3, 4].map(one));
    expect(read(five, { limits: { maxSections: 5 } }).codes).toEqual([]);
    const finding = lastFinding(five, { limits: { maxSections: 4 } });
    expect(finding).toMatchObject({
      code: 'limit',
      message: 'more than 4 sections; raise maxSections',
      offset: FIRST + 4 * one(0).length,
    });
  });
});

describe('an item', () => {
  it.each([0x05, 0x06, 0x07, 0x09, 0x10, 0x7d, 0x7f, 0xff])('of the byte 0x%x is item-unknown', (item) => {
    const finding = lastFinding(stream(RAM, item, fill(20)));
    expect(finding).toMatchObject({ code: 'item-unknown', severity: 'error', offset: FIRST + RAM.length });
    expect(finding.message).toContain(`found byte 0x${item.toString(16).padStart(2, '0')}`);
  });

  it('that cannot be read leaves what came before it', () => {
    const { reader } = read(stream(BITMAP, part(BITMAP_ID, [zeroesChunk(0, UNIT), EOS]), 0x55));
    expect(reader.bitmaps[0]).toMatchObject({ complete: false, coveredBytes: UNIT * 512 });
    expect(reader.findings.list.map(({ code }) => code)).toEqual(['item-unknown', 'complete-missing']);
  });
});

describe('the summary of a capture', () => {
  it('has the sections of one name together, in the order in which they came', () => {
    const items = [RAM, BITMAP, part(RAM_ID, RAM_EOS), part(RAM_ID, RAM_EOS), end(BITMAP_ID, [bitmapChunks(), EOS])];
    const { reader } = read(stream(items));
    expect(reader.summary.sections).toEqual([
      { name: 'ram', instance: 0, version: 4, count: 3, bytes: RAM.length + 2 * 18 },
      { name: 'dirty-bitmap', instance: 0, version: 1, count: 2, bytes: BITMAP.length + join(items.slice(-1)).length },
    ]);
  });

  it('tells instances of one name apart', () => {
    const items = [start(1, 'block', u64(0x02)), start(2, 'block', u64(0x02), { instance: 1 })];
    expect(read(stream(items)).reader.summary.sections.map(({ instance, count }) => [instance, count])).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  it('says that there is no dirty-bitmap section, where the stream is all there', () => {
    expect(read(stream(RAM)).findings).toMatchObject([{ code: 'dirty-bitmap-absent', severity: 'warning' }]);
    expect(read(stream(RAM).slice(0, -1)).findings.map(({ code }) => code)).toEqual(['stream-cut']);
    expect(read(stream(start(3, 'dirty-bitmap', EOS))).findings).toEqual([]);
  });
});

describe('many sections', () => {
  it('of one device take no memory, however often it comes', () => {
    const reader = new CaptureReader({ limits: { maxSections: 100 } });
    reader.push(qevm(configuration(), RAM));
    const thousand = join(Array.from({ length: 1000 }, () => [full(9, 'dev', []), part(RAM_ID, RAM_EOS)]));
    reader.push(thousand);
    const before = usedHeap();
    for (let at = 0; at < 500; at++) reader.push(thousand);
    // Sixteen bytes for each would be 16 MB. What the engine compiles meanwhile is about 1 MB.
    expect(usedHeap() - before).toBeLessThan(8_000_000);
    // The last few wait for what follows them.
    for (const { count } of reader.summary.sections) expect(count).toBeGreaterThan(500_900);
  });

  it('are read fine: 100000 PART with EOS alone, as a paused guest makes them', () => {
    const reader = new CaptureReader();
    reader.push(qevm(configuration(), RAM, BITMAP));
    const thousand = join(Array.from({ length: 500 }, () => [part(RAM_ID, RAM_EOS), part(BITMAP_ID, EOS)]));
    for (let at = 0; at < 200; at++) reader.push(thousand);
    reader.push(join(end(RAM_ID, RAM_EOS), end(BITMAP_ID, [bitmapChunks(), EOS]), EOF));
    reader.finish();
    expect(reader.findings.list).toEqual([]);
    expect(reader.summary.sections.map(({ count }) => count)).toEqual([100_002, 100_002]);
    expect(reader.bitmaps[0]).toMatchObject({ complete: true, coveredBytes: UNIT * 512 });
  });
});
