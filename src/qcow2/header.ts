import { readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Code } from '../rules.js';

/** Incompatible features: who does not know one cannot read the image. Source: spec/qcow2-bitmaps.md section 2. */
export const INCOMPATIBLE = { DIRTY: 1n, CORRUPT: 2n, DATA_FILE: 4n, COMPRESSION: 8n, EXTENDED_L2: 16n } as const;
const KNOWN_INCOMPATIBLE = 31n;

/** Autoclear features: who does not know one clears it before its first write. Section 2. */
export const AUTOCLEAR = { BITMAPS: 1n, RAW_DATA_FILE: 2n } as const;

/** Bytes of the header of version 2, and the least of version 3. */
const HEADER_BYTES_V2 = 72;
const HEADER_BYTES_V3 = 104;
/** Bytes from the start of an image that hold every field of the header that is read here. */
export const HEADER_READ = 112;

const MAGIC = 0x514649fb;
const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 21;
const MAX_BACKING_NAME = 1023;
const MAX_SNAPSHOTS = 65_536;
const MAX_REFCOUNT_TABLE = 8 * 1024 * 1024;
const MAX_REFCOUNT_ORDER = 6;
const SECTOR = 512;

/** The header of an image. Sizes and offsets are in bytes. Source: spec/qcow2-bitmaps.md section 1. */
export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** Bytes of the disk: whole sectors, as QEMU counts. */
  readonly virtualSize: number;
  /** Where the backing file's name lies, which is also where the extensions end at the latest; 0 where there is none. */
  readonly backingOffset: number;
  readonly backingLength: number;
  readonly encryption: 'none' | 'aes' | 'luks';
  /** Entries of the active L1 table, 8 bytes each. */
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  /** Feature words, exactly; all zero in version 2. */
  readonly incompatible: bigint;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  /** Bits of one refcount: 1 to 64. */
  readonly refcountBits: number;
  readonly headerLength: number;
  /** As the byte says: 0 zlib, 1 zstd. */
  readonly compressionType: number;
}

/**
 * Reads the header of an image.
 * @param bytes the first {@link HEADER_READ} bytes of the file, or all of a shorter one.
 * @throws DirtyBitmapError `qcow2-magic`, `truncated`, `u64-too-large`, or the rule of section 1 or 2 that is broken.
 */
export function parseHeader(bytes: Uint8Array): Qcow2Header {
  if (bytes.length < 4 || readU32(bytes, 0) !== MAGIC) {
    const found = [...bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw refused('qcow2-magic', 0, 'magic', `expected 51 46 49 fb, found ${found || 'nothing'}; give a qcow2 image`);
  }
  requireBytes(bytes, HEADER_BYTES_V2);
  const version = readU32(bytes, 4);
  if (version !== 2 && version !== 3) {
    throw refused('qcow2-version', 4, 'version', `expected 2 or 3, found ${version}; convert it with qemu-img`);
  }
  const clusterBits = inRange(bytes, 20, 'cluster_bits', 'qcow2-cluster-bits', MIN_CLUSTER_BITS, MAX_CLUSTER_BITS);
  const clusterSize = 2 ** clusterBits;
  const aligned = (at: number, name: string, code: Code) => alignedOffset(bytes, at, name, code, clusterSize);
  const maxTable = MAX_REFCOUNT_TABLE / clusterSize;
  const crypt = inRange(bytes, 32, 'crypt_method', 'qcow2-crypt-method', 0, 2);
  const size = readU64(bytes, 24, 24, 'header.size');
  const more = version === 2 ? VERSION_2 : parseVersion3(bytes, clusterSize);
  return {
    ...{ version, clusterBits, clusterSize },
    virtualSize: size - (size % SECTOR),
    ...parseBacking(bytes, clusterSize, more.headerLength),
    encryption: (['none', 'aes', 'luks'] as const)[crypt as 0 | 1 | 2],
    l1Entries: readU32(bytes, 36),
    l1Offset: aligned(40, 'l1_table_offset', 'qcow2-l1-offset'),
    refcountTableOffset: aligned(48, 'refcount_table_offset', 'qcow2-refcount-table-offset'),
    refcountTableClusters: inRange(bytes, 56, 'refcount_table_clusters', 'qcow2-refcount-table-size', 1, maxTable),
    snapshotCount: inRange(bytes, 60, 'nb_snapshots', 'qcow2-snapshot-count', 0, MAX_SNAPSHOTS),
    snapshotsOffset: aligned(64, 'snapshots_offset', 'qcow2-snapshots-offset'),
    ...more,
  };
}

type Version3Fields = Pick<
  Qcow2Header,
  'incompatible' | 'compatible' | 'autoclear' | 'refcountBits' | 'headerLength' | 'compressionType'
>;

/** What version 2 stands for: it has no feature words, and refcounts of 16 bits. */
const VERSION_2: Version3Fields = {
  ...{ incompatible: 0n, compatible: 0n, autoclear: 0n },
  ...{ refcountBits: 16, headerLength: HEADER_BYTES_V2, compressionType: 0 },
};

function parseVersion3(bytes: Uint8Array, clusterSize: number): Version3Fields {
  requireBytes(bytes, HEADER_BYTES_V3);
  const incompatible = word(bytes, 72);
  const unknown = incompatible & ~KNOWN_INCOMPATIBLE;
  if (unknown !== 0n) {
    const found = `expected bits 0 to 4 only, found 0x${unknown.toString(16)} besides`;
    const advice = 'the image needs a newer program to read it';
    throw refused('qcow2-incompatible-unknown', 72, 'incompatible_features', `${found}; ${advice}`);
  }
  const headerLength = readU32(bytes, 100);
  if (headerLength < HEADER_BYTES_V3 || headerLength % 8 !== 0 || headerLength > clusterSize) {
    const expected = `expected a multiple of 8 from ${HEADER_BYTES_V3} to ${clusterSize}`;
    throw refused('qcow2-header-length', 100, 'header_length', `${expected}, found ${headerLength}; ${DAMAGED}`);
  }
  return {
    incompatible,
    compatible: word(bytes, 80),
    autoclear: word(bytes, 88),
    refcountBits: 2 ** inRange(bytes, 96, 'refcount_order', 'qcow2-refcount-order', 0, MAX_REFCOUNT_ORDER),
    headerLength,
    compressionType: headerLength > HEADER_BYTES_V3 ? (bytes[HEADER_BYTES_V3] ?? 0) : 0,
  };
}

function parseBacking(
  bytes: Uint8Array,
  clusterSize: number,
  headerLength: number,
): Pick<Qcow2Header, 'backingOffset' | 'backingLength'> {
  const backingOffset = readU64(bytes, 8, 8, 'header.backing_file_offset');
  if (backingOffset === 0) return { backingOffset, backingLength: 0 };
  if (backingOffset < headerLength || backingOffset > clusterSize) {
    const found = `expected 0, or ${headerLength} to ${clusterSize}, found ${backingOffset}`;
    throw refused('qcow2-backing-offset', 8, 'backing_file_offset', `${found}; ${DAMAGED}`);
  }
  const max = Math.min(MAX_BACKING_NAME, clusterSize - backingOffset);
  return { backingOffset, backingLength: inRange(bytes, 16, 'backing_file_size', 'qcow2-backing-size', 0, max) };
}

const DAMAGED = 'the header is damaged';

function inRange(bytes: Uint8Array, at: number, name: string, code: Code, min: number, max: number): number {
  const value = readU32(bytes, at);
  if (value >= min && value <= max) return value;
  throw refused(code, at, name, `expected ${min} to ${max}, found ${value}; ${DAMAGED}`);
}

function alignedOffset(bytes: Uint8Array, at: number, name: string, code: Code, clusterSize: number): number {
  const value = readU64(bytes, at, at, `header.${name}`);
  if (value % clusterSize === 0) return value;
  throw refused(code, at, name, `expected a multiple of the cluster size ${clusterSize}, found ${value}; ${DAMAGED}`);
}

/** A feature word, which is bits and no number. */
function word(bytes: Uint8Array, at: number): bigint {
  return (BigInt(readU32(bytes, at)) << 32n) | BigInt(readU32(bytes, at + 4));
}

function requireBytes(bytes: Uint8Array, count: number): void {
  if (bytes.length >= count) return;
  const found = `expected a header of at least ${count} bytes, the file ends after ${bytes.length}`;
  throw new DirtyBitmapError('truncated', `${found}; the image is cut off`, { offset: bytes.length, path: 'header' });
}

function refused(code: Code, offset: number, name: string, text: string): DirtyBitmapError {
  const path = `header.${name}`;
  return new DirtyBitmapError(code, `${path}: ${text}`, { offset, path });
}
