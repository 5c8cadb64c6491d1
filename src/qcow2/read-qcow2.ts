import { isDirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { Qcow2Image } from './image.js';
import { type RandomAccess, runSteps, runStepsOnBytes } from './random-access.js';
import { type ImageOptions, imageSteps } from './read-image.js';

/** How an image is read. */
export interface Qcow2Options {
  readonly limits?: Partial<Limits> | undefined;
  /**
   * Whether a writer (QEMU) has the image open, where that is known: it tells a bitmap that is in use from one that was
   * not saved. Nothing in the image tells.
   */
  readonly writerPresent?: boolean | undefined;
  /**
   * Whether every L2 table is read, to prove that nothing else uses the clusters of the bitmaps: a bitmap whose table
   * was made to point at guest data reads as nonsense. Default true; it takes 8 bytes of reading for each cluster of the
   * disk (128 MiB for 1 TiB in clusters of 64 KiB).
   */
  readonly scanReferences?: boolean | undefined;
}

/** How often an image that changes is tried. Source: spec/qcow2-bitmaps.md section 7. */
const TRIES = 3;

/**
 * Reads the bitmaps of a qcow2 image: no lock is taken, no key and no backing file needed. Damage that concerns one
 * bitmap does not throw: its trust is `damaged`, its bits are missing, and `findings` has the error.
 * @throws DirtyBitmapError where the image or its list of bitmaps is broken (the rule that it breaks), `qcow2-changed`
 * where it changed under each of three tries, `limit`; what `file` throws.
 * @example
 * const { bitmaps } = await readQcow2(file);
 * for (const { name, trust, bits } of bitmaps) console.log(name.text, trust, bits && [...bits.extents()]);
 */
export async function readQcow2(file: RandomAccess, options: Qcow2Options = {}): Promise<Qcow2Image> {
  const resolved = resolve(options);
  for (let tries = 1; ; tries++) {
    try {
      return await runSteps(file, imageSteps(await file.size(), resolved));
    } catch (error) {
      if (tries === TRIES || !isDirtyBitmapError(error) || error.code !== 'qcow2-changed') throw error;
    }
  }
}

/**
 * {@link readQcow2} of an image that lies in memory.
 * @throws DirtyBitmapError as there.
 */
export function decodeQcow2(bytes: Uint8Array, options: Qcow2Options = {}): Qcow2Image {
  return runStepsOnBytes(bytes, imageSteps(bytes.length, resolve(options)));
}

function resolve({ limits, writerPresent, scanReferences = true }: Qcow2Options): ImageOptions {
  return { limits: resolveLimits(limits), writerPresent, scanReferences };
}
