import { type Name, nameFromText } from '../bytes/text.js';
import { MAX_NODE_NAME_BYTES } from '../migration/memory-graph.js';
import type { BitmapSet, SetBitmap } from '../set/bitmap-set.js';
import type { Qcow2Bitmap, Qcow2Image } from './image.js';
import { bitsOf } from './operations.js';

/** A bitmap that is there, and whose bits are not. */
export interface LostBitmap {
  readonly name: Name;
  /** Why, and what to do. */
  readonly message: string;
}

/** The bitmaps of an image as a set of one node, and those whose bits cannot be believed. */
export function imageSet(
  image: Qcow2Image,
  node: string,
): { readonly set: BitmapSet; readonly lost: readonly LostBitmap[] } {
  const bitmaps: SetBitmap[] = [];
  const lost: LostBitmap[] = [];
  for (const bitmap of image.bitmaps) {
    const { name, auto, bits } = bitmap;
    if (bits !== undefined) bitmaps.push({ name, recording: auto, persistent: true, bits });
    else lost.push({ name, message: whyLost(bitmap) });
  }
  return { set: { nodes: [{ node: nameFromText(node), size: image.header.virtualSize, bitmaps }] }, lost };
}

function whyLost(bitmap: Qcow2Bitmap): string {
  try {
    bitsOf(bitmap);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

/** A node name for an image that nobody named: the name of its file, made a well-formed id of QEMU's. */
export function nodeNameOf(path: string): string {
  const stem = path.replace(/^.*\//s, '').replace(/\.[^.]*$/, '');
  const id = stem.replace(/[^A-Za-z0-9._-]/g, '-');
  return (/^[A-Za-z]/.test(id) ? id : `disk-${id}`).slice(0, MAX_NODE_NAME_BYTES);
}
