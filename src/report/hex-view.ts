import { nameFromBytes, toHex } from '../bytes/text.js';
import type { ChunkPlace } from '../capture/timeline.js';
import { ChunkCursor, SECTOR } from '../chunk/chunk-cursor.js';
import { FLAG } from '../chunk/flags.js';
import { DirtyBitmapError } from '../errors.js';
import type { Finding } from '../findings.js';
import { DEFAULT_LIMITS } from '../limits.js';

/** Bytes that are to be read before they can be shown; offsets in bytes of the input. */
export interface HexPlace {
  readonly title: string;
  readonly offset: number;
  /** Bytes to read: fewer are there at the end of the input. */
  readonly length: number;
  /** Where a chunk begins that is to be explained; null where there is none. */
  readonly chunk: number | null;
  /** The byte that it is about; null where that is the chunk. */
  readonly mark: number | null;
}

/** A field of what is shown. Offsets and lengths in bytes. */
export interface HexField {
  readonly offset: number;
  readonly length: number;
  readonly name: string;
  readonly value: string;
}

/** Bytes with what they mean. Plain data. */
export interface HexView {
  readonly title: string;
  /** Of the first byte that is shown. */
  readonly offset: number;
  /** The bytes, two digits each. */
  readonly hex: string;
  readonly mark: number | null;
  readonly fields: readonly HexField[];
}

/** Bytes shown of a place. */
const SHOWN = 96;
/** A chunk's header is no longer: flags, two names, numbers. */
const HEADER = 640;
const ROW = 16;
/** Findings that are shown with their bytes. */
const MAX_FINDINGS = 20;

/** Findings of a dirty-bitmap section are told at the first byte of their chunk: all but those of the stream around it. */
const CHUNK_RULE =
  /^(name-|flags-|granularity-invalid|start-flags-|bits-|sector-|started-twice|never-started|completed-twice|complete-missing|chunk-|source-loops)/;

/**
 * Which bytes of an input are worth showing: where its findings are, then its first chunks. Decided before anything is
 * read, so that whoever has the input reads just these.
 * @param start where the input begins, in bytes.
 */
export function planHex(chunks: readonly ChunkPlace[], findings: readonly Finding[], start = 0): HexPlace[] {
  const places: HexPlace[] = [];
  const byOffset = new Map<number, Finding[]>();
  for (const finding of findings) {
    if (finding.offset === undefined) continue;
    const there = byOffset.get(finding.offset);
    if (there !== undefined) there.push(finding);
    else if (byOffset.size < MAX_FINDINGS) byOffset.set(finding.offset, [finding]);
  }
  for (const [mark, there] of byOffset) {
    const offset = Math.max(start, mark - (mark % ROW) - ROW);
    const chunk = there.some(({ code }) => CHUNK_RULE.test(code)) ? mark : null;
    const title = [...new Set(there.map(({ severity, code }) => `${severity} ${code}`))].slice(0, 8).join(', ');
    places.push({ title, offset, length: mark - offset + HEADER, chunk, mark });
  }
  for (const { offset } of chunks) places.push({ title: '', offset, length: HEADER, chunk: offset, mark: null });
  return places;
}

/** The places of the chunks of a bare section, as far as its first bytes go. */
export function sectionChunks(bytes: Uint8Array, offset: number): ChunkPlace[] {
  const places: ChunkPlace[] = [];
  const cursor = new ChunkCursor();
  for (let at = 0; places.length < MAX_SECTION_CHUNKS; ) {
    const header = readHeader(cursor, bytes, at, offset + at);
    if (header === undefined) break;
    places.push({ offset: offset + at, length: header + cursor.size });
    at += header + cursor.size;
  }
  return places;
}

const MAX_SECTION_CHUNKS = 8;

/**
 * The bytes of a place, explained.
 * @param bytes those at the place's offset, as many as there are; undefined where there are none.
 */
export function hexView({ title, offset, chunk, mark }: HexPlace, bytes: Uint8Array): HexView | undefined {
  if (bytes.length === 0) return undefined;
  const fields = chunk === null ? [] : chunkFields(bytes, chunk - offset, chunk);
  const [first] = fields;
  const shown = bytes.subarray(0, SHOWN);
  const kind = chunk !== null && mark === null && first !== undefined ? `chunk ${first.value}` : title;
  return { title: kind, offset, hex: toHex(shown), mark, fields };
}

/** The fields of the chunk at `pos`; none where there is no chunk that can be read. */
function chunkFields(bytes: Uint8Array, pos: number, offset: number): HexField[] {
  const cursor = new ChunkCursor();
  const header = readHeader(cursor, bytes, pos, offset);
  if (header === undefined) return [];
  const fields: HexField[] = [];
  let at = offset;
  const add = (length: number, name: string, value: string): void => {
    if (length > 0) fields.push({ offset: at, length, name, value });
    at += length;
  };
  const { kind, nodeStart, nodeEnd, bitmapStart, bitmapEnd } = cursor;
  add(cursor.flagsWidth, 'flags', `0x${cursor.flags.toString(16).padStart(2, '0')} ${flagNames(cursor.flags)}`);
  if (nodeStart >= 0) named('node', cursor.bytes.subarray(nodeStart, nodeEnd), add);
  if (bitmapStart >= 0) named('bitmap', cursor.bytes.subarray(bitmapStart, bitmapEnd), add);
  if (kind === 'start') {
    add(4, 'granularity', `${cursor.granularity} bytes`);
    add(1, 'start flags', startFlags(cursor.startFlags));
  } else if (kind === 'bits' || kind === 'zeroes') {
    const { firstSector, sectorCount } = cursor;
    add(8, 'first sector', `${firstSector}, byte ${firstSector * SECTOR} of the disk`);
    add(4, 'sectors', `${sectorCount}, ${sectorCount * SECTOR} bytes of the disk`);
    if (kind === 'bits') {
      add(8, 'size', `${cursor.size} bytes of bits`);
      add(cursor.size, 'bits', 'one bit a granule, least significant first');
    }
  }
  return fields;
}

/** Bytes of the header at `pos`, or undefined. */
function readHeader(cursor: ChunkCursor, bytes: Uint8Array, pos: number, offset: number): number | undefined {
  if (pos < 0 || pos >= bytes.length) return undefined;
  try {
    const header = cursor.read(bytes, pos, bytes.length, offset, DEFAULT_LIMITS.maxBitsBytes);
    return header > 0 ? header : undefined;
  } catch (error) {
    if (error instanceof DirtyBitmapError) return undefined;
    throw error;
  }
}

function named(what: string, bytes: Uint8Array, add: (length: number, name: string, value: string) => void): void {
  add(1, `length of ${what}`, String(bytes.length));
  add(bytes.length, what, nameFromBytes(bytes).text);
}

function flagNames(flags: number): string {
  const names = Object.entries(FLAG).flatMap(([name, bit]) => ((flags & bit) === 0 ? [] : [name]));
  return names.length === 0 ? 'none' : names.reverse().join(' ');
}

function startFlags(flags: number): string {
  const names = [(flags & 1) !== 0 ? 'recording' : 'disabled', (flags & 2) !== 0 ? 'persistent' : 'transient'];
  return `0x${flags.toString(16).padStart(2, '0')} ${names.join(', ')}`;
}
