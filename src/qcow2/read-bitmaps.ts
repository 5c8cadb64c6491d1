import type { Bitmap, MemoryBudget } from '../bitmap/bitmap.js';
import { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { Limits } from '../limits.js';
import { bitsBytes, bitsSteps } from './bits.js';
import { BITMAP_FLAG, bitmapPath, type DirectoryEntry } from './directory.js';
import type { Qcow2Bitmap } from './image.js';
import { addTrustFinding } from './image-findings.js';
import { ownershipSteps, type StoredBitmaps } from './ownership.js';
import type { Steps } from './random-access.js';
import type { ScannedImage } from './references.js';
import { BITMAP_BROKEN, type BitmapTable, tableSteps, WORD } from './table.js';
import { carriesBits, granularityOf, type Trust, trustOf } from './trust.js';

/** How the bitmaps of an image are read. */
export interface ReadBitmapsOptions {
  readonly limits: Limits;
  readonly findings: Findings;
  /** Whether a writer has the image open; undefined where nobody knows. */
  readonly writerPresent: boolean | undefined;
  /** Whether all tables of the image are read for other uses of the bitmaps' clusters. */
  readonly scanReferences: boolean;
}

/**
 * Reads the bitmaps of a directory: tables, then the proof that their clusters are theirs, then bits. What is wrong with
 * one bitmap is its fault and an error among the findings; the others are read.
 * @throws DirtyBitmapError `limit`; what ownershipSteps throws against the directory itself.
 */
export function* bitmapsSteps(
  image: ScannedImage,
  directory: Omit<StoredBitmaps, 'tables'>,
  options: ReadBitmapsOptions,
): Steps<Qcow2Bitmap[]> {
  const { entries } = directory;
  const { limits, findings } = options;
  const trust = entries.map((entry) => trustOf(entry, options.writerPresent));
  const readable = (index: number): boolean => carriesBits(trust[index] as Trust);
  const { tables, faults } = yield* allTables(image, entries, limits, readable);
  if (entries.some((_, index) => readable(index) && tables.has(index))) {
    const doubts = yield* ownershipSteps(image, { ...directory, tables }, limits, options.scanReferences);
    for (const [index, doubt] of doubts) if (!faults.has(index)) faults.set(index, doubt);
  }
  const wanted = entries.map((_, index) => (readable(index) && !faults.has(index) ? tables.get(index) : undefined));
  requireStoredBits(wanted, image.header.clusterSize, limits);
  const memory: MemoryBudget = { used: 0, max: limits.maxBitmapMemory };
  const bitmaps: Qcow2Bitmap[] = [];
  for (const [index, entry] of entries.entries()) {
    const table = wanted[index];
    let bits: Bitmap | undefined;
    if (table !== undefined) {
      const read = yield* bitsSteps(entry, table, image.header, memory);
      bits = read.bits;
      if (read.pastEnd) addPastEnd(entry, table, findings);
    }
    const fault = faults.get(index);
    if (readable(index)) {
      if (fault !== undefined) findings.addError(fault);
    } else {
      addTrustFinding(entry, trust[index] as Trust, findings);
      if (fault !== undefined) findings.add('qcow2-unread-broken', fault.message, fault.offset);
    }
    const damaged = readable(index) && fault !== undefined;
    bitmaps.push(
      bitmapOf(entry, damaged ? 'damaged' : (trust[index] as Trust), { table: tables.get(index), fault, bits }),
    );
  }
  return bitmaps;
}

/** What the directory says of a bitmap, and what was read of it. */
export function bitmapOf(
  entry: DirectoryEntry,
  trust: Trust,
  read: Pick<Qcow2Bitmap, 'table' | 'fault' | 'bits'>,
): Qcow2Bitmap {
  return {
    name: entry.name,
    granularity: granularityOf(entry),
    trust,
    auto: (entry.flags & BITMAP_FLAG.AUTO) !== 0,
    inUse: (entry.flags & BITMAP_FLAG.IN_USE) !== 0,
    entry,
    ...read,
  };
}

/** The tables that can be read, by number of the entry, and why the others cannot. */
function* allTables(
  { header, fileSize }: ScannedImage,
  entries: readonly DirectoryEntry[],
  limits: Limits,
  readable: (index: number) => boolean,
): Steps<{ tables: Map<number, BitmapTable>; faults: Map<number, DirtyBitmapError> }> {
  const tables = new Map<number, BitmapTable>();
  const faults = new Map<number, DirtyBitmapError>();
  const bytes = entries.reduce((sum, entry) => sum + entry.tableEntries * WORD, 0);
  if (bytes > limits.maxBitmapTableBytes) {
    const found = `the tables of the bitmaps have ${bytes} bytes, over the limit of ${limits.maxBitmapTableBytes}`;
    throw new DirtyBitmapError('limit', `${found}; raise maxBitmapTableBytes`, { offset: entries[0]?.offset ?? 0 });
  }
  for (const [index, entry] of entries.entries()) {
    try {
      // One that is in use may be of another size: the disk was resized, or the writer ended.
      if (readable(index)) requireLength(entry, header);
      tables.set(index, yield* tableSteps(entry, { clusterSize: header.clusterSize, fileSize }));
    } catch (error) {
      // The end of the file inside a range that lay in it is no fault of the bitmap: the file has changed.
      if (!(error instanceof DirtyBitmapError) || error.code === 'truncated') throw error;
      faults.set(index, error);
    }
  }
  return { tables, faults };
}

function requireLength(entry: DirectoryEntry, header: ScannedImage['header']): void {
  const expected = Math.ceil(bitsBytes(entry, header.virtualSize) / header.clusterSize);
  if (entry.tableEntries === expected) return;
  const found = `expected a table of ${expected} words for a disk of ${header.virtualSize} bytes, found ${entry.tableEntries}`;
  const message = `${bitmapPath(entry)}: ${found}; QEMU does not open such an image; ${BITMAP_BROKEN}`;
  throw new DirtyBitmapError('qcow2-table-length', message, { offset: entry.offset + 8, path: bitmapPath(entry) });
}

/** Bytes that a cluster of bits counts for at least: each may have to be read by itself. */
const LEAST = 4096;

function requireStoredBits(tables: readonly (BitmapTable | undefined)[], clusterSize: number, limits: Limits): void {
  const bytes = tables.reduce((sum, table) => sum + (table?.kinds.data ?? 0) * Math.max(LEAST, clusterSize), 0);
  if (bytes <= limits.maxStoredBitsBytes) return;
  const found = `the bitmaps have ${bytes} bytes of stored bits, over the limit of ${limits.maxStoredBitsBytes}`;
  throw new DirtyBitmapError('limit', `${found}; raise maxStoredBitsBytes`);
}

function addPastEnd(entry: DirectoryEntry, table: BitmapTable, findings: Findings): void {
  const message = `${bitmapPath(entry)}: expected zero bits past the end of the disk, found others; they are ignored`;
  findings.add('bits-past-end', message, table.words.at(-1));
}
