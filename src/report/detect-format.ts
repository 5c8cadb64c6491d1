import { DirtyBitmapError } from '../errors.js';
import type { Format } from './input-report.js';

/**
 * What kind of input begins like this. Anything unknown counts as a capture, whose reader says best what it is not.
 * @throws DirtyBitmapError `unsupported` for a document with a byte order mark.
 */
export function detectFormat(head: Uint8Array): Format {
  const text = String.fromCharCode(...head.subarray(0, 1024));
  if (text.startsWith('QFI\xfb')) return 'qcow2';
  if (text.startsWith('\xef\xbb\xbf')) {
    const message = 'the document begins with a byte order mark (ef bb bf); save it without';
    throw new DirtyBitmapError('unsupported', message, { offset: 0 });
  }
  if (/^\s*\[/.test(text)) return 'nbdinfo';
  if (/^\s*\{/.test(text)) return 'set';
  // A MessagePack map whose first key is "dirtybitmap" (11 bytes).
  if (/^[\x80-\x8f\xde\xdf].{0,4}\xabdirtybitmap/s.test(text)) return 'set';
  return 'capture';
}
