import type { ByteQueue } from '../bytes/byte-queue.js';
import { isSafeU64, joinU64, readU16, readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import type { BodyParser } from './body-parser.js';
import { PageSize } from './page-size.js';

const ZERO = 0x002;
const MEM_SIZE = 0x004;
const PAGE = 0x008;
const EOS = 0x010;
const CONTINUE = 0x020;
const XBZRLE = 0x040;
const HOOK = 0x080;
const COMPRESS_PAGE = 0x100;
const MULTIFD_FLUSH = 0x200;
const FLAGS = 0x3ff;

/** Bytes of the header that mapped-ram puts after a block's entry. */
const MAPPED_RAM_HEADER = 28;

/** What the rest of the stream tells about its RAM sections. */
export interface RamContext {
  /** Capability x-ignore-shared: every block's entry has an address. */
  ignoreShared: boolean;
  /** Capability mapped-ram: pages lie at fixed offsets of the file. */
  mappedRam: boolean;
}

/**
 * Steps over the records of `ram` sections, by their headers; pages are never copied.
 * Source: container.md section 7.
 */
export class RamParser implements BodyParser {
  readonly context: RamContext = { ignoreShared: false, mappedRam: false };
  readonly pageSize = new PageSize();
  need = 8;
  skip = 0;
  readonly #queue: ByteQueue;
  readonly #maxBlocks: number;
  readonly #blocks = new Set<string>();
  /** Bytes of RAM that the block list still has to account for. */
  #listLeft = 0;
  #listed = false;
  #inList = false;
  /** After a block's entry, and before the next, an extra field may stand that the header does not announce. */
  #maybeExtra = false;
  #named = false;

  constructor(queue: ByteQueue, limits: Limits) {
    this.#queue = queue;
    this.#maxBlocks = limits.maxRamBlocks;
  }

  run(final: boolean): boolean {
    const queue = this.#queue;
    for (;;) {
      if (this.skip > 0) {
        this.skip -= queue.skip(this.skip);
        if (this.skip > 0) return false;
      }
      if (this.#inList) {
        if (!this.#blockEntry()) return false;
        continue;
      }
      if (this.#maybeExtra) {
        if (!this.#extraAfterList()) return false;
        continue;
      }
      this.#pages();
      if (!queue.ensure(8)) return this.#wait(8);
      const done = this.#record(final);
      if (done !== undefined) return done;
    }
  }

  /** Nearly all of a capture is this one record: a page of the same block. */
  #pages(): void {
    const size = this.pageSize.known;
    if (size === undefined || !this.#named) return;
    const queue = this.#queue;
    const { bytes, end } = queue;
    let pos = queue.pos;
    const step = size + 8;
    while (
      end - pos >= 8 &&
      ((((bytes[pos + 6] as number) & 3) << 8) | (bytes[pos + 7] as number)) === (PAGE | CONTINUE)
    ) {
      pos += step;
    }
    if (pos > end) {
      this.skip = pos - end;
      pos = end;
    }
    queue.pos = pos;
    if (this.skip > 0) this.skip -= queue.skip(this.skip);
  }

  /** One record; true at the end of the body, false to wait for bytes, undefined to go on. */
  #record(final: boolean): boolean | undefined {
    if (this.skip > 0) return undefined;
    const queue = this.#queue;
    const offset = queue.offset;
    const { bytes, pos } = queue;
    const high = readU32(bytes, pos);
    const low = readU32(bytes, pos + 4);
    const flags = low & FLAGS;
    const kind = flags & ~CONTINUE;
    if (kind === EOS || kind === HOOK || kind === MULTIFD_FLUSH) {
      queue.pos += 8;
      return kind === EOS ? true : undefined;
    }
    if (kind === MEM_SIZE) return this.#beginList(high, low, offset);
    // Told before a name is waited for that need not come.
    if (kind !== ZERO && kind !== PAGE && kind !== XBZRLE && kind !== COMPRESS_PAGE) {
      throw this.#bad(`flags 0x${flags.toString(16)} of a RAM record are not one known kind`, offset);
    }
    const after = 8 + this.#blockNameLength(flags);
    if (!queue.ensure(after)) return this.#wait(after);
    // Reading the name's length needed one byte; now the whole name is there too.
    const length = 8 + this.#blockNameLength(flags);
    if (!queue.ensure(length)) return this.#wait(length);
    if (kind === ZERO) return this.#step(length + 1, flags, 0);
    if (kind === PAGE) return this.#page(length, flags, final, offset);
    return this.#sized(length, kind === XBZRLE ? 3 : 4, flags, offset);
  }

  /** Bytes of the block name that follows a record's word: 0 where it is left out, 1 where its length is not there yet. */
  #blockNameLength(flags: number): number {
    if ((flags & CONTINUE) !== 0) return 0;
    const { bytes, pos, end } = this.#queue;
    return end - pos > 8 ? 1 + (bytes[pos + 8] as number) : 1;
  }

  /** The record's fields end at `length`, and `data` bytes follow that nobody looks at. */
  #step(length: number, flags: number, data: number): false | undefined {
    if (!this.#queue.ensure(length)) return this.#wait(length);
    this.#noteBlock(flags);
    this.#queue.pos += length;
    this.skip = data;
    return undefined;
  }

  #page(length: number, flags: number, final: boolean, offset: number): false | undefined {
    const queue = this.#queue;
    let size = this.pageSize.known;
    if (size === undefined) {
      const need = this.pageSize.trial(queue, length, final);
      if (need > 0) return this.#wait(need);
      size = this.pageSize.known;
      if (size === undefined) throw this.#bad('no page size fits the RAM records', offset);
    }
    return this.#step(length, flags, size);
  }

  #sized(length: number, field: 3 | 4, flags: number, offset: number): false | undefined {
    const queue = this.#queue;
    if (!queue.ensure(length + field)) return this.#wait(length + field);
    const at = queue.pos + length;
    // XBZRLE: u8 1, u16 length. COMPRESS_PAGE: u32 length.
    const size = field === 3 ? readU16(queue.bytes, at + 1) : readU32(queue.bytes, at);
    const page = this.pageSize.known ?? this.pageSize.largest;
    const most = field === 3 ? page : page + (page >> 12) + (page >> 14) + 13;
    if (size > most || (field === 3 && queue.bytes[at] !== 1)) {
      throw this.#bad(`a compressed page of ${size} bytes, where at most ${most} are possible`, offset);
    }
    return this.#step(length + field, flags, size);
  }

  /** A record that names its block makes that the current one; every name is in the block list. */
  #noteBlock(flags: number): void {
    const queue = this.#queue;
    if ((flags & CONTINUE) !== 0) {
      if (!this.#named) throw this.#bad('a RAM record goes on with a block, and none was named before', queue.offset);
      return;
    }
    const start = queue.pos + 9;
    const name = latin1(queue.bytes, start, start + (queue.bytes[queue.pos + 8] as number));
    if (this.#listed && !this.#blocks.has(name)) {
      throw this.#bad(
        `a RAM record is for block ${JSON.stringify(name)}, which the block list does not have`,
        queue.offset,
      );
    }
    this.#named = true;
  }

  #beginList(high: number, low: number, offset: number): undefined {
    if (this.#listed) throw this.#bad('a second RAM block list', offset);
    if (!isSafeU64(high)) throw this.#bad('a RAM size above 2^53-1 bytes', offset);
    this.#queue.pos += 8;
    this.#listed = true;
    this.#listLeft = joinU64(high, low) - (low & FLAGS);
    this.#inList = this.#listLeft > 0;
    return undefined;
  }

  /** One entry of the block list: name, length, and what the capabilities add. */
  #blockEntry(): boolean {
    const queue = this.#queue;
    if (!queue.ensure(1)) return this.#wait(1);
    const { bytes, pos, offset } = { bytes: queue.bytes, pos: queue.pos, offset: queue.offset };
    const nameLength = bytes[pos] as number;
    // An extra of the block before begins with 00, a name never does (mapped-ram announces its own).
    if (nameLength === 0 && this.#blocks.size > 0 && !this.context.mappedRam) {
      if (!queue.ensure(8)) return this.#wait(8);
      queue.pos += 8;
      return true;
    }
    const extra = this.context.mappedRam ? MAPPED_RAM_HEADER + (this.context.ignoreShared ? 8 : 0) : 0;
    const length = 1 + nameLength + 8 + extra;
    if (!queue.ensure(length)) return this.#wait(length);
    const start = queue.pos + 1;
    const name = latin1(queue.bytes, start, start + nameLength);
    const used = readU64(queue.bytes, start + nameLength, offset + 1 + nameLength, 'ram.block.usedLength');
    if (nameLength === 0) throw this.#bad('a RAM block without a name', offset);
    if (used === 0 || used > this.#listLeft) {
      throw this.#bad(`block ${JSON.stringify(name)} has ${used} bytes, where 1 to ${this.#listLeft} are left`, offset);
    }
    if (this.#blocks.size >= this.#maxBlocks) {
      throw new DirtyBitmapError('limit', `more than ${this.#maxBlocks} RAM blocks; raise maxRamBlocks`, { offset });
    }
    this.#blocks.add(name);
    this.#listLeft -= used;
    this.#inList = this.#listLeft > 0;
    if (extra > 0) this.#mappedHeader(queue.pos + length - MAPPED_RAM_HEADER, offset, length, used);
    queue.pos += length;
    // A list that mapped-ram makes has its extras inside; any other may end with one more.
    this.#maybeExtra = !this.#inList && extra === 0;
    return true;
  }

  /** The header of a mapped block, after which the file goes on behind the block's pages. */
  #mappedHeader(at: number, offset: number, length: number, used: number): void {
    const { bytes } = this.#queue;
    if (readU32(bytes, at) !== 1)
      throw this.#bad(`mapped-ram header version ${readU32(bytes, at)}, expected 1`, offset);
    const pageSize = readU64(bytes, at + 4, offset, 'ram.block.pageSize');
    const pagesOffset = readU64(bytes, at + 20, offset, 'ram.block.pagesOffset');
    this.pageSize.learn(pageSize);
    // A shared block that is ignored has no pages and no gap.
    if (pagesOffset === 0) return;
    const next = offset + length;
    if (pagesOffset < next) {
      throw this.#bad(`mapped-ram pages at ${pagesOffset}, before the end of their own header at ${next}`, offset);
    }
    const skip = pagesOffset + used - next;
    if (!Number.isSafeInteger(skip)) throw this.#bad('mapped-ram pages end above 2^53-1', offset);
    this.skip = skip;
  }

  /** Behind the last entry: a word without any flag is an extra (an address or a page size), else the next record. */
  #extraAfterList(): boolean {
    const queue = this.#queue;
    if (!queue.ensure(8)) return this.#wait(8);
    if ((readU32(queue.bytes, queue.pos + 4) & FLAGS) === 0) queue.pos += 8;
    this.#maybeExtra = false;
    return true;
  }

  #wait(need: number): false {
    this.need = need;
    return false;
  }

  #bad(what: string, offset: number): DirtyBitmapError {
    return new DirtyBitmapError('ram-invalid', `${what}; the stream is damaged here, or of a kind that is not known`, {
      offset,
      path: 'ram',
    });
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}
