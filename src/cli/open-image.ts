import { basename } from 'node:path';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { MAX_NODE_NAME_BYTES } from '../migration/memory-graph.js';
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

/** A node name for an image that nobody named: the name of its file, made a well-formed id of QEMU's. */
export function nodeNameOf(path: string): string {
  const stem = basename(path).replace(/\.[^.]*$/, '');
  const id = stem.replace(/[^A-Za-z0-9._-]/g, '-');
  return (/^[A-Za-z]/.test(id) ? id : `disk-${id}`).slice(0, MAX_NODE_NAME_BYTES);
}
