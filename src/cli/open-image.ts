import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import type { Qcow2Image } from '../qcow2/image.js';

/**
 * Reads an image that is an input.
 * @throws DirtyBitmapError `argument` for standard input, and for an image that begins within a file; as `readImage`.
 */
export async function openImage(
  path: string,
  { limits, offset }: { readonly limits?: Partial<Limits> | undefined; readonly offset?: number | undefined },
): Promise<Qcow2Image> {
  if (path === '-') throw new DirtyBitmapError('argument', 'a qcow2 image is read here and there: give it as a file');
  if (offset !== undefined && offset > 0)
    throw new DirtyBitmapError('argument', '--offset is about captures and sections');
  const { readImage } = await import('../io/read-image.js');
  return await readImage(path, { limits });
}
