import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { documentError } from './value-reader.js';

const encoder = new TextEncoder();

/**
 * A document as bytes, where its length is within the limits.
 * @throws DirtyBitmapError `limit` for a longer one; `set-invalid` for a text that UTF-8 cannot hold.
 */
export function documentBytes(document: string | Uint8Array, limits: Limits): Uint8Array {
  checkLength(document.length, limits);
  if (typeof document !== 'string') return document;
  if (/\p{Surrogate}/u.test(document)) {
    throw documentError('', 'text', 'a surrogate that stands alone', 'give the bytes of the document instead');
  }
  const bytes = encoder.encode(document);
  checkLength(bytes.length, limits);
  return bytes;
}

/**
 * Refuses a document of more bytes than allowed.
 * @throws DirtyBitmapError `limit`.
 */
export function checkLength(bytes: number, limits: Limits): void {
  if (bytes <= limits.maxDocumentBytes) return;
  throw new DirtyBitmapError(
    'limit',
    `a document of ${bytes} bytes or more, over the limit of ${limits.maxDocumentBytes}; raise maxDocumentBytes`,
  );
}
