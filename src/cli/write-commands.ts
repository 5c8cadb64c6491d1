import { type Command, Option } from 'commander';
import type { Profile } from '../migration/cutter.js';
import { imageOptions, restOption } from './bitmap-commands.js';
import type { Terminal } from './terminal.js';
import type { OutputKind } from './write-set.js';

const KINDS: readonly OutputKind[] = ['capture', 'section', 'set', 'nbdinfo'];
const WITH_IMAGES: readonly OutputKind[] = [...KINDS, 'qcow2'];
const PROFILES: readonly Profile[] = ['qemu', 'compact'];

/** Registers the commands that write or compare. `inputOptions` adds how inputs are read. */
export function addWriteCommands(
  program: Command,
  inputOptions: (command: Command) => Command,
  terminal: Terminal,
  done: (code: number) => void,
): void {
  const list = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

  const convertCommand = program.command('convert').argument('<input>', 'any input');
  imageOptions(outputOptions(inputOptions(convertCommand)))
    .description('the same bitmaps in another form, or in a qcow2 image')
    .addOption(
      new Option('-O, --output-format <kind>', 'what to write; qcow2: into an image that is there')
        .choices(WITH_IMAGES)
        .makeOptionMandatory(),
    )
    .option('--select <name>', 'NODE/NAME or NAME of a bitmap to take, several times for several; default all', list)
    .option('--rename <old=new>', 'NODE/NAME=NODE/NAME or NODE=NODE, several times for several', list)
    .addOption(restOption())
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

  inputOptions(program.command('report').argument('<input...>', 'any inputs; of two the differences are shown, too'))
    .description('a page with pictures of what is in the inputs; exit code 1 where one of them has errors, as of info')
    .requiredOption('-o, --output <file>', 'where to, HTML; - is standard output')
    .option('--force', 'overwrite the output where it is there')
    .option('--chain', 'with all layers of the backing chains of qcow2 images')
    .action(async (inputs, options) => {
      const { report } = await import('./commands/report.js');
      done(await report(inputs, options, terminal));
    });
}

function outputOptions(command: Command): Command {
  return command
    .requiredOption('-o, --output <file>', 'where to; - is standard output; for qcow2 the image')
    .option('--force', 'overwrite the output where it is there; for qcow2 bitmaps of the same names')
    .option('--machine <name>', 'of a capture: machine type of the QEMU that loads it (default: none)')
    .addOption(new Option('--profile <profile>', 'as QEMU sends (default), or the smallest it takes').choices(PROFILES))
    .option('--msgpack', 'a set as MessagePack instead of JSON')
    .option('--node <name>', 'NODE/NAME of a bitmap that has none (nbdinfo), NODE of an image (default: its file)');
}
