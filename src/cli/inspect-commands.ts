import { type Command, InvalidArgumentError } from 'commander';
import type { Terminal } from './terminal.js';

/** Registers the command that serves the inspector. */
export function addInspectCommand(program: Command, terminal: Terminal, done: (code: number) => void): void {
  program
    .command('inspect')
    .argument('[file]', 'a capture, a bitmap set or a qcow2 image')
    .description('look into it in a browser: a page on this computer alone, which prints where it is')
    .option('--port <port>', 'listen there (default: any that is free)', port, 0)
    .action(async (file, options) => {
      const { inspect } = await import('./commands/inspect.js');
      done(await inspect(file, options, terminal));
    });
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535) throw new InvalidArgumentError('expected 0 to 65535');
  return value;
}
