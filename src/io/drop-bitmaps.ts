import { quoted } from '../bytes/text.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import { disableBitmaps } from '../qcow2/commit/switch-header.js';
import { parseExtensions } from '../qcow2/extensions.js';
import { HEADER_READ, parseHeader } from '../qcow2/header.js';
import { readQcow2 } from '../qcow2/read-qcow2.js';
import { applyPlan, type CommitImageOptions, withImage } from './qcow2-commit.js';

/** What says nothing against the list of bitmaps. */
const NOT_BROKEN: readonly string[] = ['limit', 'file-access', 'qcow2-changed', 'argument'];

/**
 * Gives up the bitmaps of an image whose list of them is broken, which QEMU does not open at all: the autoclear bit is
 * cleared, and an extension of a wrong length taken away. An image whose list can be read is left to `commitImage`.
 * @returns what is wrong with the list, or undefined where nothing is.
 * @throws DirtyBitmapError where the image is none, `image-locked`, `qcow2-write-failed`; `limit`.
 */
export async function dropBitmaps(path: string, options: CommitImageOptions): Promise<DirtyBitmapError | undefined> {
  return await withImage(path, options, async (file, lock, handle) => {
    try {
      const scanReferences = options.proveOwnership;
      const { bitmaps } = await readQcow2(file, { limits: options.limits, writerPresent: false, scanReferences });
      const odd = bitmaps.find(({ trust }) => trust === 'unsupported');
      if (odd === undefined) return undefined;
      const message = `bitmap ${quoted(odd.name.text)} is of a kind that QEMU does not open`;
      throw new DirtyBitmapError('qcow2-bitmap-unsupported', message, { offset: odd.entry.offset });
    } catch (error) {
      if (!isDirtyBitmapError(error) || NOT_BROKEN.includes(error.code)) throw error;
      // What is wrong with the header itself is thrown again here.
      const header = parseHeader(new Uint8Array(await file.read(0, HEADER_READ)));
      const extensions = parseExtensions(new Uint8Array(await file.read(0, header.clusterSize)), header);
      const steps = disableBitmaps(header, extensions);
      if (options.dryRun !== true) await applyPlan(steps, { path, handle, file, lock }, options);
      return error;
    }
  });
}
