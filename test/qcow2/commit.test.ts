import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { type CommitOptions, commitSteps } from '../../src/qcow2/commit/plan-commit.js';
import type { NewBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { addBitmaps, keepBitmaps, removeBitmap } from '../../src/qcow2/operations.js';
import { runStepsOnBytes, type Steps } from '../../src/qcow2/random-access.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { Dice } from '../differential/dice.js';
import { codeOf } from '../support/chunks.js';
import { fill, join, u32, u64 } from '../support/stream-builder.js';
import { type BuiltImage, buildImage } from './build-image.js';
import { addNew, commit, fresh, ONE, SIZE, TWO } from './commit-in-memory.js';
import { clearAutoclear, padTo } from './crash-edits.js';
import { randomBits } from './crash-operations.js';
import { recount } from './own-checker.js';
import { patched } from './patch.js';
import { readVector } from './vectors.js';

describe('commitSteps', () => {
  it('writes what is read again, for any image and any bitmaps', () => {
    const form = fc.record({
      clusterBits: fc.integer({ min: 9, max: 16 }),
      refcountBits: fc.constantFrom(1, 2, 4, 8, 16, 32, 64),
      sectors: fc.oneof(fc.constantFrom(1, 2, 7, 8, 9), fc.integer({ min: 1, max: 9000 })),
      old: fc.integer({ min: 0, max: 3 }),
      backing: fc.constantFrom('', 'base.raw'),
      seed: fc.nat(),
      paranoid: fc.boolean(),
    });
    fc.assert(
      fc.property(form, ({ sectors, old, seed, paranoid, ...rest }) => {
        const dice = new Dice(seed, 'commit', 0);
        const size = sectors * 512;
        const bitmaps = Array.from({ length: old }, (_, at) => ({
          ...{ name: `old ${at}`, granularityBits: dice.between(9, 20), flags: dice.pick([0, 2, 3]) },
          ...{ dirty: [[dice.below(sectors), 1 + dice.below(sectors)]] as const, onesAsWords: dice.chance(50) },
        }));
        const { bytes } = buildImage({ ...rest, size, bitmaps });
        const news = (at: number): NewBitmap => {
          const granularity = 2 ** dice.between(9, dice.chance(20) ? 31 : 14);
          const bits = dice.chance(20) ? 'all-dirty' : randomBits(size, granularity, 2 ** rest.clusterBits, dice);
          return { kind: 'new', name: nameFromText(`new ${at}`), granularity, auto: dice.chance(50), bits };
        };
        const { after, clusters } = commit(
          bytes,
          (image) => {
            const kept = keepBitmaps(image).filter(() => dice.chance(60));
            return [...kept, ...Array.from({ length: dice.below(4) }, (_, at) => news(at))];
          },
          { paranoid },
        );
        expect(recount(after)).toEqual({ corruptions: [], leaks: 0, leaksBehind: 0 });
        expect(clusters.leaked).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps the autoclear bit of a raw data file, and clears those that nobody knows', () => {
    const data = { incompatible: 4, extensions: [[0x44415441, 'data.raw']] } as const;
    for (const form of [{}, ONE]) {
      const own = form === ONE ? 1 : 0;
      const { bytes } = buildImage({ ...data, ...form, autoclear: 2n + BigInt(own) + (1n << 63n) + 4n });
      expect(commit(bytes, addNew).image.header.autoclear).toBe(3n);
      expect(commit(bytes, () => []).image.header.autoclear).toBe(2n);
    }
  });

  it('leaves the last bits of a bitmap that is all dirty zero, behind the end of the disk', () => {
    const { bytes } = buildImage({ size: 11 * 512 });
    const { after, image } = commit(bytes, (image) => addBitmaps(image, [{ ...fresh('new'), bits: 'all-dirty' }]));
    const [data] = image.bitmaps[0]?.table?.words ?? [];
    expect([...after.subarray(data, (data as number) + 3)]).toEqual([0xff, 0x07, 0]);
    expect(image.findings.list).toEqual([]);
  });

  it('refuses bits of another disk or granularity, before anything is read', () => {
    const image = decodeQcow2(buildImage().bytes);
    const planned = (bitmap: NewBitmap) => () => commitSteps(image, [bitmap]).next();
    expect(codeOf(planned(fresh('new', SIZE - 512)))).toBe('argument');
    expect(codeOf(planned({ ...fresh('new'), granularity: 1024 }))).toBe('argument');
    expect(codeOf(planned({ ...fresh('new'), bits: new Bitmap(512) }))).toBe('argument');
    expect(codeOf(planned({ ...fresh('new'), granularity: 256 }))).toBe('granularity-invalid');
  });

  it('refuses what could not be read again within the limits', () => {
    const { bytes } = buildImage({ size: 16 * 1024 * 1024, bitmaps: ONE.bitmaps });
    const image = decodeQcow2(bytes);
    const large: NewBitmap = { ...fresh('new', image.header.virtualSize), bits: 'all-dirty' };
    const some = fresh('new', image.header.virtualSize);
    // The one there is has a cluster of bits and seven words.
    const planned =
      (limits: CommitOptions['limits'], bitmap = large) =>
      () =>
        runStepsOnBytes(bytes, commitSteps(image, addBitmaps(image, [bitmap]), { limits }));
    expect(codeOf(planned({ maxBitmaps: 1 }))).toBe('limit');
    expect(codeOf(planned({ maxBitmaps: 2 }))).toBeUndefined();
    expect(codeOf(planned({ maxBitmapTableBytes: 127 }))).toBe('limit');
    expect(codeOf(planned({ maxBitmapTableBytes: 128 }))).toBeUndefined();
    expect(codeOf(planned({ maxBitmapMemory: 9 * 512 - 1 }))).toBe('limit');
    expect(codeOf(planned({ maxBitmapMemory: 9 * 512 }))).toBeUndefined();
    expect(codeOf(planned({ maxStoredBitsBytes: 1023 }, some))).toBe('limit');
    expect(codeOf(planned({ maxStoredBitsBytes: 1024 }, some))).toBeUndefined();
  });

  it.each([
    ['v2.qcow2', 'qcow2-not-writable'],
    ['dirty-bit.qcow2', 'qcow2-not-writable'],
    ['ok-corrupt-bit.qcow2', 'qcow2-not-writable'],
    ['zero-size.qcow2', 'qcow2-not-writable'],
    ['spec-extra-data.qcow2', 'qcow2-bitmap-unsupported'],
    ['spec-flags-bit2.qcow2', 'qcow2-bitmap-unsupported'],
    ['spec-granularity8.qcow2', 'qcow2-bitmap-unsupported'],
    ['bad-table-zero.qcow2', 'qcow2-table-offset'],
    ['bad-entry-beyond-eof.qcow2', 'qcow2-data-outside'],
    ['bad-table-overlaps-dir.qcow2', 'qcow2-data-outside'],
    ['bad-entry-overlaps-l1.qcow2', 'qcow2-cluster-referenced'],
  ])('refuses to keep what is in %s', (name, code) => {
    const bytes = readVector(name);
    expect(
      codeOf(() => {
        const image = decodeQcow2(bytes);
        const bitmap = { ...fresh('new'), bits: 'all-dirty' } as const;
        runStepsOnBytes(bytes, commitSteps(image, addBitmaps(image, [bitmap])));
      }),
    ).toBe(code);
  });
});

describe('clusters that are given back', () => {
  const drop = (name: string) => (image: Qcow2Image) => removeBitmap(image, nameFromText(name));
  const guest = { ...TWO, guest: ['data', 'data'] } as const;
  /** The second bitmap's table points at guest data, whose refcount is 1. */
  const stolen = (image: BuiltImage): Uint8Array =>
    patched(image, image.tables[1] as number, u64(image.guest[0] as number));
  const refcountOf = (file: Uint8Array, { refcountBlocks, clusterSize }: BuiltImage, offset: number): number =>
    new DataView(file.buffer, file.byteOffset).getUint16((refcountBlocks[0] as number) + (offset / clusterSize) * 2);

  it('are not those that something else uses: they are left over', () => {
    const built = buildImage(guest);
    const { after, clusters } = commit(stolen(built), drop('two'));
    expect(refcountOf(after, built, built.guest[0] as number)).toBe(1);
    // Its table, and the guest's cluster; its own cluster of bits is nobody's.
    expect(clusters).toEqual({ taken: 1, freed: 1, leaked: 2 });
    expect(recount(after).corruptions).toEqual([]);
    expect(codeOf(() => commit(stolen(built), drop('one')))).toBe('qcow2-cluster-referenced');
  });

  it('are none without the proof', () => {
    const { after, clusters } = commit(buildImage(guest).bytes, () => [], { proveOwnership: false });
    expect(clusters).toEqual({ taken: 0, freed: 0, leaked: 5 });
    expect(recount(after)).toEqual({ corruptions: [], leaks: 5, leaksBehind: 0 });
  });

  it("are none of bitmaps that are void: by now they may be anybody else's", () => {
    const built = buildImage(guest);
    const stale = clearAutoclear(patched(built, built.extension + 16, u64(built.guest[1] as number)));
    const list = join(fill(24), u32(0));
    const { after, clusters } = commit(patched({ bytes: stale }, built.guest[1] as number, list), addNew);
    expect(refcountOf(after, built, built.guest[1] as number)).toBe(1);
    expect(clusters.freed).toBe(0);
    for (const change of [addNew, () => []]) {
      const plain = commit(clearAutoclear(built.bytes), change);
      expect(plain.clusters).toMatchObject({ freed: 0, leaked: 0 });
    }
  });

  it('are those of an old refcount table', () => {
    const { bytes } = buildImage({ ...guest, refcountBits: 64 });
    const { after, clusters } = commit(join(bytes, fill(64 * 64 * 512 - bytes.length)), addNew);
    expect(clusters).toMatchObject({ freed: 2, leaked: 0 });
    expect(recount(after)).toMatchObject({ corruptions: [], leaks: 0 });
  });
});

describe('a damaged image', () => {
  const built = buildImage({ ...TWO, guest: ['data', 'data'], refcountBits: 64 });
  const longer = padTo(built.bytes, 64 * 64 * 512);
  const [block] = built.refcountBlocks as [number];

  it.each([
    ['a refcount block', built.bytes, block],
    ['a refcount table that a larger one takes the place of', longer, built.refcountTable],
    ['what is free by its refcount, behind the end of the file', built.bytes, built.bytes.length + 512],
  ])('is not written where a guest has %s', (_what, bytes, cluster) => {
    const l2 = built.l2[0] as number;
    const broken = patched({ bytes }, l2, u64(BigInt(cluster) | (1n << 63n)));
    const image = decodeQcow2(broken);
    const plan = (options: CommitOptions) => runStepsOnBytes(broken, commitSteps(image, addNew(image), options));
    expect(codeOf(() => plan({}))).toBe('qcow2-cluster-referenced');
    // Nobody looks, nothing is given back.
    expect(plan({ proveOwnership: false }).clusters.freed).toBe(0);
  });
});

describe('an image with room for hardly more', () => {
  const { bytes } = buildImage({ refcountBits: 64 });
  const GIB = 2 ** 30;

  /** Plans with a file that is longer than what is in memory: the rest is zeroes. */
  function planned(fileSize: number): number {
    const steps: Steps<{ clusters: { taken: number } }> = commitSteps({ ...decodeQcow2(bytes), fileSize }, [
      fresh('new'),
    ]);
    let step = steps.next();
    while (!step.done) {
      const { offset, length } = step.value;
      step = steps.next(join(bytes.subarray(offset, offset + length), fill(length)).subarray(0, length));
    }
    return step.value.clusters.taken;
  }

  it('gets a refcount table of 8 MiB at most, as QEMU opens no larger one', () => {
    // A word for each 32 KiB: 2^20 words count 32 GiB.
    expect(planned(20 * GIB) * 512).toBeGreaterThan(7.5 * 1024 * 1024);
    expect(planned(30 * GIB) * 512).toBeGreaterThan(8 * 1024 * 1024);
    expect(codeOf(() => planned(32 * GIB - 4 * 1024 * 1024))).toBe('qcow2-no-room');
    expect(codeOf(() => planned(33 * GIB))).toBe('qcow2-no-room');
  });
});
