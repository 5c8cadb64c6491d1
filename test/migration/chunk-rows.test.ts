import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { concat } from '../../src/bytes/concat.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { MIN_WINDOW, Source } from '../../src/migration/source.js';
import { B0, bitsChunk, completeChunk, EOS, join, startChunk, zeroesChunk } from '../support/stream-builder.js';

/** Bytes of the bitmap in a chunk, and granules. */
const PAGE = 1024;
const GRANULES = PAGE * 8;

function sourceOf(bits: Bitmap, size: number): Source {
  const graph = new MemoryGraph();
  graph.addNode({ name: 'disk0', size }).create({ name: 'b0', granularity: bits.granularity, bits });
  return new Source(graph);
}

/** What QEMU sends of a bitmap of whole chunks, a chunk at a time. */
function expected(bits: Bitmap, pages: number): Uint8Array {
  const sectors = (GRANULES * bits.granularity) / 512;
  const chunks = Array.from({ length: pages }, (_, page) => {
    const data = new Uint8Array(PAGE);
    bits.readBytes(page * PAGE, data);
    const clear = data.every((byte) => byte === 0);
    return clear ? zeroesChunk(page * sectors, sectors) : bitsChunk(page * sectors, sectors, data);
  });
  return join(startChunk(B0, bits.granularity), EOS, ...chunks, completeChunk(), EOS);
}

function sent(sections: Iterable<Uint8Array>): Uint8Array {
  return concat(Array.from(sections, (part) => part.slice()));
}

describe('rows of chunks are what one chunk after the other would be', () => {
  test('pages here and there on disks past 2^32 sectors, in windows of any size', () => {
    const step = fc.record({
      clear: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 200, max: 600 })),
      dirty: fc.integer({ min: 1, max: 30 }),
      stale: fc.boolean(),
      bit: fc.nat(GRANULES - 1),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 6 }),
        fc.constantFrom(512, 65_536, 2 ** 24, 2 ** 27),
        fc.integer({ min: MIN_WINDOW, max: 100_000 }),
        (steps, granularity, window) => {
          const bits = new Bitmap(granularity);
          let page = 0;
          for (const { clear, dirty, stale, bit } of steps) {
            page += clear;
            for (const end = page + dirty; page < end; page++) bits.set((page * GRANULES + bit) * granularity);
            // A page that is there and holds nothing.
            if (stale) bits.clear(((page - 1) * GRANULES + bit) * granularity, granularity);
          }
          const pages = page + 1;
          const source = sourceOf(bits, pages * GRANULES * granularity);
          const all = sent(source.sections(new Uint8Array(window)));
          expect(Buffer.compare(all, expected(bits, pages))).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
  test('a clean disk of 9 TiB, where the lower half of the first sector begins anew several times', () => {
    const bits = new Bitmap(65_536);
    const pages = 9 * 2048;
    const all = sent(sourceOf(bits, pages * 2 ** 29).sections());
    expect(Buffer.compare(all, expected(bits, pages))).toBe(0);
  });
});
