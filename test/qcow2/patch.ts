import { join, type Part } from '../support/stream-builder.js';
import type { BuiltImage } from './build-image.js';

/** A copy of the image with these bytes written over what is at `offset`. */
export function patched(image: Pick<BuiltImage, 'bytes'>, offset: number, part: Part): Uint8Array {
  const bytes = image.bytes.slice();
  bytes.set(join(part), offset);
  return bytes;
}
