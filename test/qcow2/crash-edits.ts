/** Changes to images that no tool makes; of the bytes, without any code of the library. */

const AUTOCLEAR = 88;
/** Length of the header of version 3 as QEMU writes it now. */
const HEADER_LENGTH = 100;
const BITMAPS = 0x23852875;
/** An extension that nobody knows. */
const UNKNOWN = 0x12345678;

/** The image without the bit that vouches for its bitmaps. */
export function clearAutoclear(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[AUTOCLEAR + 7] = (copy[AUTOCLEAR + 7] as number) & 0xfe;
  return copy;
}

/** The image with further bits of the lowest byte of the autoclear word. */
export function setAutoclear(bytes: Uint8Array, bits: number): Uint8Array {
  const copy = bytes.slice();
  copy[AUTOCLEAR + 7] = (copy[AUTOCLEAR + 7] as number) | bits;
  copy[AUTOCLEAR] = 0x80;
  return copy;
}

/** The image with zeroes behind it, up to a length. */
export function padTo(bytes: Uint8Array, length: number): Uint8Array {
  if (length < bytes.length) throw new Error(`it has ${bytes.length} bytes, more than ${length}`);
  const copy = new Uint8Array(length);
  copy.set(bytes);
  return copy;
}

/**
 * The image with an extension that nobody knows before that of the bitmaps, or before the end of the list, so long that
 * what follows it begins at `offset`. Of an image without a backing file.
 */
export function insertExtension(bytes: Uint8Array, offset: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  let at = view.getUint32(HEADER_LENGTH);
  let kept = at;
  while (view.getUint32(at) !== 0 && view.getUint32(at) !== BITMAPS) {
    at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8;
    // One that is in the way may go: it is the table of the features' names.
    if (at + 8 <= offset) kept = at;
  }
  const rest = copy.slice(at, at + (view.getUint32(at) === BITMAPS ? 40 : 8));
  copy.fill(0, kept, at + 40);
  view.setUint32(kept, UNKNOWN);
  view.setUint32(kept + 4, offset - kept - 8);
  copy.fill(0xee, kept + 8, offset);
  copy.set(rest, offset);
  return copy;
}

/** Words of an image's refcount table: blocks that it has room for. */
export function refcountTableWords(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return (view.getUint32(56) * 2 ** view.getUint32(20)) / 8;
}

/** The image with an extension that nobody knows behind all others. Of an image without a backing file. */
export function appendExtension(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  let at = view.getUint32(HEADER_LENGTH);
  while (view.getUint32(at) !== 0) at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8;
  view.setUint32(at, UNKNOWN);
  view.setUint32(at + 4, 5);
  copy.fill(0xee, at + 8, at + 13);
  copy.fill(0, at + 13, at + 24);
  return copy;
}

/** The image with another length of its bitmaps extension, which no QEMU opens; what follows stays where it is. */
export function otherLength(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  let at = view.getUint32(HEADER_LENGTH);
  while (view.getUint32(at) !== BITMAPS) at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8;
  view.setUint32(at + 4, 20);
  return copy;
}
