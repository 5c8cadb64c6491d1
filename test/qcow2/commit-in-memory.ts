import { expect } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { type CommitOptions, commitSteps } from '../../src/qcow2/commit/plan-commit.js';
import { assertCommitted } from '../../src/qcow2/commit/verify.js';
import type { NewBitmap, WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { addBitmaps } from '../../src/qcow2/operations.js';
import { runStepsOnBytes } from '../../src/qcow2/random-access.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { bitmapsOf, expectedOf, headOf, whichOf } from './crash-judge.js';
import { afterSteps } from './crash-states.js';

/** Bytes of the disk that images are built with. */
export const SIZE = 128 * 1024;
/** One bitmap, and two. */
export const ONE = { bitmaps: [{ name: 'one', dirty: [[3, 70]] }] } as const;
export const TWO = { bitmaps: [...ONE.bitmaps, { name: 'two', dirty: [[100, 20]] }] } as const;

/** A bitmap to add. */
export function fresh(name: string, size = SIZE): NewBitmap {
  const bits = new Bitmap(512, { size });
  bits.set(512, 1024);
  return { kind: 'new', name: nameFromText(name), granularity: 512, auto: true, bits };
}

/** The image with the list that `change` makes, and what was given back and left over. */
export function commit(
  bytes: Uint8Array,
  change: (image: Qcow2Image) => readonly WantedBitmap[],
  options: CommitOptions = {},
): { after: Uint8Array; image: Qcow2Image; clusters: { taken: number; freed: number; leaked: number } } {
  const before = decodeQcow2(bytes, { writerPresent: false });
  const list = change(before);
  const plan = runStepsOnBytes(bytes, commitSteps(before, list, options));
  const after = afterSteps(bytes, plan.steps);
  const image = decodeQcow2(after, { writerPresent: false });
  assertCommitted(image, list);
  expect(headOf(image)).toBe(headOf(before));
  expect(whichOf(bitmapsOf(image), [expectedOf(list, before)])).toBe(0);
  return { after, image, clusters: plan.clusters };
}

export function addNew(image: Qcow2Image): WantedBitmap[] {
  return addBitmaps(image, [fresh('new')]);
}
