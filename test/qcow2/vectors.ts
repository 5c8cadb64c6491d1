import { join } from 'node:path';
import { VECTORS } from '../support/vectors.js';
import { type ImageTruth, readImageFile, readTruths } from './images-truth.js';

const FOLDER = join(VECTORS, 'qcow2');

/** The images that are shipped, with what is known of them. */
export const IMAGES: readonly (readonly [name: string, truth: ImageTruth])[] = Object.entries(readTruths(FOLDER));

/** A shipped image, unpacked. */
export function readVector(name: string): Uint8Array {
  return readImageFile(FOLDER, name);
}
