import { SECTOR } from '../chunk/chunk-cursor.js';
import { type Cutter, type CutterInput, MAX_SECTOR_COUNT, unitSectors } from './cutter.js';

/** Bytes of the data of a chunk that a QEMU takes at most. */
const MAX_SIZE = 10_240;
/** Bytes of a chunk beside its data. */
const HEADER = 21;
/** Two words of zeroes, 16 bytes, cost less than another header. */
const JOIN = 2;
/** Bytes and words of a page, the piece that is looked at in one go. */
const PAGE_BYTES = 1024;
const PAGE_WORDS = PAGE_BYTES / 8;
/** A page of more runs than this is sent whole unless that takes at least twice the bytes: a chunk costs time, too. */
const MANY_RUNS = 8;
/** Behind such a page, one is sent whole as well where so many of 16 words, taken evenly, are not zero. */
const CROWDED_SAMPLE = 5;

/**
 * Cuts out what is dirty: ranges of 64-bit words, no padding; what is clean is left out, since a receiver begins with a
 * clean bitmap. Time follows the pages that are in use, not the size of the disk.
 * Source: wire-format.md, BITS; dirty-bitmap-states.md section 2.
 */
export class CompactCutter implements Cutter {
  readonly zeroes = false;
  firstSector = 0;
  sectorCount = 0;
  firstByte = 0;
  length = 0;
  endBit = 0;
  position = 0;
  readonly maxSize: number;
  readonly #input: CutterInput;
  readonly #unit: number;
  readonly #maxWords: number;
  readonly #bytes: Uint8Array = new Uint8Array(PAGE_BYTES);
  readonly #words: Int32Array = new Int32Array(this.#bytes.buffer);
  /** Runs of the page: first word and the word after the last, in words of the bitmap. */
  readonly #runs: Float64Array = new Float64Array(PAGE_WORDS);
  #runCount = 0;
  #run = 0;
  #page = 0;
  /** The page before was sent whole, because it had too many runs. */
  #crowded = false;

  constructor(input: CutterInput) {
    this.#input = input;
    this.#unit = unitSectors(input.granularity);
    this.#maxWords = Math.min(MAX_SIZE / 8, Math.floor(MAX_SECTOR_COUNT / this.#unit));
    this.maxSize = this.#maxWords * 8;
  }

  get size(): number {
    return this.length;
  }

  next(): boolean {
    if (!this.#hasRun()) {
      this.position = this.#input.sectors;
      return false;
    }
    const runs = this.#runs;
    const start = runs[2 * this.#run] as number;
    const limit = start + this.#maxWords;
    let end = start;
    while (this.#hasRun()) {
      const first = runs[2 * this.#run] as number;
      const last = runs[2 * this.#run + 1] as number;
      if (first >= limit || (end > start && first - end > JOIN)) break;
      end = Math.min(last, limit);
      if (last > limit) {
        // What does not fit begins the next chunk.
        runs[2 * this.#run] = limit;
        break;
      }
      this.#run++;
    }
    this.#take(start, end);
    return true;
  }

  /** What is clear is not sent. */
  clearRun(): number {
    return 0;
  }

  clone(): CompactCutter {
    const copy = new CompactCutter(this.#input);
    copy.position = this.position;
    copy.#runs.set(this.#runs);
    copy.#runCount = this.#runCount;
    copy.#run = this.#run;
    copy.#page = this.#page;
    copy.#crowded = this.#crowded;
    return copy;
  }

  #take(start: number, end: number): void {
    const { sectors, granules } = this.#input;
    const first = start * this.#unit;
    const stop = Math.min(sectors, end * this.#unit);
    this.firstSector = first;
    this.sectorCount = stop - first;
    this.firstByte = start * 8;
    this.length = (end - start) * 8;
    this.endBit = Math.min(granules, end * 64);
    this.position = stop;
  }

  /** Whether there is a run to send; looks for the next page that has one. */
  #hasRun(): boolean {
    const { bits, granules, granularity } = this.#input;
    const end = Math.ceil(granules / (PAGE_BYTES * 8));
    while (this.#run === this.#runCount) {
      const page = bits.nextUsedPage(this.#page);
      if (page < 0 || page >= end) return false;
      this.#page = page + 1;
      bits.readBytes(page * PAGE_BYTES, this.#bytes);
      if (this.#page === end) this.#maskEnd(granules - page * PAGE_BYTES * 8);
      this.#findRuns(page * PAGE_WORDS);
      if (this.#runCount === 0) this.position = Math.max(this.position, (page * PAGE_BYTES * 8 * granularity) / SECTOR);
    }
    return true;
  }

  /** Bits past the end of the disk are not sent. */
  #maskEnd(bit: number): void {
    const at = bit >>> 3;
    if (at >= PAGE_BYTES) return;
    this.#bytes[at] = (this.#bytes[at] as number) & ~(0xff << (bit & 7));
    this.#bytes.fill(0, at + 1);
  }

  /** Finds the runs of the page that begins at a word of the bitmap. */
  #findRuns(base: number): void {
    const words = this.#words;
    const runs = this.#runs;
    if (this.#crowded && sample(words) >= CROWDED_SAMPLE) {
      // As the page before: looking at every word would cost more than it saves.
      runs[0] = base + firstUsed(words);
      runs[1] = base + lastUsed(words);
      this.#run = 0;
      this.#runCount = 1;
      return;
    }
    let count = 0;
    let cost = 0;
    let end = 0;
    for (let word = 0; word < 2 * PAGE_WORDS; word += 2) {
      if (((words[word] as number) | (words[word + 1] as number)) === 0) continue;
      const start = word >>> 1;
      end = endOfRun(words, start + 1);
      runs[2 * count] = base + start;
      runs[2 * count + 1] = base + end;
      count++;
      cost += HEADER + 8 * (end - start);
      word = 2 * end;
      if (count > MANY_RUNS && 2 * cost > HEADER + PAGE_BYTES) {
        // Whatever follows, the page goes whole.
        end = lastUsed(words);
        break;
      }
    }
    this.#run = 0;
    this.#runCount = count;
    this.#crowded = count > MANY_RUNS && 2 * cost > HEADER + 8 * (base + end - (runs[0] as number));
    if (!this.#crowded) return;
    runs[1] = base + end;
    this.#runCount = 1;
  }
}

/** The end of a run of which the words before `from` are known. Three words of zeroes end it: the third is tried first. */
function endOfRun(words: Int32Array, from: number): number {
  let end = from;
  while (end < PAGE_WORDS) {
    const at = 2 * end;
    if (at + 5 < 2 * PAGE_WORDS && ((words[at + 4] as number) | (words[at + 5] as number)) !== 0) end += 3;
    else if (at + 3 < 2 * PAGE_WORDS && ((words[at + 2] as number) | (words[at + 3] as number)) !== 0) end += 2;
    else if (((words[at] as number) | (words[at + 1] as number)) !== 0) end += 1;
    else break;
  }
  return end;
}

/** How many of 16 words, taken evenly, are not zero. */
function sample(words: Int32Array): number {
  let used = 0;
  for (let word = 0; word < 2 * PAGE_WORDS; word += PAGE_WORDS / 8) {
    used += ((words[word] as number) | (words[word + 1] as number)) === 0 ? 0 : 1;
  }
  return used;
}

/** The first word that is not zero. */
function firstUsed(words: Int32Array): number {
  let word = 0;
  while ((words[word] as number) === 0) word++;
  return word >>> 1;
}

/** The word after the last that is not zero. */
function lastUsed(words: Int32Array): number {
  let word = 2 * PAGE_WORDS - 1;
  while ((words[word] as number) === 0) word--;
  return (word >>> 1) + 1;
}
