import { type Name, nameFromBytes, quoted, toHex } from '../bytes/text.js';
import { readU16, readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { Code } from '../rules.js';
import { MAX_NAME_BYTES, NameIndex } from '../set/names.js';
import { type BitmapsExtension, LIST_BROKEN } from './bitmaps-extension.js';

/** Flags of a directory entry. Source: spec/qcow2-bitmaps.md section 4. */
export const BITMAP_FLAG = { IN_USE: 1, AUTO: 2, EXTRA_DATA_COMPATIBLE: 4 } as const;
const KNOWN_FLAGS = 7;

/** Bytes of an entry before its extra data and its name. */
const ENTRY_HEAD = 24;
const MAX_TABLE_ENTRIES = 0x08000000;
/** Bytes of bits of one bitmap, at most. */
const MAX_BITS_BYTES = 512 * 1024 * 1024;
const TYPE_DIRTY_TRACKING = 1;
const MAX_GRANULARITY_BITS = 63;

/** An entry of the directory: one bitmap. */
export interface DirectoryEntry {
  /** Where it lies in the file, in bytes. */
  readonly offset: number;
  /** Where its table lies in the file, in bytes. */
  readonly tableOffset: number;
  /** Words of the table, 8 bytes each. */
  readonly tableEntries: number;
  /** As they are: see {@link BITMAP_FLAG}. */
  readonly flags: number;
  /** Power of two; QEMU's are 9 to 31. */
  readonly granularityBits: number;
  /** Bytes of extra data, which QEMU never writes and refuses. */
  readonly extraDataSize: number;
  readonly name: Name;
}

/** How a message names a bitmap. */
export function bitmapPath(entry: DirectoryEntry): string {
  return `bitmap ${quoted(entry.name.text)}`;
}

/**
 * Reads the directory, every entry or none.
 * @param bytes just the directory.
 * @param findings gets what is odd and harmless: padding that is not zero, names that are not UTF-8.
 * @throws DirtyBitmapError the rule of section 4 that an entry breaks, `qcow2-directory-broken` where the entries do not
 * fill the directory exactly, `u64-too-large`.
 */
export function parseDirectory(
  bytes: Uint8Array,
  extension: BitmapsExtension,
  clusterSize: number,
  findings: Findings,
): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  const names = new NameIndex();
  let at = 0;
  for (let index = 0; index < extension.bitmapCount; index++) {
    const entry = new EntryReader(bytes, at, extension.directoryOffset, index);
    const read = entry.read(clusterSize);
    const { name } = read;
    if (!names.add(name)) throw entry.refused('qcow2-name-twice', ENTRY_HEAD, 'name', 'a new name', quoted(name.text));
    if (!name.clean) {
      const message = `${entry.path}.name: expected UTF-8 without NUL, found ${quoted(name.text)}; tools may garble it`;
      findings.add('name-not-utf8', message, read.offset + ENTRY_HEAD + read.extraDataSize);
    }
    const padding = entry.padding();
    if (padding !== undefined) {
      const message = `${entry.path}: expected zeroes after the name, found others; they are ignored`;
      findings.add('qcow2-directory-padding', message, padding);
    }
    entries.push(read);
    at = entry.end;
  }
  if (at !== bytes.length) {
    const found = `expected ${extension.bitmapCount} entries to fill ${bytes.length} bytes, found that they end after ${at}`;
    const offset = extension.directoryOffset + at;
    throw new DirtyBitmapError('qcow2-directory-broken', `directory: ${found}; ${LIST_BROKEN}`, { offset });
  }
  return entries;
}

/** Reads one entry of the directory. */
class EntryReader {
  readonly path: string;
  /** Where the next entry begins in the directory; known after {@link read}. */
  end = 0;
  #nameEnd = 0;
  readonly #bytes: Uint8Array;
  readonly #at: number;
  readonly #base: number;

  constructor(bytes: Uint8Array, at: number, directoryOffset: number, index: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#base = directoryOffset;
    this.path = `directory[${index}]`;
  }

  read(clusterSize: number): DirectoryEntry {
    const [bytes, at] = [this.#bytes, this.#at];
    this.#requireRoom(ENTRY_HEAD);
    const offset = this.#base + at;
    const nameSize = readU16(bytes, at + 18);
    const extraDataSize = readU32(bytes, at + 20);
    const size = Math.ceil((ENTRY_HEAD + extraDataSize + nameSize) / 8) * 8;
    this.#check(
      nameSize >= 1 && nameSize <= MAX_NAME_BYTES,
      'qcow2-name-size',
      18,
      'name_size',
      `1 to ${MAX_NAME_BYTES}`,
      nameSize,
    );
    this.#requireRoom(size);
    const tableOffset = readU64(bytes, at, offset, `${this.path}.bitmap_table_offset`);
    const aligned = tableOffset !== 0 && tableOffset % clusterSize === 0;
    const multiple = `a multiple of the cluster size ${clusterSize}, not 0`;
    this.#check(aligned, 'qcow2-table-offset', 0, 'bitmap_table_offset', multiple, tableOffset);
    const tableEntries = readU32(bytes, at + 8);
    const max = Math.min(MAX_TABLE_ENTRIES, MAX_BITS_BYTES / clusterSize);
    const few = tableEntries >= 1 && tableEntries <= max;
    this.#check(few, 'qcow2-table-entries', 8, 'bitmap_table_size', `1 to ${max} words`, tableEntries);
    const flags = readU32(bytes, at + 12);
    this.#check(flags <= KNOWN_FLAGS, 'qcow2-bitmap-flags', 12, 'flags', 'bits 0 to 2 only', `0x${flags.toString(16)}`);
    const type = bytes[at + 16] as number;
    this.#check(type === TYPE_DIRTY_TRACKING, 'qcow2-bitmap-type', 16, 'type', '1 (dirty tracking)', type);
    const granularityBits = bytes[at + 17] as number;
    const fits = granularityBits <= MAX_GRANULARITY_BITS;
    this.#check(fits, 'qcow2-granularity', 17, 'granularity_bits', `0 to ${MAX_GRANULARITY_BITS}`, granularityBits);
    const nameAt = at + ENTRY_HEAD + extraDataSize;
    this.end = at + size;
    this.#nameEnd = nameAt + nameSize;
    const nameBytes = bytes.subarray(nameAt, this.#nameEnd);
    const nul = nameBytes.includes(0);
    this.#check(!nul, 'name-nul', ENTRY_HEAD + extraDataSize, 'name', 'no NUL byte', toHex(nameBytes.subarray(0, 32)));
    return { offset, tableOffset, tableEntries, flags, granularityBits, extraDataSize, name: nameFromBytes(nameBytes) };
  }

  /** Offset in the file of the first byte of padding that is not zero; undefined where all is. */
  padding(): number | undefined {
    for (let at = this.#nameEnd; at < this.end; at++) if (this.#bytes[at] !== 0) return this.#base + at;
    return undefined;
  }

  refused(code: Code, at: number, field: string, expected: string, found: string | number): DirtyBitmapError {
    const path = `${this.path}.${field}`;
    const message = `${path}: expected ${expected}, found ${found}; ${LIST_BROKEN}`;
    return new DirtyBitmapError(code, message, { offset: this.#base + this.#at + at, path });
  }

  #check(good: boolean, code: Code, at: number, field: string, expected: string, found: string | number): void {
    if (!good) throw this.refused(code, at, field, expected, found);
  }

  #requireRoom(count: number): void {
    const left = this.#bytes.length - this.#at;
    if (left >= count) return;
    const expected = `${count} bytes`;
    throw this.refused('qcow2-directory-broken', 0, 'size', expected, `${left} that are left of the directory`);
  }
}
