import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DirtyBitmapError } from '../../src/errors.js';
import { resolveLimits } from '../../src/limits.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { imageSteps } from '../../src/qcow2/read-image.js';
import { decodeQcow2, readQcow2 } from '../../src/qcow2/read-qcow2.js';
import { arbitraryImage, naiveExtents } from './arbitrary-image.js';
import { buildImage } from './build-image.js';
import { IMAGES, readVector } from './vectors.js';

const OPTIONS = { limits: resolveLimits(), writerPresent: undefined, scanReferences: true };

/** Reads an image and counts what is asked for. */
function counted(bytes: Uint8Array): { outcome: Qcow2Image | DirtyBitmapError; ranges: number; longest: number } {
  let ranges = 0;
  let longest = 0;
  const steps = imageSteps(bytes.length, OPTIONS);
  try {
    let step = steps.next();
    while (!step.done) {
      const { offset, length } = step.value;
      ranges++;
      longest = Math.max(longest, length);
      // A reader that is told the size never asks for what lies behind it, but for a cluster that the header promises.
      if (offset > 0 && offset + length > bytes.length) throw new Error(`asked for ${offset}+${length}`);
      const lent = bytes.slice(offset, offset + length);
      step = lent.length === length ? steps.next(lent) : steps.throw(new DirtyBitmapError('truncated', 'cut'));
      // What was lent is valid only until the next step.
      lent.fill(0xee);
    }
    return { outcome: step.value, ranges, longest };
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    return { outcome: error, ranges, longest };
  }
}

describe('images that an independent builder made', () => {
  it('are read as they were built', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryImage, async ({ form, image }) => {
        const read = decodeQcow2(image.bytes);
        expect(read.bitmaps.map((bitmap) => [...(bitmap.bits?.extents() ?? [])])).toEqual(
          (form.bitmaps ?? []).map((_, index) => naiveExtents(form, index)),
        );
        expect(read.bitmaps.map((bitmap) => bitmap.trust)).toEqual(
          (form.bitmaps ?? []).map(({ flags }) => (flags === 2 ? 'enabled' : 'disabled')),
        );
        const known = new Set(['qcow2-dirty', 'qcow2-corrupt']);
        expect(read.findings.list.filter(({ code }) => !known.has(code))).toEqual([]);
        expect(read.backing?.name.text ?? '').toBe(form.backing);
        const again = await readQcow2(inMemory(image.bytes));
        expect(plain(again)).toEqual(plain(read));
      }),
      { numRuns: 300 },
    );
  });
});

describe('hostile images', () => {
  const bases = [
    ...IMAGES.filter(([, truth]) => truth.mustRefuse !== true).map(([name]) => readVector(name)),
    buildImage({
      bitmaps: [{ dirty: [[1, 2]] }, { flags: 3 }],
      guest: ['data', 'compressed', 'compressed'],
      snapshots: 2,
    }).bytes,
  ].filter((bytes) => bytes.length < 200_000);
  /** Half of the changes are where a field is, the others in the first clusters, where most structures are. */
  const change = fc.tuple(
    fc.oneof(fc.nat(160), fc.nat(60_000)),
    fc.oneof(fc.constantFrom(0, 1, 0x80, 0xff), fc.nat(255)),
  );

  it('give an error or a result, in bounded time and memory', () => {
    fc.assert(
      fc.property(fc.nat(bases.length - 1), fc.array(change, { minLength: 1, maxLength: 6 }), (index, changes) => {
        const bytes = (bases[index] as Uint8Array).slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        expectBounded(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  it('are no danger in their directory and tables either', () => {
    const aimed = arbitraryImage.chain(({ image }) =>
      fc.record({
        image: fc.constant(image),
        changes: fc.array(
          fc.tuple(
            fc.constantFrom(
              ...[...image.entries, ...image.tables, image.l1, ...image.l2, image.refcountTable],
              ...[...image.refcountBlocks, image.snapshotTable, image.extension, image.extension - 8],
            ),
            fc.nat(31),
            fc.oneof(fc.constantFrom(0, 1, 2, 0x40, 0x80, 0xff), fc.nat(255)),
          ),
          { minLength: 1, maxLength: 4 },
        ),
      }),
    );
    fc.assert(
      fc.property(aimed, ({ image, changes }) => {
        const bytes = image.bytes.slice();
        for (const [base, at, value] of changes) bytes[(base + at) % bytes.length] = value;
        expectBounded(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  it('may be cut anywhere', () => {
    const whole = readVector('chain-mid.qcow2');
    fc.assert(
      fc.property(fc.nat(whole.length), (length) => expectBounded(whole.slice(0, length))),
      { numRuns: 300 },
    );
    for (let length = 0; length < 600; length++) expectBounded(whole.slice(0, length));
  });

  it('may be anything', () => {
    const start = fc.constant(new Uint8Array([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]));
    const noise = fc.tuple(fc.oneof(start, fc.constant(new Uint8Array(0))), fc.uint8Array({ maxLength: 2000 }));
    fc.assert(fc.property(noise, ([head, rest]) => expectBounded(new Uint8Array([...head, ...rest]))));
  });
});

function expectBounded(bytes: Uint8Array): void {
  const { outcome, ranges, longest } = counted(bytes);
  expect(ranges).toBeLessThan(20_000);
  expect(longest).toBeLessThanOrEqual(Math.max(2 * 1024 * 1024, bytes.length));
  if (outcome instanceof DirtyBitmapError) return;
  for (const { bits, trust, fault } of outcome.bitmaps) {
    expect(bits !== undefined).toBe(trust === 'enabled' || trust === 'disabled');
    if (trust === 'damaged') expect(outcome.findings.list.some(({ message }) => message === fault?.message)).toBe(true);
  }
}

function inMemory(bytes: Uint8Array) {
  return {
    size: async () => bytes.length,
    read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
  };
}

/** What can be compared of an image. */
function plain(image: Qcow2Image): unknown {
  const bitmaps = image.bitmaps.map(({ bits, ...rest }) => ({ ...rest, bits: [...(bits?.extents() ?? [])] }));
  return { ...image, bitmaps };
}
