import type { Command } from 'commander';
import type { Limits } from '../limits.js';
import type { Terminal } from './terminal.js';

/** Registers `tap`. */
export function addTapCommands(
  program: Command,
  limit: (text: string, before?: Partial<Limits>) => Partial<Limits>,
  terminal: Terminal,
  done: (code: number) => void,
): void {
  const list = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
  program
    .command('tap')
    .description(
      'between a source and a destination that migrate: passes all on as it is, and shows and records the bitmaps',
    )
    .requiredOption(
      '--listen <address>',
      'where the source connects to: unix:PATH or tcp:HOST:PORT; without HOST the loopback',
    )
    .requiredOption('--connect <address>', 'where the destination waits')
    .option('--record <file>', 'keep what goes to the destination: a capture, with all of RAM')
    .option('--record-meta <file>', 'keep a capture of the bitmaps alone, without RAM and devices')
    .option('--rename <old=new>', 'NODE/NAME=NODE/NAME or NODE=NODE, several times for several', list)
    .option(
      '--drop <name>',
      'NODE/NAME, or NODE for all of its bitmaps: leave them out, several times for several',
      list,
    )
    .option('--add <set>', 'put in the bitmaps of any input; they replace those of their names')
    .option(
      '--drop-switchover-start',
      'leave out the command at which QEMU 5.2 to 7.2 refuse the stream of a 10.0 or later',
    )
    .option('--force', 'overwrite what is recorded where it is there')
    .option('--json', 'one JSON document')
    .option('--limit <name=value>', 'another limit than the default, as in info', limit)
    .addHelpText(
      'after',
      '\nOne migration, then it ends. TLS passes unseen; RDMA does not go over sockets, and so not through here.\nNothing is changed unless that is asked for; what is changed is said, and is as it is changed in what is shown and recorded.',
    )
    .action(async (options) => {
      const { tap } = await import('./commands/tap.js');
      done(await tap(options, terminal));
    });
}
