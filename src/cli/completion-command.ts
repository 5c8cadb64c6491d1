import { Argument, type Command } from 'commander';
import { EXIT, type Terminal, writeOut } from './terminal.js';

/** Registers `completion`. It speaks of all commands, also of those that are registered after it. */
export function addCompletionCommand(program: Command, terminal: Terminal, done: (code: number) => void): void {
  program
    .command('completion')
    .description('a script that completes this command line in a shell: source <(dirtybitmap completion bash)')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: string) => {
      const { COMPLETIONS } = await import('./completion/scripts.js');
      const { commandWords } = await import('./completion/command-words.js');
      await writeOut(terminal, COMPLETIONS[shell as keyof typeof COMPLETIONS](commandWords(program)));
      done(EXIT.OK);
    });
}
