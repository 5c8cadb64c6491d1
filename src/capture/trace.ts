import { ByteWriter } from '../bytes/byte-writer.js';
import { nameFromBytes } from '../bytes/text.js';
import { readU32 } from '../bytes/u64.js';
import { type BadChunkEvent, ChunkCollector, type ChunkEvent } from '../chunk/chunk-collector.js';
import type { Deviation } from '../chunk/deviation.js';
import { type ChunkInput, writeChunk } from '../chunk/encode-chunk.js';
import type { FlagsWidth } from '../chunk/flags.js';
import { type SectionOptions, SectionParser } from '../chunk/section-decoder.js';
import { DirtyBitmapError } from '../errors.js';
import type { Finding } from '../findings.js';
import { type CaptureEvent, EventCollector } from './capture-decoder.js';
import { type CaptureOptions, CaptureParser } from './capture-parser.js';
import { writeCommand, writeFooter, writeHeader, writeSectionHeader } from './encode-items.js';
import type { SectionType } from './items.js';

/** A chunk in a trace. What a kind has not is undefined. */
export interface TraceChunk {
  readonly type: 'chunk';
  /** Bytes from the start of the input. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  readonly kind: 'start' | 'complete' | 'bits' | 'zeroes' | 'bare';
  /** As they stand there: see {@link FLAG}. */
  readonly flags: number;
  /** Bytes that they stand in. */
  readonly flagsWidth: FlagsWidth;
  /** Names as the chunk carries them, raw; undefined where it means those of the chunk before. */
  readonly node?: Uint8Array;
  readonly bitmap?: Uint8Array;
  /** Bytes. */
  readonly granularity?: number;
  /** The byte behind the granularity of a START chunk. */
  readonly startFlags?: number;
  /** Sectors of 512 bytes. */
  readonly firstSector?: number;
  readonly sectorCount?: number;
  /** Of a BITS chunk: little-endian words, the first bit the lowest. */
  readonly data?: Uint8Array;
  /** What is not as QEMU writes it. */
  readonly deviations?: readonly Deviation[];
}

/**
 * One item of a trace. The items of a trace follow each other without a gap, from the first byte of the input to the
 * last, and {@link encodeTraceItem} makes each into the bytes it was; a `finding` stands for no bytes.
 */
export type TraceItem =
  | TraceChunk
  | { readonly type: 'header'; readonly offset: number; readonly length: number; readonly version: number }
  | {
      readonly type: 'section';
      readonly offset: number;
      readonly length: number;
      readonly sectionType: SectionType;
      readonly id: number;
      readonly name: string;
      readonly instance: number;
      readonly version: number;
    }
  | { readonly type: 'footer'; readonly offset: number; readonly length: number; readonly id: number }
  | {
      readonly type: 'command';
      readonly offset: number;
      readonly length: number;
      readonly id: number;
      readonly name: string;
      readonly data: Uint8Array;
    }
  | { readonly type: 'end'; readonly offset: number; readonly length: number }
  /** Anything else: RAM, devices, a package, the vmdesc, what is malformed. */
  | { readonly type: 'bytes'; readonly offset: number; readonly length: number; readonly data: Uint8Array }
  | ({ readonly type: 'finding' } & Finding);

/** Most bytes of one `bytes` item. */
const RAW_BYTES = 64 * 1024;

/** An event that stands for bytes. */
interface Placed {
  readonly event: Exclude<CaptureEvent | ChunkEvent, { type: 'finding' | 'bad-chunk' }>;
  readonly offset: number;
  readonly length: number;
}

/** How an input is traced. */
export type TraceOptions = CaptureOptions & SectionOptions & { readonly format?: 'capture' | 'section' };

/**
 * Takes a capture (or a bare section) apart into items that together are all of its bytes, in order. Whatever cannot be
 * told as more is told as `bytes`, so that nothing is ever lost: not what is malformed, not what was cut.
 * @example
 * const tracer = new Tracer();
 * for (const item of tracer.push(bytes)) out.push(encodeTraceItem(item));
 * for (const item of tracer.finish()) out.push(encodeTraceItem(item)); // out is all of the input
 */
export class Tracer {
  readonly #parser: CaptureParser | SectionParser;
  readonly #chunks: ChunkCollector;
  /** Bytes that no item stands for yet, from `#covered` on, are `#buffer[#start..#end)`. */
  #buffer: Uint8Array = new Uint8Array(2 * RAW_BYTES);
  #start = 0;
  #end = 0;
  /** Offset up to which items were given. */
  #covered: number;
  /** An event of which not all bytes are there yet: a command with a long payload. */
  #held: Placed | undefined;
  #stopped = false;
  #items: TraceItem[] = [];
  readonly #scratch = new ByteWriter(512);

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: TraceOptions = {}) {
    // Events are taken as they arise, because where the parser stands then is the same however the input is cut.
    const emit = (event: CaptureEvent | ChunkEvent | BadChunkEvent): void => this.#event(event);
    if (options.format === 'section') {
      this.#chunks = new ChunkCollector(emit);
      this.#parser = new SectionParser(this.#chunks, options);
    } else {
      const collector = new EventCollector(emit);
      this.#chunks = collector.chunks;
      this.#parser = new CaptureParser(collector, options);
    }
    this.#covered = options.offset ?? 0;
  }

  /** The items that are complete now. They are the caller's to keep. */
  push(piece: Uint8Array): TraceItem[] {
    this.#keep(piece);
    if (this.#held !== undefined) this.#place(this.#held);
    // The parser sees the copy, so that the data of chunks can be looked at until they are items.
    const copy = this.#buffer.subarray(this.#end - piece.length, this.#end);
    this.#run(() => this.#parser.push(copy));
    const settled = this.#held?.offset ?? this.#chunks.pendingOffset ?? this.#parser.offset;
    this.#settle(this.#stopped ? this.#covered + this.#kept : settled);
    return this.#take();
  }

  /** Says that the input ends here, and gives the last items. */
  finish(): TraceItem[] {
    this.#held = undefined;
    this.#run(() => this.#parser.finish());
    this.#rawTo(this.#covered + this.#kept);
    return this.#take();
  }

  #run(step: () => void): void {
    if (this.#stopped) return;
    try {
      step();
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      this.#stopped = true;
      const { code, message, offset } = error;
      this.#finding({ severity: 'error', code, message, ...(offset !== undefined && { offset }) }, this.#parser.offset);
    }
  }

  #take(): TraceItem[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }

  #event(event: CaptureEvent | ChunkEvent | BadChunkEvent): void {
    if (event.type === 'finding') {
      this.#finding(event.finding, this.#parser.offset);
    } else if (event.type === 'bad-chunk') {
      const { code, message, offset } = event;
      this.#finding({ severity: 'error', code, message, offset }, offset);
    } else {
      const { offset, length } = event.type === 'chunk' ? event.chunk : event;
      this.#place({ event, offset, length });
    }
  }

  /** @param at the offset up to which no item is to come. */
  #finding(finding: Finding, at: number): void {
    this.#settle(at);
    this.#items.push({ type: 'finding', ...finding });
  }

  #place(placed: Placed): void {
    const { event, offset, length } = placed;
    // What was found by searching is told late, and its bytes may have been given: then they stay bytes.
    if (offset + length < this.#parser.offset) this.#settle(this.#parser.offset);
    if (length === 0 || offset < this.#covered) return;
    const from = offset - this.#covered;
    this.#held = from + length > this.#kept ? placed : undefined;
    if (this.#held !== undefined) return;
    const bytes = this.#buffer.subarray(this.#start + from, this.#start + from + length);
    const item = itemOf(event, bytes);
    if (item === undefined || !this.#isExact(item, bytes)) return;
    this.#rawTo(offset);
    this.#items.push(item);
    this.#drop(length);
  }

  /** Whether the item stands for exactly these bytes; else they are given as bytes. */
  #isExact(item: TraceItem, bytes: Uint8Array): boolean {
    this.#scratch.reset();
    writeTraceItem(this.#scratch, item);
    const view = this.#scratch.view();
    return view.length === bytes.length && view.every((byte, at) => byte === bytes[at]);
  }

  /** Gives bytes that no item is to stand for, so that not much is kept. */
  #settle(to: number): void {
    while (to - this.#covered >= RAW_BYTES) this.#raw(this.#covered + RAW_BYTES);
  }

  /** Gives what no item stands for, up to an offset; cut the same way however the input came. */
  #rawTo(to: number): void {
    while (this.#covered < to && this.#kept > 0) this.#raw(Math.min(to, this.#covered + RAW_BYTES));
  }

  #raw(to: number): void {
    const length = Math.min(to - this.#covered, this.#kept);
    if (length <= 0) return;
    const data = this.#buffer.slice(this.#start, this.#start + length);
    this.#items.push({ type: 'bytes', offset: this.#covered, length, data });
    this.#drop(length);
  }

  #drop(length: number): void {
    this.#start += length;
    this.#covered += length;
  }

  get #kept(): number {
    return this.#end - this.#start;
  }

  /** Appends a piece; what is kept moves to the front only when the room behind it is used up. */
  #keep(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#buffer.length) {
      const need = this.#kept + piece.length;
      const room = need * 2 > this.#buffer.length ? new Uint8Array(need * 2) : this.#buffer;
      room.set(this.#buffer.subarray(this.#start, this.#end), 0);
      this.#buffer = room;
      this.#end -= this.#start;
      this.#start = 0;
    }
    this.#buffer.set(piece, this.#end);
    this.#end += piece.length;
  }
}

function itemOf(event: CaptureEvent, bytes: Uint8Array): TraceItem | undefined {
  switch (event.type) {
    case 'chunk':
      return chunkItem(event);
    case 'header':
      return { type: 'header', offset: event.offset, length: event.length, version: event.version };
    case 'section': {
      const { offset, length, sectionType, section } = event;
      return { type: 'section', offset, length, sectionType, ...section };
    }
    case 'section-end':
      return { type: 'footer', offset: event.offset, length: event.length, id: readU32(bytes, 1) };
    case 'command': {
      const { id, name } = event.command;
      return { type: 'command', offset: event.offset, length: event.length, id, name, data: bytes.slice(5) };
    }
    case 'end':
      return { type: 'end', offset: event.offset, length: event.length };
    default:
      return undefined;
  }
}

function chunkItem({ chunk }: ChunkEvent): TraceChunk {
  const { kind, offset, length, flags, flagsWidth, node, bitmap, deviations } = chunk;
  return {
    type: 'chunk',
    offset,
    length,
    kind,
    flags,
    flagsWidth,
    ...(node && { node: node.bytes }),
    ...(bitmap && { bitmap: bitmap.bytes }),
    ...(kind === 'start' && { granularity: chunk.granularity, startFlags: chunk.startFlags }),
    ...((kind === 'bits' || kind === 'zeroes') && { firstSector: chunk.firstSector, sectorCount: chunk.sectorCount }),
    ...(kind === 'bits' && { data: chunk.data.slice() }),
    ...(deviations.length > 0 && { deviations }),
  };
}

/**
 * The bytes that an item of a trace stands for.
 * @throws DirtyBitmapError `argument` for an item that no trace has.
 */
export function encodeTraceItem(item: TraceItem): Uint8Array {
  const out = new ByteWriter();
  writeTraceItem(out, item);
  return out.finish();
}

function writeTraceItem(out: ByteWriter, item: TraceItem): void {
  switch (item.type) {
    case 'chunk':
      writeChunk(out, chunkInput(item));
      break;
    case 'header':
      writeHeader(out, item.version);
      break;
    case 'section':
      writeSectionHeader(out, item.sectionType, item);
      break;
    case 'footer':
      writeFooter(out, item.id);
      break;
    case 'command':
      writeCommand(out, item.id, item.data);
      break;
    case 'end':
      out.u8(0);
      break;
    case 'bytes':
      out.bytes(item.data);
      break;
    case 'finding':
      break;
  }
}

function chunkInput(item: TraceChunk): ChunkInput {
  const base = {
    flags: item.flags,
    flagsWidth: item.flagsWidth,
    node: item.node && nameFromBytes(item.node),
    bitmap: item.bitmap && nameFromBytes(item.bitmap),
  };
  const { kind, granularity, startFlags, firstSector, sectorCount, data } = item;
  if (kind === 'start' && granularity !== undefined && startFlags !== undefined) {
    return { kind, ...base, granularity, startFlags };
  }
  if (kind === 'bits' && firstSector !== undefined && sectorCount !== undefined && data !== undefined) {
    return { kind, ...base, firstSector, sectorCount, data };
  }
  if (kind === 'zeroes' && firstSector !== undefined && sectorCount !== undefined) {
    return { kind, ...base, firstSector, sectorCount };
  }
  if (kind === 'complete' || kind === 'bare') return { kind, ...base };
  throw new DirtyBitmapError('argument', `a ${kind} chunk of a trace lacks a field`);
}
