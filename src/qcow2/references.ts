import { Bitmap } from '../bitmap/bitmap.js';
import { MIN_GRANULARITY } from '../bitmap/granularity.js';
import { joinU64, readU16, readU32 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { INCOMPATIBLE, type Qcow2Header } from './header.js';
import type { ByteRange, Steps } from './random-access.js';
import { WORD } from './table.js';

/** What refers to bytes of the file. */
type ReferenceKind =
  | 'the header'
  | 'the encryption header'
  | 'the refcount table'
  | 'a refcount block'
  | 'the snapshot table'
  | 'an L1 table'
  | 'an L2 table'
  | 'guest data'
  | 'compressed guest data';

/** Called with bytes of the file, from `start` to `end`, what uses them, and the offset of the field that says so. */
export type OnReference = (start: number, end: number, kind: ReferenceKind, where: number) => void;

/** What the scan needs to know of an image. */
export interface ScannedImage {
  readonly header: Qcow2Header;
  readonly fileSize: number;
  /** Where the encryption header lies; undefined without one. */
  readonly cryptoHeader: ByteRange | undefined;
}

/** Bytes of one read, where tables are longer. */
const PIECE = 1024 * 1024;
/** Bytes that a read counts for at least. */
const LEAST = 16 * 1024;
/** Bytes of memory for what was read already. */
const SEEN_MEMORY = 128 * 1024 * 1024;
/** Bytes of a snapshot's entry before its extra data, id and name. */
const SNAPSHOT_HEAD = 40;
/** Where the fields are that tell where things lie. */
const AT = { L1_OFFSET: 40, REFCOUNT_TABLE: 48, SNAPSHOTS: 64 };

/**
 * Tells everything in an image that refers to clusters of the file, but for bitmaps: the full scan of section 9 P0 of
 * spec/qcow2-bitmaps.md. It reads every L2 table (8 bytes for each cluster of the disk, and of its snapshots), each once
 * and some at a time; what lies beyond the end of the file is left out, because QEMU reads zeroes there.
 * @throws DirtyBitmapError `limit` where more than `maxReferenceBytes` would be read, `qcow2-snapshots-outside`.
 */
export function* referenceSteps(image: ScannedImage, limits: Limits, onReference: OnReference): Steps<void> {
  const { header, cryptoHeader } = image;
  const scan = new Scan(image, limits, onReference);
  onReference(0, header.clusterSize, 'the header', 0);
  if (cryptoHeader !== undefined) {
    const { offset, length } = cryptoHeader;
    onReference(offset, offset + length, 'the encryption header', 0);
  }
  yield* scan.refcounts();
  yield* scan.l1(header.l1Offset, header.l1Entries, AT.L1_OFFSET);
  yield* scan.snapshots();
}

class Scan {
  readonly #header: Qcow2Header;
  readonly #fileSize: number;
  readonly #maxBytes: number;
  readonly #onReference: OnReference;
  /** Clusters whose L2 table was read, each as one bit: snapshots share most of them. */
  readonly #seen: Bitmap;
  readonly #entrySize: number;
  #bytesRead = 0;

  constructor({ header, fileSize }: ScannedImage, limits: Limits, onReference: OnReference) {
    this.#header = header;
    this.#fileSize = fileSize;
    this.#maxBytes = limits.maxReferenceBytes;
    this.#onReference = onReference;
    this.#seen = new Bitmap(MIN_GRANULARITY, {
      memory: { used: 0, max: Math.min(SEEN_MEMORY, limits.maxBitmapMemory) },
    });
    this.#entrySize = (header.incompatible & INCOMPATIBLE.EXTENDED_L2) === 0n ? WORD : 2 * WORD;
  }

  *refcounts(): Steps<void> {
    const { refcountTableOffset: start, refcountTableClusters, clusterSize } = this.#header;
    const length = refcountTableClusters * clusterSize;
    this.#onReference(start, start + length, 'the refcount table', AT.REFCOUNT_TABLE);
    for (const range of this.#pieces(start, length)) {
      const bytes = yield range;
      for (let at = 0; at + WORD <= bytes.length; at += WORD) {
        const block = offsetIn(bytes, at);
        if (block !== 0) this.#onReference(block, block + clusterSize, 'a refcount block', range.offset + at);
      }
    }
  }

  *snapshots(): Steps<void> {
    const { snapshotCount, snapshotsOffset } = this.#header;
    let at = snapshotsOffset;
    for (let index = 0; index < snapshotCount; index++) {
      this.#requireInFile(at + SNAPSHOT_HEAD, index);
      const head = yield this.#counted({ offset: at, length: SNAPSHOT_HEAD });
      const l1Offset = joinU64(readU32(head, 0), readU32(head, 4));
      const l1Entries = readU32(head, 8);
      const size = SNAPSHOT_HEAD + readU32(head, 36) + readU16(head, 12) + readU16(head, 14);
      this.#requireInFile(at + size, index);
      yield* this.l1(l1Offset, l1Entries, at);
      at += Math.ceil(size / 8) * 8;
    }
    if (snapshotCount > 0) this.#onReference(snapshotsOffset, at, 'the snapshot table', AT.SNAPSHOTS);
  }

  /** An L1 table and all that it leads to; `where` is the offset of the field that tells of it. */
  *l1(offset: number, entries: number, where: number): Steps<void> {
    if (entries === 0) return;
    const { clusterSize } = this.#header;
    this.#onReference(offset, offset + entries * WORD, 'an L1 table', where);
    for (const range of this.#pieces(offset, entries * WORD)) {
      const bytes = yield range;
      const tables: number[] = [];
      for (let at = 0; at + WORD <= bytes.length; at += WORD) {
        const table = offsetIn(bytes, at);
        if (table === 0) continue;
        this.#onReference(table, table + clusterSize, 'an L2 table', range.offset + at);
        if (this.#isNew(table)) tables.push(table);
      }
      // Guest data of an external data file lies there, not here.
      if ((this.#header.incompatible & INCOMPATIBLE.DATA_FILE) === 0n) yield* this.#l2Tables(tables);
    }
  }

  *#l2Tables(offsets: readonly number[]): Steps<void> {
    const { clusterSize } = this.#header;
    const sorted = Float64Array.from(offsets).sort();
    for (let index = 0; index < sorted.length; ) {
      const offset = sorted[index++] as number;
      let end = offset + clusterSize;
      // Neighbours are read in one go: with small clusters there are very many tables.
      while (sorted[index] === end && end + clusterSize - offset <= PIECE) {
        end += clusterSize;
        index++;
      }
      const length = Math.min(end, this.#fileSize) - offset;
      this.#l2Entries(yield this.#counted({ offset, length }), offset);
    }
  }

  #l2Entries(bytes: Uint8Array, base: number): void {
    const { clusterBits, clusterSize } = this.#header;
    // The offset of compressed data has fewer bits, the larger clusters are; above it is the number of further sectors.
    const sectorShift = 70 - clusterBits - 32;
    for (let at = 0; at + WORD <= bytes.length; at += this.#entrySize) {
      const high = readU32(bytes, at);
      if ((high & COMPRESSED) === 0) {
        const data = offsetIn(bytes, at);
        if (data !== 0) this.#onReference(data, data + clusterSize, 'guest data', base + at);
        continue;
      }
      const start = joinU64(high & (2 ** sectorShift - 1), readU32(bytes, at + 4));
      const sectors = (high & COUNT_MASK) >>> sectorShift;
      const end = start - (start % SECTOR) + (sectors + 1) * SECTOR;
      this.#onReference(start, end, 'compressed guest data', base + at);
    }
  }

  /** Whether an L2 table can be read and was not read yet. QEMU does not use one that is not aligned. */
  #isNew(table: number): boolean {
    const { clusterSize } = this.#header;
    if (table % clusterSize !== 0 || table >= this.#fileSize) return false;
    const bit = (table / clusterSize) * MIN_GRANULARITY;
    if (this.#seen.get(bit)) return false;
    this.#seen.set(bit);
    return true;
  }

  /** The part of a table that lies in the file, in pieces. */
  *#pieces(offset: number, length: number): Generator<ByteRange, void, void> {
    const end = Math.min(offset + length, this.#fileSize);
    for (let at = offset; at < end; at += PIECE) yield this.#counted({ offset: at, length: Math.min(PIECE, end - at) });
  }

  #counted(range: ByteRange): ByteRange {
    // A short read costs as much as one of some length.
    this.#bytesRead += Math.max(LEAST, range.length);
    if (this.#bytesRead <= this.#maxBytes) return range;
    const message =
      `to prove that nothing else uses the clusters of the bitmaps, more than ${this.#maxBytes} bytes of tables would ` +
      'have to be read; raise maxReferenceBytes, or read without this proof';
    throw new DirtyBitmapError('limit', message, { offset: range.offset });
  }

  #requireInFile(end: number, index: number): void {
    if (end <= this.#fileSize) return;
    const found = `expected entry ${index} of the snapshot table inside the file of ${this.#fileSize} bytes`;
    const message = `${found}, found that it ends at ${end}; the image is cut off or damaged: qemu-img check tells`;
    throw new DirtyBitmapError('qcow2-snapshots-outside', message, { offset: AT.SNAPSHOTS });
  }
}

/** Of the upper half of an L2 entry: bit 62 says that the data is compressed, bits 62 and 63 are no count. */
const COMPRESSED = 0x4000_0000;
const COUNT_MASK = 0x3fff_ffff;
const SECTOR = 512;

/** Bits 9 to 55 of a table word: an offset in bytes. Above 2^53 it is not exact, and beyond any file. */
function offsetIn(bytes: Uint8Array, at: number): number {
  return joinU64(readU32(bytes, at) & 0x00ff_ffff, (readU32(bytes, at + 4) & 0xffff_fe00) >>> 0);
}
