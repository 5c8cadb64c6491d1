/** Bytes of the words that bits are serialised in, on 64-bit hosts. Source: hbitmap_serialization_size(). */
const WORD_BYTES = 8;
/** QEMU pads the data of a BITS chunk to a multiple of this many bytes. Source: block-dirty-bitmap.c, send_bitmap_bits(). */
const PADDING = 32;

/** Bytes that the bits of `granules` granules take as whole 64-bit words, which is what QEMU hashes and sends. */
export function serializedSize(granules: number): number {
  return Math.ceil(granules / (WORD_BYTES * 8)) * WORD_BYTES;
}

/** {@link serializedSize} rounded up to a multiple of 32 bytes: what QEMU's BITS chunks carry and at most accept. */
export function paddedSize(granules: number): number {
  return Math.ceil(serializedSize(granules) / PADDING) * PADDING;
}
