import { nameFromBytes, nameFromText } from '../bytes/text.js';

/** A name as QEMU takes it from the wire: a C string, which ends at the first NUL. */
export interface QemuName {
  /** One character a byte: what names are compared by. */
  readonly key: string;
  /** For people. */
  readonly text: string;
}

/** The name in `bytes[start..end)`. */
export function qemuName(bytes: Uint8Array, start: number, end: number): QemuName {
  const nul = bytes.indexOf(0, start);
  const name = bytes.subarray(start, nul >= 0 && nul < end ? nul : end);
  return { key: keyOf(name), text: nameFromBytes(name).text };
}

/** The key of a name that is given as text. */
export function keyOfText(text: string): string {
  return keyOf(nameFromText(text).bytes);
}

function keyOf(bytes: Uint8Array): string {
  let key = '';
  for (const byte of bytes) key += String.fromCharCode(byte);
  return key;
}
