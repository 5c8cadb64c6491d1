import { readU16, readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Claim } from './claims.js';
import type { Qcow2Header } from './header.js';
import type { Steps } from './random-access.js';
import { type FileGeometry, WORD } from './table.js';

/** Clusters that one refcount block counts. Source: spec/qcow2-bitmaps.md section 5. */
export function clustersPerBlock(header: Qcow2Header): number {
  return (header.clusterSize * 8) / header.refcountBits;
}

/**
 * Reads one refcount. Those narrower than a byte are packed from its least significant bit on, wider ones are big-endian.
 * @param bits of one refcount: 1, 2, 4, ... 64.
 * @param offset where the block lies in the file, in bytes, for the error.
 * @throws DirtyBitmapError `u64-too-large`.
 */
export function getRefcount(block: Uint8Array, index: number, bits: number, offset: number): number {
  if (bits < 8) {
    const perByte = 8 / bits;
    const byte = block[Math.floor(index / perByte)] as number;
    return (byte >>> ((index % perByte) * bits)) & (2 ** bits - 1);
  }
  const at = index * (bits / 8);
  if (bits === 8) return block[at] as number;
  if (bits === 16) return readU16(block, at);
  return bits === 32 ? readU32(block, at) : readU64(block, at, offset + at, `refcount[${index}]`);
}

/** Writes one refcount of 0 or 1, as {@link getRefcount} reads it. */
export function setRefcount(block: Uint8Array, index: number, bits: number, count: 0 | 1): void {
  if (bits < 8) {
    const perByte = 8 / bits;
    const at = Math.floor(index / perByte);
    const shift = (index % perByte) * bits;
    block[at] = ((block[at] as number) & ~((2 ** bits - 1) << shift)) | (count << shift);
    return;
  }
  const bytes = bits / 8;
  block.fill(0, index * bytes, (index + 1) * bytes);
  block[(index + 1) * bytes - 1] = count;
}

/** Called with a claim that is in doubt. */
type OnFault = (claim: Claim, error: DirtyBitmapError) => void;

/**
 * Holds claimed clusters against their refcounts, which must be 1. Reads the refcount table and the blocks that count
 * these clusters, one at a time.
 * @param claims in ascending order.
 * @throws DirtyBitmapError `qcow2-refcount-table-outside`.
 */
export function* refcountSteps(
  header: Qcow2Header,
  file: FileGeometry,
  claims: Iterable<Claim>,
  onFault: OnFault,
): Steps<void> {
  const per = clustersPerBlock(header);
  const table = yield* refcountTableSteps(header, file.fileSize);
  for (const claim of claims) {
    try {
      for (let first = claim.first; first < claim.end; ) {
        const number = Math.floor(first / per);
        const end = Math.min(claim.end, (number + 1) * per);
        const offset = refcountBlockOffset(table, number, header, file);
        const block = offset === 0 ? undefined : yield { offset, length: file.clusterSize };
        for (let cluster = first; cluster < end; cluster++) {
          const count = block === undefined ? 0 : getRefcount(block, cluster % per, header.refcountBits, offset);
          if (count !== 1) throw wrongCount(cluster * file.clusterSize, count, placeOf(cluster % per, offset, header));
        }
        first = end;
      }
    } catch (error) {
      // Anything else than a bad refcount ends the reading: the file ended, or its reader failed.
      if (!(error instanceof DirtyBitmapError) || error.code === 'truncated') throw error;
      onFault(claim, error);
    }
  }
}

/** The refcount table, as a copy. @throws DirtyBitmapError `qcow2-refcount-table-outside`. */
export function* refcountTableSteps(header: Qcow2Header, fileSize: number): Steps<Uint8Array> {
  const offset = header.refcountTableOffset;
  const length = header.refcountTableClusters * header.clusterSize;
  if (offset + length <= fileSize) return new Uint8Array(yield { offset, length });
  const expected = `expected a refcount table of ${length} bytes inside the file of ${fileSize}, found it at ${offset}`;
  const message = `${expected}; the image is cut off or damaged: qemu-img check tells`;
  throw new DirtyBitmapError('qcow2-refcount-table-outside', message, { offset: 48 });
}

/** Bits 0 to 8 of a word of the refcount table are reserved. */
const RESERVED = 0x1ff;

/**
 * Where a refcount block lies, in bytes; 0 where there is none, and all its refcounts are 0.
 * @throws DirtyBitmapError `qcow2-refcount-block`, `u64-too-large`.
 */
export function refcountBlockOffset(
  table: Uint8Array,
  number: number,
  header: Qcow2Header,
  file: FileGeometry,
): number {
  const at = number * WORD;
  if (at >= table.length) return 0;
  const offset = header.refcountTableOffset + at;
  const path = `refcount_table[${number}]`;
  const word = readU64(table, at, offset, path);
  if (word % file.clusterSize === 0 && word + file.clusterSize <= file.fileSize) return word;
  const expected =
    (readU32(table, at + 4) & RESERVED) !== 0 ? 'bits 0 to 8 to be zero' : 'an aligned cluster inside the file';
  const message = `${path}: expected ${expected}, found ${word}; the image is damaged: qemu-img check tells`;
  throw new DirtyBitmapError('qcow2-refcount-block', message, { offset, path });
}

/** Where a refcount lies in the file, in bytes; where there is no block, the place that would tell of it. */
function placeOf(index: number, block: number, header: Qcow2Header): number {
  return block === 0 ? header.refcountTableOffset : block + Math.floor((index * header.refcountBits) / 8);
}

function wrongCount(cluster: number, count: number, offset: number): DirtyBitmapError {
  const danger = count === 0 ? 'a writer may take the cluster for free' : 'something else may use the cluster too';
  const message = `the cluster at ${cluster}: expected refcount 1, found ${count}; ${danger}`;
  return new DirtyBitmapError('qcow2-refcount-not-one', message, { offset });
}
