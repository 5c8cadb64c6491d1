import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { type BitmapSet, knownEnd, type SetBitmap, type SetNode } from './bitmap-set.js';
import { granulesUpTo } from './fill.js';
import { MAX_NAME_BYTES, NameIndex } from './names.js';
import { documentError, isUint, UINT } from './value-reader.js';

/**
 * Refuses a set that could not be read back: what goes into a document must come out of it.
 * @throws DirtyBitmapError `set-invalid` for names that come twice or are too long, a size that differs from a bitmap's,
 * and bits behind the end; `limit` for more nodes or bitmaps than a document may have.
 */
export function checkSet(set: BitmapSet, limits: Limits): void {
  const names = new NameIndex();
  let bitmaps = 0;
  set.nodes.forEach((node, index) => {
    bitmaps += node.bitmaps.length;
    if (Math.max(bitmaps, index + 1) > limits.maxBitmaps) {
      throw new DirtyBitmapError('limit', `more than ${limits.maxBitmaps} nodes or bitmaps; raise maxBitmaps`);
    }
    const path = `nodes[${index}]`;
    checkName(node.node, names, `${path}.node`);
    checkBytes(node.size, `${path}.size`);
    const bitmapNames = new NameIndex();
    node.bitmaps.forEach((bitmap, at) => {
      checkName(bitmap.name, bitmapNames, `${path}.bitmaps[${at}].name`);
      checkBitmap(node, bitmap, `${path}.bitmaps[${at}]`);
    });
  });
}

function checkName(name: SetNode['node'], names: NameIndex, path: string): void {
  const { length } = name.bytes;
  if (length > MAX_NAME_BYTES) {
    throw documentError(path, `a name of at most ${MAX_NAME_BYTES} bytes`, `${length} bytes`, 'shorten it');
  }
  if (!names.add(name)) {
    throw documentError(path, 'each name once', `${quoted(name.text)} again`, 'rename one, or merge them');
  }
}

function checkBytes(bytes: number | undefined, path: string): void {
  if (bytes === undefined || isUint(bytes)) return;
  throw documentError(path, UINT, String(bytes), 'correct it');
}

function checkBitmap(node: SetNode, bitmap: SetBitmap, path: string): void {
  const { bits, coveredBytes } = bitmap;
  checkBytes(coveredBytes, `${path}.covered`);
  if (node.size !== undefined && bits.size !== undefined && bits.size !== node.size) {
    const found = `bits of a disk of ${bits.size} bytes`;
    throw documentError(path, `the node's size, ${node.size} bytes`, found, 'resize the bitmap, or correct the size');
  }
  const granules = granulesUpTo(knownEnd(node, bitmap), bits.granularity);
  if (bits.anyBits(granules, Number.MAX_SAFE_INTEGER)) {
    const expected = `nothing dirty behind its ${granules} granules`;
    throw documentError(path, expected, 'some', 'clear it, or correct the size or what is covered');
  }
}
