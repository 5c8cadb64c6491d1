import type { ByteQueue } from '../bytes/byte-queue.js';
import { readU16, readU32, readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Code } from '../rules.js';
import type { BodyParser } from './body-parser.js';

/** A body that is a row of records: a subclass reads one at a time. */
abstract class RecordParser implements BodyParser {
  need = 1;
  skip = 0;
  protected readonly queue: ByteQueue;

  constructor(queue: ByteQueue) {
    this.queue = queue;
  }

  run(): boolean {
    for (;;) {
      if (this.skip > 0) {
        this.skip -= this.queue.skip(this.skip);
        if (this.skip > 0) return false;
      }
      const done = this.record();
      if (done !== undefined) return done;
    }
  }

  /** One record: true after the last, false to wait, undefined to go on. */
  protected abstract record(): boolean | undefined;

  protected wait(need: number): false {
    this.need = need;
    return false;
  }
}

const BLOCK_DATA = 0x01;
const BLOCK_EOS = 0x02;
const BLOCK_PROGRESS = 0x04;
const BLOCK_ZERO = 0x08;
/** Bytes of disk data in a record, also for the last part of a disk. */
const BLOCK_BYTES = 1024 * 1024;

/** The legacy `block` section (2.12 to 9.0). Source: container.md section 8. */
export class BlockParser extends RecordParser {
  protected record(): boolean | undefined {
    const { queue } = this;
    if (!queue.ensure(8)) return this.wait(8);
    const flags = readU32(queue.bytes, queue.pos + 4) & 0x1ff;
    if (flags === BLOCK_EOS || flags === BLOCK_PROGRESS) {
      queue.pos += 8;
      return flags === BLOCK_EOS ? true : undefined;
    }
    if (flags !== BLOCK_DATA && flags !== (BLOCK_DATA | BLOCK_ZERO)) {
      throw malformed('block-invalid', `flags 0x${flags.toString(16)} of a block record are not known`, queue.offset);
    }
    if (!queue.ensure(9)) return this.wait(9);
    const length = 9 + (queue.bytes[queue.pos + 8] as number);
    if (!queue.ensure(length)) return this.wait(length);
    queue.pos += length;
    this.skip = (flags & BLOCK_ZERO) === 0 ? BLOCK_BYTES : 0;
    return undefined;
  }
}

/** `spapr/htab`: a header word, then groups of 16-byte entries up to an empty one. Source: container.md section 9. */
export class HtabParser extends RecordParser {
  #inGroups = false;

  protected record(): boolean | undefined {
    const { queue } = this;
    if (!this.#inGroups) {
      if (!queue.ensure(4)) return this.wait(4);
      const header = readU32(queue.bytes, queue.pos);
      queue.pos += 4;
      this.#inGroups = header === 0;
      return this.#inGroups ? undefined : true;
    }
    if (!queue.ensure(8)) return this.wait(8);
    const empty = readU32(queue.bytes, queue.pos) === 0 && readU32(queue.bytes, queue.pos + 4) === 0;
    this.skip = 16 * readU16(queue.bytes, queue.pos + 4);
    queue.pos += 8;
    this.#inGroups = !empty;
    return empty ? true : undefined;
  }
}

const ATTRIBUTES_EOS = 1;
const ATTRIBUTES_MORE = 2;
const ATTRIBUTES_DONE = 8;

/** `s390-storage_attributes`: words with flags in the low 12 bits. Source: container.md section 9. */
export class StorageAttributesParser extends RecordParser {
  protected record(): boolean | undefined {
    const { queue } = this;
    if (!queue.ensure(8)) return this.wait(8);
    const flags = readU32(queue.bytes, queue.pos + 4) & 0xfff;
    if (flags === ATTRIBUTES_EOS || flags === ATTRIBUTES_DONE) {
      queue.pos += 8;
      return flags === ATTRIBUTES_EOS ? true : undefined;
    }
    if (flags !== ATTRIBUTES_MORE) {
      throw malformed(
        'section-invalid',
        `flags 0x${flags.toString(16)} of storage attributes are not known`,
        queue.offset,
      );
    }
    if (!queue.ensure(16)) return this.wait(16);
    this.skip = readU64(queue.bytes, queue.pos + 8, queue.offset + 8, 's390-storage_attributes.count');
    queue.pos += 16;
    return undefined;
  }
}

function malformed(code: Code, what: string, offset: number): DirtyBitmapError {
  return new DirtyBitmapError(code, `${what}; the stream is damaged here`, { offset });
}
