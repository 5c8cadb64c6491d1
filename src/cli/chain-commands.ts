import { type Command, Option } from 'commander';
import type { Limits } from '../limits.js';
import type { ChainOptions } from './commands/chain.js';
import type { Terminal } from './terminal.js';

/**
 * Registers `chain`.
 * @param parseLimit reads one `--limit`, and adds it to those before.
 */
export function addChainCommands(
  program: Command,
  parseLimit: (text: string, before?: Partial<Limits>) => Partial<Limits>,
  terminal: Terminal,
  done: (code: number) => void,
): void {
  program
    .command('chain')
    .argument('<image>', 'the top of the chain: a file or a block device')
    .description('the backing chain of an image: layers, formats, sizes, bitmaps; opens files only, for reading only')
    .addOption(
      new Option(
        '--format <format>',
        'of the top, which is never guessed, as a guest writes a raw disk (default: raw)',
      ).choices(['qcow2', 'raw']),
    )
    .option('--limit <name=value>', 'another limit than the default, e.g. maxChainDepth=20', parseLimit)
    .option('--json', 'one JSON document')
    .action(async (image: string, options: ChainOptions) => {
      const { chainCommand } = await import('./commands/chain.js');
      done(await chainCommand(image, options, terminal));
    });
}
