import { type Name, toHex } from '../bytes/text.js';

/** Bytes of a name at most: a bitmap's in QEMU and in qcow2. A node's has 31, an alias 255. */
export const MAX_NAME_BYTES = 1023;

/** The names of one level of a document, to find those that come twice. */
export class NameIndex {
  readonly #seen = new Set<string>();

  /** Adds a name; false where it is there already. */
  add(name: Name): boolean {
    const size = this.#seen.size;
    return this.#seen.add(toHex(name.bytes)).size > size;
  }
}
