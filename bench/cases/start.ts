import { asTime, type Case } from '../case.js';
import { commandLine } from '../library.js';
import { compare } from '../measure.js';
import { runProcess } from '../processes.js';

const startCase: Case = {
  name: 'start',
  group: 'start',
  title: 'start of the command line: --version (time)',
  against: 'node -e 0',
  goal: { atMost: 1.5 },
  run: async ({ dist, pace }) => {
    const node = (...args: string[]): number => runProcess(process.execPath, args).milliseconds;
    const ours = { name: 'dirtybitmap', round: () => node(commandLine(dist), '--version') };
    const comparison = await compare(ours, [{ name: 'node', round: () => node('-e', '0') }], pace);
    return { ...asTime(comparison), against: undefined, note: `${comparison.ours.toFixed(0)} ms` };
  },
};

export const START: readonly Case[] = [startCase];
