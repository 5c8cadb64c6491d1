import fc from 'fast-check';
import { Bitmap } from '../../src/bitmap/bitmap.js';

/** A bitmap, and up to where it is known, in bytes. */
export interface AnyBitmap {
  readonly bits: Bitmap;
  readonly size: number;
}

/** A bitmap of up to some pages, with an end within a granule now and then. */
export function anyBitmap(granularities: readonly number[] = [512, 4096, 65536]): fc.Arbitrary<AnyBitmap> {
  return fc
    .record({
      granularity: fc.constantFrom(...granularities),
      granules: fc.integer({ min: 1, max: 30_000 }),
      less: fc.nat(511),
      runs: fc.array(fc.tuple(fc.nat(30_000), fc.oneof(fc.integer({ min: 1, max: 5 }), fc.nat(9000))), {
        maxLength: 30,
      }),
    })
    .map(({ granularity, granules, less, runs }) => {
      const size = granules * granularity - less;
      const bits = new Bitmap(granularity, { size });
      for (const [first, length] of runs) {
        const offset = first * granularity;
        if (offset < size && length > 0) bits.set(offset, Math.min(size - offset, length * granularity));
      }
      return { bits, size };
    });
}
