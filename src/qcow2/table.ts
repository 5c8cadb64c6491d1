import { readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Code } from '../rules.js';
import { bitmapPath, type DirectoryEntry } from './directory.js';
import type { Steps } from './random-access.js';

/** Bytes of a table word. */
export const WORD = 8;
/** What a decoded word is for a cluster of bits that are all clear and take no room in the file. */
export const ALL_ZEROES = 0;
/** What a decoded word is for a cluster of bits that are all set and take no room in the file. */
export const ALL_ONES = 1;

/** The table of a bitmap: where each cluster of its bits lies. */
export interface BitmapTable {
  /** Where it lies in the file, in bytes. */
  readonly offset: number;
  /** One for each cluster of bits: {@link ALL_ZEROES}, {@link ALL_ONES}, or the offset of the cluster in bytes. */
  readonly words: Float64Array;
  /** How many words are of each kind. */
  readonly kinds: { readonly zeroes: number; readonly ones: number; readonly data: number };
}

/** The file that tables and clusters lie in, in bytes. */
export interface FileGeometry {
  readonly clusterSize: number;
  readonly fileSize: number;
}

/** What an operator can do about one broken bitmap. */
export const BITMAP_BROKEN = 'its bits cannot be trusted: remove it, and take a full backup';

/**
 * Reads a table, all of its words or none. Source: spec/qcow2-bitmaps.md section 4; that everything lies inside the file
 * is section 6: QEMU reads what is missing as clean.
 * @throws DirtyBitmapError `qcow2-table-outside`, `qcow2-word-reserved`, `qcow2-word-ones-with-offset`,
 * `qcow2-data-unaligned`, `qcow2-data-outside`, `u64-too-large`.
 */
export function* tableSteps(entry: DirectoryEntry, file: FileGeometry): Steps<BitmapTable> {
  const { tableOffset, tableEntries } = entry;
  const length = tableEntries * WORD;
  if (tableOffset + length > file.fileSize) {
    const expected = `expected a table of ${length} bytes at ${tableOffset} inside the file of ${file.fileSize}`;
    const message = `${bitmapPath(entry)}: ${expected}; QEMU reads what is missing as clean; ${BITMAP_BROKEN}`;
    throw new DirtyBitmapError('qcow2-table-outside', message, { offset: entry.offset });
  }
  const bytes = yield { offset: tableOffset, length };
  const words = new Float64Array(tableEntries);
  const kinds = { zeroes: 0, ones: 0, data: 0 };
  for (let index = 0; index < tableEntries; index++) {
    const word = decodeWord(bytes, index, entry, file);
    words[index] = word;
    if (word === ALL_ZEROES) kinds.zeroes++;
    else if (word === ALL_ONES) kinds.ones++;
    else kinds.data++;
  }
  return { offset: tableOffset, words, kinds };
}

/** Bits 56 to 63 and 1 to 8 are reserved, 9 to 55 the offset, and bit 0 chooses all-ones where that is 0. */
const RESERVED_HIGH = 0xff00_0000;
const RESERVED_LOW = 0x1fe;

function decodeWord(bytes: Uint8Array, index: number, entry: DirectoryEntry, file: FileGeometry): number {
  const at = index * WORD;
  const high = readU32(bytes, at);
  const low = readU32(bytes, at + 4);
  if (high === 0 && low <= ALL_ONES) return low;
  const offset = entry.tableOffset + at;
  const path = `${bitmapPath(entry)}.table[${index}]`;
  const refused = (code: Code, expected: string, found: string | number): DirtyBitmapError =>
    new DirtyBitmapError(code, `${path}: expected ${expected}, found ${found}; ${BITMAP_BROKEN}`, { offset, path });
  const word = () => `0x${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
  if ((high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0)
    throw refused('qcow2-word-reserved', 'bits 1 to 8 and 56 to 63 to be zero', word());
  if ((low & ALL_ONES) !== 0) throw refused('qcow2-word-ones-with-offset', 'bit 0 to be zero beside an offset', word());
  const cluster = readU64(bytes, at, offset, path);
  const { clusterSize, fileSize } = file;
  if (cluster % clusterSize !== 0)
    throw refused('qcow2-data-unaligned', `a multiple of the cluster size ${clusterSize}`, cluster);
  if (cluster + clusterSize > fileSize) {
    const expected = `a cluster of ${clusterSize} bytes inside the file of ${fileSize}`;
    throw refused('qcow2-data-outside', expected, `${cluster} (QEMU reads it as clean)`);
  }
  return cluster;
}
