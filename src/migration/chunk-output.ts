import type { Bitmap } from '../bitmap/bitmap.js';
import type { Name } from '../bytes/text.js';
import { FLAG } from '../chunk/flags.js';
import type { Cutter, DataRun } from './cutter.js';

/** What tells a bitmap in the stream. */
export interface ChunkNames {
  readonly nodeAlias: Name;
  readonly alias: Name;
  /** Compared by identity: two nodes may have the same bitmap name. */
  readonly node: object;
}

/** Bytes of a ZEROES chunk without names. */
export const CLEAR_CHUNK = 13;
const CLEAR_FLAGS = (FLAG.BITS | FLAG.ZEROES) << 24;

/** Bytes of a BITS chunk without names, beside its data. */
export const DATA_HEADER = 21;

/** Words of 64 bits that are copied one by one. */
const FEW_WORDS = 16;

/** Bytes of a chunk at most, beside its data: flags, two names, a range, a size. */
export const MAX_HEADER: number = 1 + 2 * 256 + 20;

/**
 * Writes chunks into a buffer of the caller's, and leaves out names that are those of the chunk before, as QEMU does.
 * Nothing is allocated for a chunk. Source: wire-format.md, Grammar and Names.
 */
export class ChunkOutput {
  /** Where the next chunk goes. */
  pos = 0;
  #window: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#window.buffer);
  #node: object | undefined;
  #bitmap: ChunkNames | undefined;

  /** Goes on in a buffer, from its beginning. */
  begin(window: Uint8Array): void {
    this.pos = 0;
    if (window === this.#window) return;
    this.#window = window;
    this.#view = new DataView(window.buffer, window.byteOffset, window.byteLength);
  }

  /** Bytes that the buffer still has. */
  get room(): number {
    return this.#window.length - this.pos;
  }

  /** Bytes that the names of the next chunk take; for measuring, `remember` them as if it were written. */
  namesLength(names: ChunkNames): number {
    const node = names.node === this.#node ? 0 : 1 + names.nodeAlias.bytes.length;
    return names === this.#bitmap ? node : node + 1 + names.alias.bytes.length;
  }

  /** Makes the names those of the chunk before. */
  remember(names: ChunkNames): void {
    this.#node = names.node;
    this.#bitmap = names;
  }

  /** One that knows the same names, for measuring. */
  clone(): ChunkOutput {
    const copy = new ChunkOutput();
    copy.#node = this.#node;
    copy.#bitmap = this.#bitmap;
    return copy;
  }

  start(names: ChunkNames, granularity: number, startFlags: number): void {
    this.#header(names, FLAG.START);
    this.#view.setUint32(this.pos, granularity);
    this.#window[this.pos + 4] = startFlags;
    this.pos += 5;
  }

  complete(names: ChunkNames): void {
    this.#header(names, FLAG.COMPLETE);
  }

  endOfSection(): void {
    this.#window[this.pos++] = FLAG.EOS;
  }

  /** Whether the next chunk needs no names. */
  continues(names: ChunkNames): boolean {
    return names === this.#bitmap;
  }

  /** As many ZEROES as fit in the room that was asked for, one behind the other; the names are known. */
  clearRun(firstSector: number, sectorCount: number, chunks: number): void {
    const view = this.#view;
    let at = this.pos;
    let first = firstSector;
    for (let left = chunks; left > 0; left--, at += CLEAR_CHUNK, first += sectorCount) {
      // Flags and the upper bits of the sector, which has fewer than 52 bits, in one store.
      view.setUint32(at, CLEAR_FLAGS | (first / 2 ** 40));
      view.setUint32(at + 4, (first / 2 ** 8) >>> 0);
      view.setUint32(at + 8, ((first & 0xff) << 24) | (sectorCount >>> 8));
      view.setUint8(at + 12, sectorCount & 0xff);
    }
    this.pos = at;
  }

  /** Chunks of data, one behind the other: there is room for them, and the names are known. */
  dataRun({ words, at, first, unit, stretches, from, to }: DataRun): void {
    const view = this.#view;
    let pos = this.pos;
    for (let i = from; i < to; i += 2) {
      const start = stretches[i] as number;
      const length = (stretches[i + 1] as number) - start;
      const sector = (first + start) * unit;
      view.setUint8(pos, FLAG.BITS);
      view.setUint32(pos + 1, (sector / 2 ** 32) >>> 0);
      view.setUint32(pos + 5, sector >>> 0);
      view.setUint32(pos + 9, length * unit);
      view.setUint32(pos + 13, 0);
      view.setUint32(pos + 17, length * 8);
      pos += DATA_HEADER;
      if (length > FEW_WORDS) {
        const bytes = length * 8;
        this.#window.set(new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 2 * start), bytes), pos);
        pos += bytes;
        continue;
      }
      // A call to copy them would cost more than a few words do.
      const end = at + 2 * (start + length);
      for (let word = at + 2 * start; word < end; word += 2, pos += 8) {
        view.setInt32(pos, words[word] as number, true);
        view.setInt32(pos + 4, words[word + 1] as number, true);
      }
    }
    this.pos = pos;
  }

  /** The range that the cutter holds. */
  range(names: ChunkNames, cutter: Cutter, bits: Bitmap): void {
    const { zeroes } = cutter;
    const flags = zeroes ? FLAG.BITS | FLAG.ZEROES : FLAG.BITS;
    if (names === this.#bitmap) this.#window[this.pos++] = flags;
    else this.#header(names, flags);
    const view = this.#view;
    const at = this.pos;
    const first = cutter.firstSector;
    view.setUint32(at, (first / 2 ** 32) >>> 0);
    view.setUint32(at + 4, first >>> 0);
    view.setUint32(at + 8, cutter.sectorCount);
    this.pos = at + 12;
    if (zeroes) return;
    const { size, length, firstByte } = cutter;
    view.setUint32(at + 12, 0);
    view.setUint32(at + 16, size);
    const start = at + 20;
    bits.readBytes(firstByte, this.#window, start, start + length);
    const last = cutter.endBit - firstByte * 8;
    if (last < size * 8) clearFrom(this.#window, start, last, size);
    this.pos = start + size;
  }

  #header(names: ChunkNames, kind: number): void {
    const window = this.#window;
    const flagsAt = this.pos++;
    let flags = kind;
    if (names.node !== this.#node) {
      flags |= FLAG.DEVICE_NAME;
      this.#name(names.nodeAlias.bytes);
    }
    if (names !== this.#bitmap) {
      flags |= FLAG.BITMAP_NAME;
      this.#name(names.alias.bytes);
    }
    window[flagsAt] = flags;
    this.remember(names);
  }

  #name(bytes: Uint8Array): void {
    this.#window[this.pos] = bytes.length;
    this.#window.set(bytes, this.pos + 1);
    this.pos += 1 + bytes.length;
  }
}

/** Clears the bits from `bit` to the end of `size` bytes that begin at `start`: what is past the end, and padding. */
function clearFrom(bytes: Uint8Array, start: number, bit: number, size: number): void {
  const at = start + (bit >>> 3);
  if ((bit & 7) !== 0) bytes[at] = (bytes[at] as number) & ~(0xff << (bit & 7));
  bytes.fill(0, (bit & 7) === 0 ? at : at + 1, start + size);
}
