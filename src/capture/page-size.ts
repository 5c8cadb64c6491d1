import type { ByteQueue } from '../bytes/byte-queue.js';
import { readU32 } from '../bytes/u64.js';

/** Page sizes of the targets there are, the commonest first. Source: container.md section 7. */
const CANDIDATES = [4096, 8192, 16_384, 1024] as const;
/** Records that must fit after the first page before a size is believed. */
const RECORDS = 5;
/** Longest header of a record: word, block name, and the largest of the fields after it. */
const LONGEST_HEADER = 8 + 256 + 4;
/** Bytes that settle the matter, whatever the size. */
const TRIAL_BYTES = RECORDS * (16_384 + LONGEST_HEADER);

/**
 * The target's page size in bytes, which a stream does not always tell: learnt from what does tell it, else tried at
 * the first page.
 */
export class PageSize {
  /** Bytes; undefined while it is not known. */
  known: number | undefined;
  /** Where in the input it had to be tried, in bytes; undefined where something told it. */
  triedAt: number | undefined;
  /** The largest page size of any target, in bytes. */
  readonly largest = 65_536;
  /** Bytes that the next trial waits for, so that input that comes byte by byte is not tried at each byte. */
  #nextTrial = 0;

  /** Takes a size that the stream tells. The first one told stays. */
  learn(bytes: number): void {
    if (this.known === undefined && bytes >= 1024 && bytes <= this.largest && (bytes & (bytes - 1)) === 0) {
      this.known = bytes;
    }
  }

  /**
   * Tries which size makes the records after the first page well-formed.
   * @param header bytes of the record's header, at the queue's position.
   * @returns 0 where it is settled ({@link PageSize.known} stays undefined where no size fits), else the bytes needed.
   */
  trial(queue: ByteQueue, header: number, final: boolean): number {
    const most = header + TRIAL_BYTES;
    const need = Math.min(most, queue.available + 4096);
    if (!final && queue.available < this.#nextTrial) return need;
    // Never more than that, however much is there: any way of cutting the input settles it alike.
    const shown = Math.min(most, queue.available);
    queue.ensure(shown);
    const start = queue.pos + header;
    const end = queue.pos + shown;
    const fits = CANDIDATES.map((size) => ({ size, records: countRecords(queue.bytes, start, end, size) }));
    const possible = fits.filter((fit) => fit.records >= 0);
    const best = Math.max(...possible.map((fit) => fit.records));
    const settled = possible.length <= 1 && (possible.length === 0 || best === RECORDS);
    if (!settled && !final && shown < most) {
      this.#nextTrial = need;
      return need;
    }
    this.known = possible.find((fit) => fit.records === best)?.size;
    this.triedAt = queue.offset;
    return 0;
  }
}

/** How many well-formed records follow a page of `size` bytes; -1 where one is malformed. */
function countRecords(bytes: Uint8Array, start: number, end: number, size: number): number {
  let at = start + size;
  for (let count = 0; count < RECORDS; count++) {
    if (end - at < 8) return count;
    const low = readU32(bytes, at + 4);
    const kind = low & 0x3df;
    if (kind === 0x10) return RECORDS;
    if (kind !== 0x02 && kind !== 0x08 && kind !== 0x40 && kind !== 0x100 && kind !== 0x200) return -1;
    at += 8;
    if (kind === 0x200) continue;
    if ((low & 0x20) === 0) {
      if (at >= end) return count;
      const length = bytes[at] as number;
      if (length === 0) return -1;
      at += 1 + length;
    }
    if (at + 4 > end) return count;
    if (kind === 0x02) at += 1;
    else if (kind === 0x08) at += size;
    else if (kind === 0x40) at += 3 + (((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number));
    else at += 4 + readU32(bytes, at);
  }
  return RECORDS;
}
