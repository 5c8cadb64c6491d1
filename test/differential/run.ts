import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dice } from './dice.js';
import { encoderCase } from './encoder-case.js';
import { mutatedCase } from './mutated-case.js';
import { type Outcome, Tally } from './outcome.js';
import { SourceMachine } from './source-case.js';
import type { QemuProgram } from './virtual-machine.js';

/** QEMUs at once: more do not help on a machine of two cores. */
const WORKERS = 2;

/** What is compared. */
export const KINDS = ['a-qemu', 'a-compact', 'b', 'c'] as const;
export type Kind = (typeof KINDS)[number];

const TITLES: Readonly<Record<Kind, string>> = {
  'a-qemu': '(a) our bitmaps, profile qemu, loaded by QEMU',
  'a-compact': '(a) our bitmaps, profile compact, loaded by QEMU',
  b: "(b) QEMU's bitmaps, read and encoded again by us",
  c: '(c) mutated streams, loaded by QEMU and by us',
};

/** Which cases are run. */
export interface RunOptions {
  readonly program: QemuProgram;
  readonly kind: Kind;
  readonly seed: number;
  /** The numbers of the cases. */
  readonly first: number;
  readonly count: number;
}

/** Runs the cases of a kind. What goes wrong with a case is a difference too. */
export async function run({ program, kind, seed, first, count }: RunOptions): Promise<Tally> {
  const tally = new Tally(`${TITLES[kind]} ${program.version}`);
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-differential-'));
  let next = first;
  const work = async (): Promise<void> => {
    const own = mkdtempSync(join(folder, 'worker-'));
    const source = new SourceMachine(program, own);
    try {
      while (next < first + count) {
        const index = next++;
        // Both profiles get the same bitmaps.
        const dice = new Dice(seed, kind.slice(0, 1), index);
        tally.add(index, await one(kind, program, dice, own, source).catch(failed));
      }
    } finally {
      await source.stop();
    }
  };
  try {
    await Promise.all(Array.from({ length: WORKERS }, work));
  } finally {
    rmSync(folder, { recursive: true });
  }
  return tally;
}

function one(kind: Kind, program: QemuProgram, dice: Dice, folder: string, source: SourceMachine): Promise<Outcome> {
  if (kind === 'b') return source.run(dice);
  if (kind === 'c') return mutatedCase(program, dice, folder);
  return encoderCase(program, dice, folder, kind === 'a-qemu' ? 'qemu' : 'compact');
}

function failed(error: unknown): Outcome {
  return { kind: 'differ', problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)] };
}
