import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Bitmap } from './bitmap.js';
import { serializedSize } from './serialize.js';

const WORD_BYTES = 8;
/** Bytes handed to the hash at a time. */
const PIECE = 65_536;
/** What absent pages are hashed from; never written. */
const ZEROES = new Uint8Array(PIECE);

/** A hash that is fed piece by piece: one of @noble/hashes, or node:crypto's. */
export interface HashSink {
  update(bytes: Uint8Array): unknown;
}

/**
 * Feeds a hash with the first `granules` bits of a bitmap as little-endian 64-bit words, the last one filled up with
 * zero bits. No granules are hashed as one word: so QEMU does for a disk of no bytes (captures/size-zero). The pieces are
 * views of a buffer that is used again: the hash must not keep them.
 * Source: the bytes that QEMU's `x-debug-block-dirty-bitmap-sha256` hashes (hbitmap_sha256()).
 */
export function hashWords(bitmap: Bitmap, granules: number, hash: HashSink): void {
  const size = Math.max(WORD_BYTES, serializedSize(granules));
  const buffer = new Uint8Array(Math.min(PIECE, size));
  for (let at = 0; at < size; at += PIECE) {
    const length = Math.min(PIECE, size - at);
    const used = bitmap.nextUsedPage(Math.floor(at / 1024));
    let piece = ZEROES;
    if (used >= 0 && used * 1024 < at + length) {
      bitmap.readBytes(at, buffer, 0, length);
      if (at + length === size) clearFrom(buffer, granules - at * 8, length);
      piece = buffer;
    }
    hash.update(length === PIECE ? piece : piece.subarray(0, length));
  }
}

/**
 * SHA-256, in hexadecimal, of the first `granules` bits of a bitmap, as QEMU's `x-debug-block-dirty-bitmap-sha256`
 * gives it when `granules` covers the whole disk. Beyond what is stored the bits are zero.
 */
export function bitmapSha256(bitmap: Bitmap, granules: number): string {
  const hash = sha256.create();
  hashWords(bitmap, granules, hash);
  return bytesToHex(hash.digest());
}

/** Clears the bits from `bit` to the end of the first `length` bytes. */
function clearFrom(bytes: Uint8Array, bit: number, length: number): void {
  const first = bit >>> 3;
  if (first >= length) return;
  bytes[first] = (bytes[first] as number) & ~(0xff << (bit & 7));
  bytes.fill(0, first + 1, length);
}

/** SHA-256 of a text in UTF-8, in base64: what a content security policy wants of a style sheet. */
export function textSha256(text: string): string {
  return btoa(String.fromCharCode(...sha256(new TextEncoder().encode(text))));
}
