import fc from 'fast-check';
import { type BuiltImage, buildImage, type ImageForm } from './build-image.js';

const runs = (granules: number) =>
  fc.array(
    fc.tuple(
      fc.nat(Math.max(0, granules - 1)),
      fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: granules + 1 })),
    ),
    { maxLength: 6 },
  );

const bitmap = (size: number) =>
  fc.integer({ min: 9, max: 31 }).chain((granularityBits) =>
    fc.record({
      granularityBits: fc.constant(granularityBits),
      dirty: runs(Math.ceil(size / 2 ** granularityBits)),
      onesAsWords: fc.boolean(),
      flags: fc.constantFrom(0, 2),
    }),
  );

/** Images of all kinds that are read without a finding, but for a dirty or corrupt bit. */
const arbitraryForm: fc.Arbitrary<ImageForm> = fc
  .record({
    clusterBits: fc.constantFrom(9, 9, 10, 12, 14),
    refcountBits: fc.constantFrom(1, 2, 4, 8, 16, 32, 64),
    size: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 40 })).map((sectors) => sectors * 512),
    incompatible: fc.constantFrom(0, 0, 1, 2, 8, 16, 19),
    backing: fc.constantFrom('', 'base.raw', '/a/b.qcow2'),
  })
  .chain((form) => {
    const { size, clusterBits, refcountBits, incompatible } = form;
    const clusters = Math.ceil(size / 2 ** clusterBits);
    const kinds = (['data', 'zero', 'compressed'] as const).slice(
      0,
      refcountBits === 1 || (incompatible & 16) !== 0 ? 2 : 3,
    );
    return fc.record({
      ...Object.fromEntries(Object.entries(form).map(([key, value]) => [key, fc.constant(value)])),
      bitmaps: fc.array(bitmap(size), { minLength: 1, maxLength: 4 }),
      guest: fc.array(fc.constantFrom(...kinds), { maxLength: Math.min(clusters, 6) }),
      snapshots: refcountBits === 1 ? fc.constant(0) : fc.nat(2),
    });
  });

/** An image with what it was made from. */
export const arbitraryImage: fc.Arbitrary<{ readonly form: ImageForm; readonly image: BuiltImage }> = arbitraryForm.map(
  (form) => ({ form, image: buildImage(form) }),
);

/** The dirty extents of a bitmap, one granule after the other. */
export function naiveExtents(form: ImageForm, index: number): (readonly [number, number])[] {
  const { size = 128 * 1024, bitmaps = [] } = form;
  const { granularityBits = 9, dirty = [] } = bitmaps[index] ?? {};
  const granularity = 2 ** granularityBits;
  const extents: [number, number][] = [];
  for (let offset = 0; offset < size; offset += granularity) {
    const granule = offset / granularity;
    if (!dirty.some(([first, count]) => granule >= first && granule < first + count)) continue;
    const length = Math.min(granularity, size - offset);
    const last = extents.at(-1);
    if (last !== undefined && last[0] + last[1] === offset) last[1] += length;
    else extents.push([offset, length]);
  }
  return extents;
}
