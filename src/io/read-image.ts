import type { Qcow2Image } from '../qcow2/image.js';
import { type Qcow2Options, readQcow2 } from '../qcow2/read-qcow2.js';
import { hasWriter } from './image-lock.js';
import { writersOf } from './proc-locks.js';
import { openRandomAccess } from './random-access-file.js';

/**
 * Reads the bitmaps of a qcow2 image in a file. Locks are looked at, not taken: they tell a bitmap that a QEMU has in use
 * from one that was not saved.
 * @throws DirtyBitmapError `file-access`; as `readQcow2`.
 */
export async function readImage(path: string, options: Omit<Qcow2Options, 'writerPresent'> = {}): Promise<Qcow2Image> {
  const file = await openRandomAccess(path);
  try {
    const locked = await hasWriter(path);
    // One that takes no locks is seen by its open file, as far as one may look.
    const writerPresent = locked === false ? (await writersOf(path)).length > 0 : locked;
    return await readQcow2(file, { ...options, writerPresent });
  } finally {
    await file.close();
  }
}
