import { type Command, Option } from 'commander';
import type { Profile } from '../migration/cutter.js';
import type { Terminal } from './terminal.js';
import type { OutputKind } from './write-set.js';

const KINDS: readonly OutputKind[] = ['capture', 'section', 'set', 'nbdinfo'];
const PROFILES: readonly Profile[] = ['qemu', 'compact'];

/** Registers the commands that write or compare. `inputOptions` adds how inputs are read. */
export function addWriteCommands(
  program: Command,
  inputOptions: (command: Command) => Command,
  terminal: Terminal,
  done: (code: number) => void,
): void {
  const list = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

  outputOptions(inputOptions(program.command('convert').argument('<input>', 'a capture, a section, a set, nbdinfo')))
    .description('the same bitmaps as a capture, a section, a bitmap set or a map of nbdinfo')
    .addOption(new Option('-O, --output-format <kind>', 'what to write').choices(KINDS).makeOptionMandatory())
    .option('--select <name>', 'NODE/NAME or NAME of a bitmap to take, several times for several; default all', list)
    .option('--rename <old=new>', 'NODE/NAME=NODE/NAME or NODE=NODE, several times for several', list)
    .option('--into <capture>', 'put them into this capture; all its other bytes stay as they are')
    .action(async (input, options) => {
      const { convert } = await import('./commands/convert.js');
      done(await convert(input, options, terminal));
    });

  inputOptions(program.command('compare').argument('<a>', 'any input').argument('<b>', 'any other'))
    .description('bitmap by bitmap, what only one of two inputs has; exit code 1 where they differ')
    .option('--bitmap <name>', 'NODE/NAME or NAME: only this one; needed where the other input is a map of nbdinfo')
    .option('--json', 'one JSON document')
    .action(async (a, b, options) => {
      const { compare } = await import('./commands/compare.js');
      done(await compare(a, b, options, terminal));
    });

  outputOptions(inputOptions(program.command('merge').argument('<input...>', 'two or more, of any kinds')))
    .description('the union of bitmaps, by node and name')
    .addOption(new Option('-O, --output-format <kind>', 'what to write').choices(KINDS).default('set'))
    .action(async (inputs, options) => {
      const { merge } = await import('./commands/merge.js');
      done(await merge(inputs, options, terminal));
    });
}

function outputOptions(command: Command): Command {
  return command
    .requiredOption('-o, --output <file>', 'where to; - is standard output')
    .option('--force', 'overwrite the output where it is there')
    .option('--machine <name>', 'of a capture: machine type of the QEMU that loads it (default: none)')
    .addOption(new Option('--profile <profile>', 'as QEMU sends (default), or the smallest it takes').choices(PROFILES))
    .option('--msgpack', 'a set as MessagePack instead of JSON')
    .option('--node <node/name>', 'the name of a bitmap that has none (nbdinfo)');
}
