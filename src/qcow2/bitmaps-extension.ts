import { readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import type { Code } from '../rules.js';
import { EXTENSION, EXTENSION_HEAD, type ExtensionArea } from './extensions.js';

/** Bytes of the extension's data. */
const PAYLOAD = 24;
/** Bitmaps of one image, and bytes of their directory, at most. Source: spec/qcow2-bitmaps.md section 3. */
const MAX_BITMAPS = 65_535;
const MAX_DIRECTORY = 1024 * MAX_BITMAPS;

/** The bitmaps extension: where the directory lies. */
export interface BitmapsExtension {
  /** Where its 24 bytes lie in the file. */
  readonly offset: number;
  readonly bitmapCount: number;
  /** Bytes of the directory. */
  readonly directorySize: number;
  /** Where it lies in the file, in bytes. */
  readonly directoryOffset: number;
}

/** What the extension is held against. */
export interface BitmapsExtensionContext {
  readonly clusterSize: number;
  /** Bytes of the file. */
  readonly fileSize: number;
  readonly limits: Limits;
}

/**
 * Reads the bitmaps extension.
 * @returns undefined where the image has none.
 * @throws DirtyBitmapError the rule of section 3 that is broken, `qcow2-directory-outside` where the directory does not
 * lie in the file, `limit` for more bitmaps than `maxBitmaps`, `u64-too-large`.
 */
export function parseBitmapsExtension(
  cluster: Uint8Array,
  area: ExtensionArea,
  { clusterSize, fileSize, limits }: BitmapsExtensionContext,
): BitmapsExtension | undefined {
  const found = area.list.find((one) => one.type === EXTENSION.BITMAPS);
  if (found === undefined) return undefined;
  const offset = found.offset + EXTENSION_HEAD;
  if (found.length !== PAYLOAD) {
    throw refused('qcow2-extension-length', found.offset + 4, 'length', `${PAYLOAD}`, found.length);
  }
  const bitmapCount = readU32(cluster, offset);
  if (bitmapCount < 1 || bitmapCount > MAX_BITMAPS) {
    throw refused('qcow2-bitmap-count', offset, 'nb_bitmaps', `1 to ${MAX_BITMAPS}`, bitmapCount);
  }
  if (bitmapCount > limits.maxBitmaps) {
    const message = `the image has ${bitmapCount} bitmaps, over the limit of ${limits.maxBitmaps}; raise maxBitmaps`;
    throw new DirtyBitmapError('limit', message, { offset });
  }
  const reserved = readU32(cluster, offset + 4);
  if (reserved !== 0) throw refused('qcow2-extension-reserved', offset + 4, 'reserved', '0', reserved);
  const directorySize = readU64(cluster, offset + 8, offset + 8, `${PATH}.bitmap_directory_size`);
  if (directorySize < 1 || directorySize > MAX_DIRECTORY) {
    const expected = `1 to ${MAX_DIRECTORY} bytes`;
    throw refused('qcow2-directory-size', offset + 8, 'bitmap_directory_size', expected, directorySize);
  }
  const directoryOffset = readU64(cluster, offset + 16, offset + 16, `${PATH}.bitmap_directory_offset`);
  if (directoryOffset === 0 || directoryOffset % clusterSize !== 0) {
    const expected = `a multiple of the cluster size ${clusterSize}, not 0`;
    throw refused('qcow2-directory-offset', offset + 16, 'bitmap_directory_offset', expected, directoryOffset);
  }
  if (directoryOffset + directorySize > fileSize) {
    const expected = `a directory of ${directorySize} bytes inside the file of ${fileSize}`;
    throw refused('qcow2-directory-outside', offset + 16, 'bitmap_directory_offset', expected, directoryOffset);
  }
  return { offset, bitmapCount, directorySize, directoryOffset };
}

const PATH = 'bitmaps_extension';

/** What an operator can do about an image whose list of bitmaps is broken. */
export const LIST_BROKEN =
  'QEMU does not open such an image until its bitmaps are dropped (`dirtybitmap bitmap drop-all IMAGE`); take a full backup then';

function refused(code: Code, offset: number, name: string, expected: string, found: number): DirtyBitmapError {
  const path = `${PATH}.${name}`;
  return new DirtyBitmapError(code, `${path}: expected ${expected}, found ${found}; ${LIST_BROKEN}`, { offset, path });
}
