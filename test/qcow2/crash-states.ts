import type { PlanStep } from '../../src/qcow2/commit/plan.js';
import type { Dice } from '../differential/dice.js';

/** What a disk writes whole or not at all, in bytes. */
const SECTOR = 512;

/** A file as it may be found after a crash. */
export interface CrashState {
  /** Its bytes; valid until the next state is asked for. */
  readonly file: Uint8Array;
  /** Where in the plan the crash was, for a message. */
  readonly what: string;
}

/** Bytes that reached the disk, or did not: a piece of a write within one sector. */
interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * The states in which a crash can leave a file: after each step of the plan, and for each row of writes between two syncs
 * some where any of its sectors is there, or an older version of it. In the last state everything is done.
 * @param subsets random states of each such row, at most; 1 at least. All there are, where they are few.
 */
export function* crashStates(
  base: Uint8Array,
  steps: readonly PlanStep[],
  dice: Dice,
  subsets: number,
): Generator<CrashState, void, void> {
  const disk = new Disk(base, steps);
  yield { file: disk.file(base.length), what: 'nothing done' };
  let done = 0;
  for (const row of rowsBetweenSyncs(steps)) {
    const pieces: Piece[] = [];
    for (const write of row) {
      const bytes = write.bytes();
      if (bytes.length !== write.length)
        throw new Error(`${write.what}: ${write.length} bytes announced, ${bytes.length} made`);
      pieces.push(...piecesOf(write.offset, bytes));
      disk.apply({ offset: write.offset, bytes });
      done++;
      yield { file: disk.file(), what: `${done} writes, the last one ${write.phase}: ${write.what.slice(0, 40)}` };
    }
    const full = disk.length;
    for (const versions of choices(pieces, dice, subsets)) {
      disk.rewind();
      const there = piecesThere(pieces, versions);
      for (const piece of there) disk.apply(piece);
      // The length of a file may be on the disk before the bytes are.
      const length = dice.chance(30) ? full : disk.length;
      yield { file: disk.file(length), what: `${done} writes, ${there.length} of the last ${pieces.length} sectors` };
    }
    disk.rewind();
    for (const piece of pieces) disk.apply(piece);
    disk.sync();
  }
}

/** The file when all steps are done. */
export function afterSteps(base: Uint8Array, steps: readonly PlanStep[]): Uint8Array {
  const disk = new Disk(base, steps);
  for (const step of steps) if (step.kind === 'write') disk.apply({ offset: step.offset, bytes: step.bytes() });
  return disk.file().slice();
}

type Write = Extract<PlanStep, { kind: 'write' }>;

function* rowsBetweenSyncs(steps: readonly PlanStep[]): Generator<readonly Write[], void, void> {
  let row: Write[] = [];
  for (const step of steps) {
    if (step.kind === 'write') row.push(step);
    else {
      yield row;
      row = [];
    }
  }
  if (row.length > 0) throw new Error('the plan ends without a sync');
}

function* piecesOf(offset: number, bytes: Uint8Array): Generator<Piece, void, void> {
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(bytes.length - at, SECTOR - ((offset + at) % SECTOR));
    yield { offset: offset + at, bytes: bytes.subarray(at, at + length) };
    at += length;
  }
}

/** For each sector that is written, how many of the writes to it are there. */
type Versions = Map<number, number>;

/** All ways in which sectors can be there, where they are few, else some. */
function* choices(pieces: readonly Piece[], dice: Dice, subsets: number): Generator<Versions, void, void> {
  const all: Versions = new Map();
  for (const { offset } of pieces) all.set(sectorOf(offset), (all.get(sectorOf(offset)) ?? 0) + 1);
  const ways = [...all.values()].reduce((product, count) => product * (count + 1), 1);
  if (ways <= FEW) {
    // The last one is that where everything is there; what is left of the others begins with nothing.
    for (let way = 1; way < ways - 1; way++) yield wayOf(way, all);
  } else for (let count = dice.between(1, subsets); count > 0; count--) yield randomWay(all, dice);
}

const FEW = 16;

function wayOf(number: number, all: Versions): Versions {
  let rest = number;
  return new Map(
    [...all].map(([sector, count]) => {
      const version = rest % (count + 1);
      rest = Math.floor(rest / (count + 1));
      return [sector, version];
    }),
  );
}

/** Few sectors, many, one, all but one, or as it falls. */
function randomWay(all: Versions, dice: Dice): Versions {
  const percent = dice.pick([5, 30, 50, 70, 95]);
  const odd = dice.below(all.size);
  const alone = dice.chance(20);
  return new Map(
    [...all].map(([sector, count], index) => {
      const there = alone ? (index === odd) !== percent > 50 : dice.chance(percent);
      return [sector, there ? dice.between(1, count) : 0];
    }),
  );
}

function piecesThere(pieces: readonly Piece[], versions: Versions): Piece[] {
  const left = new Map(versions);
  return pieces.filter(({ offset }) => {
    const count = left.get(sectorOf(offset)) ?? 0;
    left.set(sectorOf(offset), count - 1);
    return count > 0;
  });
}

function sectorOf(offset: number): number {
  return Math.floor(offset / SECTOR);
}

/** A file with what is on the disk for sure, and what may be on it. */
class Disk {
  /** Bytes of the file now. */
  length: number;
  readonly #now: Uint8Array;
  readonly #sure: Uint8Array;
  #sureLength: number;
  #touched: { readonly start: number; readonly end: number }[] = [];

  constructor(base: Uint8Array, steps: readonly PlanStep[]) {
    const end = Math.max(base.length, ...steps.map((step) => (step.kind === 'write' ? step.offset + step.length : 0)));
    this.#now = new Uint8Array(end);
    this.#now.set(base);
    this.#sure = this.#now.slice();
    this.length = base.length;
    this.#sureLength = base.length;
  }

  file(length: number = this.length): Uint8Array {
    return this.#now.subarray(0, length);
  }

  apply({ offset, bytes }: Piece): void {
    this.#now.set(bytes, offset);
    this.#touched.push({ start: offset, end: offset + bytes.length });
    this.length = Math.max(this.length, offset + bytes.length);
  }

  /** Everything as it is for sure. */
  rewind(): void {
    for (const { start, end } of this.#touched) this.#now.set(this.#sure.subarray(start, end), start);
    this.#touched = [];
    this.length = this.#sureLength;
  }

  /** Everything is on the disk for sure. */
  sync(): void {
    for (const { start, end } of this.#touched) this.#sure.set(this.#now.subarray(start, end), start);
    this.#touched = [];
    this.#sureLength = this.length;
  }
}
