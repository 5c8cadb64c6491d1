import type { ChunkOutput } from './chunk-output.js';
import { DATA_HEADER } from './chunk-rows.js';
import { type Cutter, type CutterInput, MAX_SECTOR_COUNT, unitSectors } from './cutter.js';
import { JOIN, UsedWords } from './used-words.js';

/** Bytes of the data of a chunk that a QEMU takes at most. */
const MAX_SIZE = 10_240;
/** Words of a chunk that is one of a run at most: more of them are quicker copied by themselves. */
const SHORT = 64;

/** Whether words of the host's memory have the stream's order of bytes; else they are not copied as words. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** How large a chunk may be, in words of 64 bits. */
interface Reach {
  /** Words of the bitmap. */
  readonly words: number;
  /** Words of a chunk at most. */
  readonly most: number;
  /** Words of the chunk at most that ends with the bitmap. */
  readonly mostAtEnd: number;
}

/**
 * Cuts out what is dirty, in the fewest bytes: ranges of 64-bit words, no padding; what is clean is left out, since a
 * receiver begins with a clean bitmap. Time follows the pages that are in use, not the size of the disk.
 *
 * Three words of zeroes cost more than a header, so the fewest bytes never have them in a chunk: what lies between them
 * is a stretch, and stretches do not depend on each other. One or two cost less, so that a stretch is one chunk if it
 * fits into one. If not, {@link LongStretch} finds where to cut.
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
  readonly #reach: Reach;
  readonly #used: UsedWords;
  /** Where in the stretches of `#used` the next one is. */
  #next = 0;
  #long: LongStretch | undefined;

  constructor(input: CutterInput) {
    this.#input = input;
    this.#unit = unitSectors(input.granularity);
    this.#reach = reachOf(input, this.#unit);
    this.maxSize = this.#reach.mostAtEnd * 8;
    this.#used = new UsedWords(input);
  }

  get size(): number {
    return this.length;
  }

  next(): boolean {
    if (this.#long !== undefined) return this.#cutLong(this.#long);
    const used = this.#used;
    while (this.#next === used.count) {
      if (!used.goOn()) {
        this.position = this.#input.sectors;
        return false;
      }
      this.#next = 0;
    }
    const start = used.first + (used.stretches[this.#next] as number);
    let end = used.first + (used.stretches[this.#next + 1] as number);
    this.#next += 2;
    if (this.#next === used.count) end = this.#endBeside(start, end);
    if (end - start > this.#reach.most) return this.#cutLong(new LongStretch(used, this.#reach, start));
    this.#take(start, end);
    return true;
  }

  writeRow(output: ChunkOutput, budget: number): boolean {
    const { words, at, first, stretches, count } = this.#used;
    const from = this.#next;
    const most = Math.min(SHORT, this.#reach.most);
    const { room } = output;
    let to = from;
    // Not the last of its pages, which may go on in those behind them or end with the disk.
    for (let bytes = 0; to < count - 2 && bytes < budget; to += 2) {
      const length = (stretches[to + 1] as number) - (stretches[to] as number);
      bytes += DATA_HEADER + 8 * length;
      if (length > most || bytes > room) break;
    }
    if (to === from || this.#long !== undefined || !LITTLE_ENDIAN) return false;
    this.#next = to;
    this.position = (first + (stretches[to - 1] as number)) * this.#unit;
    output.stretches({ words, at, first, unit: this.#unit, stretches, from, to });
    return true;
  }

  /** Cutting anew from the end of a chunk on takes as many bytes as going on. */
  clone(): CompactCutter {
    const copy = new CompactCutter(this.#input);
    copy.position = this.position;
    copy.#goTo(Math.ceil(this.position / this.#unit));
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

  #cutLong(long: LongStretch): boolean {
    if (long.next()) {
      this.#long = long;
      this.#take(long.start, long.end);
      return true;
    }
    this.#long = undefined;
    this.#goTo(long.end);
    return this.next();
  }

  #goTo(word: number): void {
    this.#used.goTo(word);
    this.#next = 0;
  }

  /** Where a stretch ends that is the last of its pages: it may go on in those behind them. More than fits is enough. */
  #endBeside(start: number, endInPages: number): number {
    const used = this.#used;
    let end = endInPages;
    while (this.#next === used.count && used.end - end <= JOIN && end - start <= this.#reach.most) {
      if (!used.goOnBeside()) break;
      this.#next = 0;
      if (used.count === 0 || used.first + (used.stretches[0] as number) - end > JOIN) break;
      end = used.first + (used.stretches[1] as number);
      this.#next = 2;
    }
    return end;
  }
}

/** How far chunks reach. */
function reachOf({ granules, sectors }: CutterInput, unit: number): Reach {
  const counted = Math.floor(MAX_SECTOR_COUNT / unit);
  const most = Math.min(MAX_SIZE / 8, counted);
  // Where the field of the sectors is the limit, a last word of fewer of them is had besides.
  const mostAtEnd = counted < MAX_SIZE / 8 && sectors % unit !== 0 ? most + 1 : most;
  return { words: Math.ceil(granules / 64), most, mostAtEnd };
}

/** Where a long stretch may be cut: a chunk ends before word `end`, and the next begins with word `start`. */
interface Cut {
  readonly start: number;
  readonly end: number;
  /** Bytes that this cut and those before it cost. */
  readonly cost: number;
  /** The cut before; none for one that is settled. */
  before: Cut | undefined;
}

/**
 * Cuts a stretch that does not fit into one chunk. A cut costs a header less the zeroes that need not be sent: 5 bytes
 * between two words of zeroes, 13 at one, 21 inside a run. Of two cuts that can be reached, the later is the better one
 * to go on from unless it costs more. So it is enough to go through the stretch once and to keep those cuts of which
 * none is both later and at most as dear: 21 at most, since one further on is to be had for 21 bytes more than the first.
 */
class LongStretch {
  /** The chunk: its first word, and the word behind its last. */
  start = 0;
  end = 0;
  readonly #used: UsedWords;
  readonly #reach: Reach;
  /** Cuts to go on from, ascending by word and by cost. */
  readonly #cuts: Cut[];
  /** Cuts that are settled and not handed out, the first of them last. */
  readonly #settled: Cut[] = [];
  /** Where the next chunk begins. */
  #from: number;
  /** The run of used words that is looked at: where it begins, and how far it is known to go. */
  #run: number;
  #known: number;
  #done = false;

  constructor(used: UsedWords, reach: Reach, start: number) {
    this.#used = used;
    this.#reach = reach;
    this.#from = start;
    this.#run = start;
    this.#known = start;
    this.#cuts = [{ start, end: start, cost: 0, before: undefined }];
  }

  /** Goes on to the next chunk; false where there is none. */
  next(): boolean {
    while (this.#settled.length === 0) {
      if (this.#done) return false;
      this.#look();
    }
    const cut = this.#settled.pop() as Cut;
    this.start = this.#from;
    this.end = cut.end;
    this.#from = cut.start;
    return true;
  }

  /** Looks as far as the first of the cuts reaches, or to the end of the run. */
  #look(): void {
    const first = this.#cuts[0] as Cut;
    const { words, most, mostAtEnd } = this.#reach;
    const limit = first.start + most;
    const end = this.#used.nextClear(this.#known, Math.min(words, limit + 1));
    this.#known = end;
    if (end - first.start > (end === words ? mostAtEnd : most)) this.#leave(first, limit);
    else this.#endRun(first, end);
  }

  /** No chunk from the first cut on reaches the end of the run: the last way to go on from it is inside. */
  #leave(first: Cut, limit: number): void {
    this.#cuts.shift();
    if (limit > this.#run) this.#add({ start: limit, end: limit, cost: first.cost + DATA_HEADER, before: first });
    const [only, other] = this.#cuts;
    if (only !== undefined && other === undefined) this.#settle(only);
  }

  #endRun(first: Cut, end: number): void {
    const { words } = this.#reach;
    const start = this.#used.nextUsed(end, Math.min(words, end + JOIN + 1));
    if (start === words || start - end > JOIN) {
      this.#done = true;
      this.#settle({ start, end, cost: first.cost, before: first });
      return;
    }
    this.#add({ start, end, cost: first.cost + DATA_HEADER - 8 * (start - end), before: first });
    this.#run = start;
    this.#known = start;
  }

  #add(cut: Cut): void {
    const cuts = this.#cuts;
    while (cuts.length > 0 && (cuts[cuts.length - 1] as Cut).cost >= cut.cost) cuts.pop();
    cuts.push(cut);
  }

  /** Whatever follows, the cuts up to this one are those of the fewest bytes. */
  #settle(last: Cut): void {
    for (let cut = last; cut.before !== undefined; cut = cut.before) this.#settled.push(cut);
    last.before = undefined;
  }
}
