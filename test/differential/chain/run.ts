import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dice } from '../dice.js';
import { Tally } from '../outcome.js';
import { chainCase } from './case.js';
import { ChainMachine } from './machine.js';

/** Which cases are run. */
export interface ChainRunOptions {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  /** A QEMU; default that of the system. */
  readonly program?: string;
}

/** Runs cases in one QEMU after the other; a new QEMU follows one that a case has broken. */
export async function runChains({
  seed,
  first,
  count,
  program = 'qemu-system-x86_64',
}: ChainRunOptions): Promise<Tally> {
  const tally = new Tally('plans applied to chains of a real QEMU');
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-chains-'));
  let machine: ChainMachine | undefined;
  try {
    for (let index = first; index < first + count; index++) {
      machine ??= await ChainMachine.start(program, mkdtempSync(join(folder, 'vm-')));
      try {
        tally.add(index, await chainCase(machine, new Dice(seed, 'chain', index), index));
      } catch (error) {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        tally.add(index, { kind: 'differ', problems: [text] });
        await machine.stop();
        machine = undefined;
      }
    }
  } finally {
    await machine?.stop();
    rmSync(folder, { recursive: true });
  }
  return tally;
}
