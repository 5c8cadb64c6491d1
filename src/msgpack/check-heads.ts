import { MAX_DISK_BYTES } from '../bitmap/granularity.js';
import { isSafeU64, joinU64, readU32 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import { documentError, UINT } from '../set/value-reader.js';

/** How much a document may make a decoder allocate. */
export interface HeadLimits {
  /** Numbers, booleans and nil: 8 bytes each, once decoded. */
  readonly maxNumbers: number;
  /** Everything else: an object each. */
  readonly maxObjects: number;
  /** Maps and arrays inside one another. */
  readonly maxDepth: number;
}

const DAMAGED = 'this is not MessagePack, or it is damaged or cut';

/** Bytes of the length field of heads 0xc0 to 0xdf that have one, else 0. */
const LENGTH_BYTES = [0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4];
/** Bytes after the head and the length field that are always there: the value, or the type of an extension. */
const FIXED_BYTES = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0];

/**
 * Walks over one MessagePack value before it is decoded, without allocating anything. A decoder believes what a head
 * says: five bytes announce an array of 2^32 items and get the memory for it, a million of them inside one another get a
 * million times as much, and an engine that runs out of memory ends the process.
 * @throws DirtyBitmapError `set-invalid` where the bytes are cut, go on behind the value, nest too deeply, or hold a
 * 64-bit number that is negative or over 2^53; `limit` where there are more values than allowed.
 */
export function checkHeads(bytes: Uint8Array, limits: HeadLimits): void {
  /** Values to come in each open map or array, the innermost last; the document is one value. */
  const open = [1];
  let numbers = limits.maxNumbers;
  let objects = limits.maxObjects;
  let at = 0;
  while (open.length > 0) {
    const left = open.length - 1;
    if (open[left] === 0) {
      open.pop();
      continue;
    }
    open[left] = (open[left] as number) - 1;
    const start = at;
    const head = bytes[at++];
    if (head === undefined) throw cut(start);
    let length = 0;
    let items = 0;
    let isObject = true;
    if (head < 0x80 || head >= 0xe0) isObject = false;
    else if (head < 0x90) items = (head & 0x0f) * 2;
    else if (head < 0xa0) items = head & 0x0f;
    else if (head < 0xc0) length = head & 0x1f;
    else {
      const lengthBytes = LENGTH_BYTES[head - 0xc0] as number;
      let value = 0;
      for (let i = 0; i < lengthBytes; i++) value = value * 256 + (bytes[at++] ?? 0);
      if (head >= 0xde) items = value * 2;
      else if (head >= 0xdc) items = value;
      else length = value + (FIXED_BYTES[head - 0xc0] as number);
      isObject = lengthBytes > 0 || (head >= 0xd4 && head <= 0xd8);
    }
    if ((head === 0xcf || head === 0xd3) && !isExact(bytes, at)) {
      throw bad(start, UINT, 'another', 'no disk is that large');
    }
    at += length;
    // Each item takes a byte at least, so what announces more than there are is cut already here.
    if (at + items > bytes.length) throw cut(start);
    if (isObject ? --objects < 0 : --numbers < 0) throw tooMany(start, isObject, limits);
    if (items > 0 && open.push(items) > limits.maxDepth) throw bad(start, `at most ${limits.maxDepth} levels`, 'more');
  }
  if (at < bytes.length) throw bad(at, 'the end of the document', `${bytes.length - at} more bytes`);
}

/** Whether the 64-bit number at `at` is at most 2^53; a decoder rounds larger ones, and 2^53+1 to just that. */
function isExact(bytes: Uint8Array, at: number): boolean {
  if (at + 8 > bytes.length) return true;
  const high = readU32(bytes, at);
  return isSafeU64(high) || (joinU64(high, 0) === MAX_DISK_BYTES && readU32(bytes, at + 4) === 0);
}

function cut(offset: number): DirtyBitmapError {
  return bad(offset, 'a whole value', 'the end of the document in it');
}

function bad(offset: number, expected: string, found: string, advice: string = DAMAGED): DirtyBitmapError {
  return documentError('', expected, found, advice, offset);
}

function tooMany(offset: number, isObject: boolean, limits: HeadLimits): DirtyBitmapError {
  const what = isObject ? `${limits.maxObjects} texts, arrays and maps` : `${limits.maxNumbers} numbers`;
  const limit = isObject ? 'maxBitmaps' : 'maxExtents';
  return new DirtyBitmapError('limit', `more than ${what} in one document; raise ${limit}`, { offset });
}
