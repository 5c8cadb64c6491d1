import { DirtyBitmapError } from '../errors.js';
import { MAX_DISK_BYTES, MAX_GRANULES } from './granularity.js';

/**
 * Refuses a byte count or position that a Number does not hold exactly; `what` names it in the message.
 * @throws DirtyBitmapError `argument` unless it is a whole number from 0 to 2^53.
 */
export function assertBytes(n: number, what: string): void {
  if (Number.isInteger(n) && n >= 0 && n <= MAX_DISK_BYTES) return;
  throw new DirtyBitmapError('argument', `${what}: expected a whole number from 0 to 2^53, found ${n}`);
}

/**
 * Refuses a range that is not one of whole numbers, or ends after 2^53.
 * @throws DirtyBitmapError `argument`.
 */
export function assertRange(first: number, length: number): void {
  assertBytes(first, 'offset');
  assertBytes(length, 'length');
  // The sum would be rounded; the difference is exact.
  if (length <= MAX_DISK_BYTES - first) return;
  throw new DirtyBitmapError('argument', `the range of ${length} from ${first} on ends after 2^53`);
}

/**
 * Refuses a piece that is not within `bytes`, or whose place, from byte `at` on, is not within the largest bitmap.
 * @throws DirtyBitmapError `argument`.
 */
export function assertPiece(at: number, bytes: Uint8Array, start: number, end: number): void {
  const inBytes = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= bytes.length;
  if (inBytes && Number.isSafeInteger(at) && at >= 0 && at + end - start <= MAX_GRANULES / 8) return;
  throw new DirtyBitmapError(
    'argument',
    `expected a piece within ${bytes.length} bytes and within a bitmap of 2^41, found ${start} to ${end} at ${at}`,
  );
}

/**
 * Refuses to merge bitmaps of disks of different sizes, in bytes; `beyond` says that the other one, of a disk whose size
 * is not known, is dirty past the end of the first.
 * @throws DirtyBitmapError `argument`.
 */
export function assertSameDisk(size: number, other: number | undefined, beyond: boolean): void {
  if (other === undefined ? !beyond : other === size) return;
  const found = other === undefined ? 'a bitmap that is dirty past its end' : `one of ${other} bytes`;
  throw new DirtyBitmapError(
    'argument',
    `a bitmap of a disk of ${size} bytes can be merged with one of the same disk only, found ${found}`,
  );
}
