import type { CutterInput } from './cutter.js';

/** 64-bit words of a page. */
const PAGE_WORDS = 128;
/** Pages that are looked at in one go: what comes once for each look costs little then. */
const MAX_PAGES = 16;
const NO_WORDS = new Int32Array(0);
/** Words that one mask tells of. */
const GROUP = 32;
/** Two words of zeroes, 16 bytes, cost less than the header of another chunk, 21 bytes; three cost more. */
export const JOIN = 2;

/**
 * Which 64-bit words of a bitmap hold a bit, for a row of pages at a time; bits past the end of the disk do not count.
 * Words are numbered from the beginning of the bitmap, except where something else is said.
 */
export class UsedWords {
  /** The first word of the pages that are looked at. */
  first = 0;
  /** The word behind their last. */
  end = 0;
  /** 32-bit words of the bitmap's memory, and where in them `first` is. */
  words: Int32Array = NO_WORDS;
  at = 0;
  /** Numbers in `stretches`. */
  count = 0;
  /**
   * Used words with no more than {@link JOIN} others between them: first word, word behind the last, and so on, all
   * counted from `first`. Two stretches have at least three words of zeroes between them.
   */
  readonly stretches: Int32Array = new Int32Array((2 * MAX_PAGES * PAGE_WORDS) / (JOIN + 2));
  /** Word n from `first` on is bit 31 - n % 32 of number n / 32, so that clz32 finds the first that is set. */
  readonly #masks: Int32Array = new Int32Array((MAX_PAGES * PAGE_WORDS) / GROUP);
  readonly #input: CutterInput;
  /** Words of the bitmap. */
  readonly #words: number;

  constructor(input: CutterInput) {
    this.#input = input;
    this.#words = Math.ceil(input.granules / 64);
  }

  /** Looks at the next pages that may hold a bit, from `end` on, and finds the stretches; false where there are none. */
  goOn(): boolean {
    const page = this.#input.bits.nextUsedPage(this.end / PAGE_WORDS);
    if (page < 0 || page * PAGE_WORDS >= this.#words) return false;
    this.#look(page);
    this.#findStretches();
    return true;
  }

  /** As {@link goOn}, but only where the page behind the last may hold a bit. */
  goOnBeside(): boolean {
    const page = this.end / PAGE_WORDS;
    return this.#input.bits.nextUsedPage(page) === page && this.goOn();
  }

  /** Finds the stretches from `word` on, in its page and those beside it. */
  goTo(word: number): void {
    const page = Math.floor(word / PAGE_WORDS);
    this.#look(page);
    const skip = word - this.first;
    this.#masks.fill(0, 0, skip >>> 5);
    this.#masks[skip >>> 5] = (this.#masks[skip >>> 5] as number) & (-1 >>> (skip & 31));
    this.#findStretches();
  }

  /** The first word from `from` on and before `end` that holds a bit, or `end`. */
  nextUsed(from: number, end: number): number {
    return this.#next(from, end, 0);
  }

  /** The first word from `from` on and before `end` that holds no bit, or `end`. */
  nextClear(from: number, end: number): number {
    return this.#next(from, end, -1);
  }

  #next(from: number, end: number, flip: 0 | -1): number {
    for (let word = from; word < end; ) {
      if (word < this.first || word >= this.end) this.#look(Math.floor(word / PAGE_WORDS));
      const at = word - this.first;
      const ahead = ((this.#masks[at >>> 5] as number) ^ flip) << (at & 31);
      if (ahead !== 0) return Math.min(end, word + Math.clz32(ahead));
      word += GROUP - (at & 31);
    }
    return end;
  }

  #look(page: number): void {
    const run = this.#input.bits.pageRun(page, MAX_PAGES);
    const groups = ((run?.pages ?? 1) * PAGE_WORDS) / GROUP;
    this.first = page * PAGE_WORDS;
    this.end = this.first + groups * GROUP;
    this.words = run?.words ?? NO_WORDS;
    this.at = run?.at ?? 0;
    if (run === undefined) this.#masks.fill(0, 0, groups);
    else maskWords(this.words, this.at, this.#masks, groups);
    if (this.end >= this.#words) this.#dropPastEnd();
  }

  /** A bitmap may hold bits past the end of the disk: they are not sent. */
  #dropPastEnd(): void {
    const { bits, granules } = this.#input;
    const whole = Math.floor(granules / 64);
    const end = bits.anyBits(whole * 64, granules) ? whole + 1 : whole;
    if (end >= this.end) return;
    const used = Math.max(0, end - this.first);
    const group = used >>> 5;
    this.#masks[group] = (this.#masks[group] as number) & ~(-1 >>> (used & 31));
    this.#masks.fill(0, group + 1);
  }

  #findStretches(): void {
    const stretches = this.stretches;
    const groups = (this.end - this.first) / GROUP;
    let count = 0;
    let last = -1 - JOIN;
    for (let group = 0; group < groups; group++) {
      const mask = this.#masks[group] as number;
      // One or two words of zeroes are filled up here, which saves turns; at the group's edges the numbers tell.
      const two = (mask >>> 1) & (mask << 2);
      const filled = mask | ((mask >>> 1) & (mask << 1)) | two | (two >>> 1);
      let starts = filled & ~(filled >>> 1);
      let ends = filled & ~(filled << 1);
      while (starts !== 0) {
        const start = Math.clz32(starts);
        const end = Math.clz32(ends);
        starts ^= 0x8000_0000 >>> start;
        ends ^= 0x8000_0000 >>> end;
        if (group * GROUP + start - last > JOIN) {
          stretches[count] = group * GROUP + start;
          count += 2;
        }
        last = group * GROUP + end + 1;
        stretches[count - 1] = last;
      }
    }
    this.count = count;
  }
}

/**
 * Which 64-bit words are not zero, of as many groups as there are, from 32-bit word `from` on. No branch depends on the
 * words: where lone ones are scattered, each of them would be mispredicted, which costs more than this.
 */
function maskWords(words: Int32Array, from: number, masks: Int32Array, groups: number): void {
  let at = from;
  for (let group = 0; group < groups; group++) {
    let clear = 0;
    for (const end = at + 2 * GROUP; at < end; at += 8) {
      const a = (words[at] as number) | (words[at + 1] as number);
      const b = (words[at + 2] as number) | (words[at + 3] as number);
      const c = (words[at + 4] as number) | (words[at + 5] as number);
      const d = (words[at + 6] as number) | (words[at + 7] as number);
      // A word of zeroes begins with 32 of them, any other with fewer.
      const ab = ((Math.clz32(a) >>> 2) & 8) | ((Math.clz32(b) >>> 3) & 4);
      const cd = ((Math.clz32(c) >>> 4) & 2) | (Math.clz32(d) >>> 5);
      clear = (clear << 4) | ab | cd;
    }
    masks[group] = ~clear;
  }
}
