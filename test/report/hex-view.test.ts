import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/findings.js';
import { type HexView, hexView, planHex, sectionChunks } from '../../src/report/hex-view.js';
import { B0, bitsChunk, completeChunk, EOS, fill, join, startChunk, UNIT } from '../support/stream-builder.js';

/** The views of an input, its bytes read as the plan says. */
function viewsOf(bytes: Uint8Array, findings: readonly Finding[] = [], chunks = sectionChunks(bytes, 0)): HexView[] {
  return planHex(chunks, findings).flatMap(
    (place) => hexView(place, bytes.subarray(place.offset, place.offset + place.length)) ?? [],
  );
}

const section = join(startChunk(B0), bitsChunk(0, UNIT, fill(32, 0xa5)), completeChunk(), EOS);

describe('the bytes of chunks', () => {
  it('are explained field by field', () => {
    const [start, bits] = viewsOf(section);
    expect(start?.title).toBe('chunk 0x1c START DEVICE_NAME BITMAP_NAME');
    expect(start?.fields.map(({ name, offset, length, value }) => [name, offset, length, value])).toEqual([
      ['flags', 0, 1, '0x1c START DEVICE_NAME BITMAP_NAME'],
      ['length of node', 1, 1, '5'],
      ['node', 2, 5, 'disk0'],
      ['length of bitmap', 7, 1, '2'],
      ['bitmap', 8, 2, 'b0'],
      ['granularity', 10, 4, '65536 bytes'],
      ['start flags', 14, 1, '0x01 recording, transient'],
    ]);
    expect(bits?.fields.map(({ name, value }) => [name, value])).toEqual([
      ['flags', '0x40 BITS'],
      ['first sector', '0, byte 0 of the disk'],
      ['sectors', '8192, 4194304 bytes of the disk'],
      ['size', '32 bytes of bits'],
      ['bits', 'one bit a granule, least significant first'],
    ]);
    expect(bits?.hex.startsWith('40')).toBe(true);
  });

  it('have fields without a gap, whatever they are, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 900 }), fc.nat(900), (bytes, offset) => {
        const finding: Finding = { severity: 'error', code: 'bits-size-limit', offset, message: '' };
        for (const { fields } of viewsOf(bytes, [finding])) {
          for (const [at, field] of fields.entries()) {
            const before = fields[at - 1];
            if (before !== undefined) expect(field.offset).toBe(before.offset + before.length);
          }
        }
      }),
    );
  });
});

describe('the bytes of findings', () => {
  const finding = (offset: number, code: Finding['code'] = 'stream-cut'): Finding => ({
    ...{ severity: 'error', code, offset, message: 'm' },
  });

  it('are shown with what stands before them, and marked', () => {
    const [view] = viewsOf(fill(200, 7), [finding(100)], []);
    expect(view).toMatchObject({ title: 'error stream-cut', offset: 80, mark: 100, fields: [] });
    expect(view?.hex).toBe('07'.repeat(96));
  });

  it('at one place are one view, and not more than twenty', () => {
    const views = viewsOf(
      fill(5000),
      [finding(1), finding(1, 'ram-invalid'), ...Array.from({ length: 40 }, (_, at) => finding(100 * at + 2))],
      [],
    );
    expect(views.length).toBe(20);
    expect(views[0]?.title).toBe('error stream-cut, error ram-invalid');
  });

  it('explain the chunk that they are about', () => {
    const views = viewsOf(section, [finding(15, 'chunk-gap')], []);
    expect(views[0]?.fields[0]).toMatchObject({ offset: 15, value: '0x40 BITS' });
  });

  it('behind the end of the input are left out', () => {
    expect(viewsOf(fill(10), [finding(5000)], [])).toEqual([]);
  });
});
