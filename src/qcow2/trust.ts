import { isGranularity } from '../bitmap/granularity.js';
import { BITMAP_FLAG, type DirectoryEntry } from './directory.js';

/**
 * Whether the bits of a stored bitmap can be believed. Source: spec/qcow2-bitmaps.md section 7.
 *
 * - `enabled`: clean, and QEMU records writes in it once the image is open.
 * - `disabled`: clean; writes are not recorded.
 * - `in-use-live`: a writer has it open; the bits are in its memory.
 * - `in-use-orphaned`: nobody has it open any more: a crash, or a failed save.
 * - `in-use-unknown`: one of these two; nobody told which.
 * - `stale`: a program without bitmap support has written to the image.
 * - `unsupported`: legal, and nothing that QEMU makes or opens.
 * - `damaged`: a rule is broken.
 *
 * Only the first two carry bits.
 */
export type Trust =
  | 'enabled'
  | 'disabled'
  | 'in-use-live'
  | 'in-use-orphaned'
  | 'in-use-unknown'
  | 'stale'
  | 'unsupported'
  | 'damaged';

/** What an entry says of itself, in an image whose bitmaps are not stale. */
export function trustOf(entry: DirectoryEntry, writerPresent: boolean | undefined): Trust {
  if (unsupportedReason(entry) !== undefined) return 'unsupported';
  if ((entry.flags & BITMAP_FLAG.IN_USE) !== 0) {
    if (writerPresent === undefined) return 'in-use-unknown';
    return writerPresent ? 'in-use-live' : 'in-use-orphaned';
  }
  return (entry.flags & BITMAP_FLAG.AUTO) !== 0 ? 'enabled' : 'disabled';
}

/** Whether bits are read of a bitmap of that trust. */
export function carriesBits(trust: Trust): boolean {
  return trust === 'enabled' || trust === 'disabled';
}

/** What it is about an entry that the format allows and QEMU does not; undefined where there is nothing. */
export function unsupportedReason(entry: DirectoryEntry): string | undefined {
  if ((entry.flags & BITMAP_FLAG.EXTRA_DATA_COMPATIBLE) !== 0) return 'it has flag bit 2 (extra_data_compatible)';
  if (entry.extraDataSize > 0) return `it has ${entry.extraDataSize} bytes of extra data`;
  return isGranularity(granularityOf(entry)) ? undefined : `its granularity is 2^${entry.granularityBits} bytes`;
}

/** In bytes. */
export function granularityOf(entry: DirectoryEntry): number {
  return 2 ** entry.granularityBits;
}
