import { type Command, Option } from 'commander';
import type { WatchCommandOptions } from './commands/watch.js';
import { parseSeconds } from './plan-commands.js';
import type { Terminal } from './terminal.js';

/** Registers `watch`. */
export function addWatchCommand(program: Command, terminal: Terminal, done: (code: number) => void): void {
  program
    .command('watch')
    .description(
      'what a migration does with the bitmaps of a running VM: blocked, lost, stalling; follows it to its end and compares both ends',
    )
    .requiredOption('--qmp <socket>', 'the source: unix:PATH, tcp:HOST:PORT or a path')
    .option('--dst-qmp <socket>', 'the destination, to see what would be lost there')
    .addOption(new Option('--check', 'only look, before the migration').conflicts('verify'))
    .option('--verify', 'only compare both ends, after the migration')
    .option('--interval <seconds>', 'from one question to the next', parseSeconds, 1)
    .option('--timeout <seconds>', 'for each answer of QEMU, and for the destination to complete', parseSeconds, 30)
    .option('--json', 'one JSON document')
    .action(async (options: WatchCommandOptions) => {
      const { watchCommand } = await import('./commands/watch.js');
      done(await watchCommand(options, terminal));
    });
}
