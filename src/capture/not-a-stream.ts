import { printable, toHex } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';

/** Beginnings of things that are given to a reader of captures by mistake, and what to do about each. */
const KNOWN: readonly { readonly hex: string; readonly what: string; readonly advice: string }[] = [
  { hex: '11223344', what: 'a multifd side channel', advice: 'bitmaps travel in the main channel; capture that one' },
  {
    hex: '1603',
    what: 'a TLS stream',
    advice: 'capture the migration in the clear (tls-creds off), or at an end of it',
  },
  {
    hex: '4c696276697274',
    what: 'a libvirt save image',
    advice: "the stream follows libvirt's own header: pass its place with --offset",
  },
  { hex: '1f8b', what: 'gzip data', advice: 'decompress it first' },
  { hex: '28b52ffd', what: 'zstd data', advice: 'decompress it first' },
  { hex: 'fd377a585a', what: 'xz data', advice: 'decompress it first' },
  { hex: '04224d18', what: 'lz4 data', advice: 'decompress it first' },
  { hex: '514649fb', what: 'a qcow2 image', advice: 'it is an image, not a migration stream' },
  {
    hex: '0800',
    what: 'a stream without its header',
    advice: 'the recovery of a postcopy begins so; it carries no bitmaps',
  },
];

/** The error for input that does not begin with the magic. `offset` is where its first byte is, in bytes; `zeroes` went before it. */
export function notAStream(first: Uint8Array, offset: number, zeroes = 0): DirtyBitmapError {
  if (first.length === 0) {
    const found = zeroes > 0 ? `the input is ${zeroes} zero bytes` : 'the input is empty';
    return new DirtyBitmapError('magic-invalid', `${found}; a migration stream begins with QEVM`, { offset });
  }
  const hex = toHex(first.subarray(0, 8));
  const known = KNOWN.find((kind) => hex.startsWith(kind.hex));
  const text = printable(String.fromCharCode(...first.subarray(0, 8)));
  return known === undefined
    ? new DirtyBitmapError(
        'magic-invalid',
        `expected QEVM (51 45 56 4d), found ${zeroes > 0 ? `${zeroes} zero bytes, then ` : ''}${hex} ("${text}"); ` +
          'give a file that a migration wrote',
        { offset },
      )
    : new DirtyBitmapError('not-main-channel', `expected QEVM, found ${known.what}: ${known.advice}`, { offset });
}
