import { type Command, Option } from 'commander';
import type { Limits } from '../limits.js';
import type { ChainOptions } from './commands/chain.js';
import { parseSeconds } from './plan-commands.js';
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
    .argument('[image]', 'the top of the chain: a file or a block device')
    .description(
      'the backing chain of an image, from files, for reading only; or of a running VM, from QMP, without reading files',
    )
    .addOption(
      new Option(
        '--format <format>',
        'of the top, which is never guessed, as a guest writes a raw disk (default: raw)',
      ).choices(['qcow2', 'raw']),
    )
    .option('--qmp <socket>', 'ask this QEMU instead: unix:PATH, tcp:HOST:PORT or a path')
    .option('--node <node>', 'with --qmp: the top, as a node, or as a drive or device')
    .option('--timeout <seconds>', 'for each answer of QEMU', parseSeconds, 30)
    .option('--limit <name=value>', 'another limit than the default, e.g. maxChainDepth=20', parseLimit)
    .option('--json', 'one JSON document')
    .action(async (image: string | undefined, options: ChainOptions) => {
      const { chainCommand } = await import('./commands/chain.js');
      done(await chainCommand(image, options, terminal));
    });
}
