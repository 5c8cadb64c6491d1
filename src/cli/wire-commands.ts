import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Limits } from '../limits.js';
import type { Profile } from '../migration/cutter.js';
import { restOption } from './bitmap-commands.js';
import type { Terminal } from './terminal.js';
import type { OutputKind } from './write-set.js';

const KINDS: readonly OutputKind[] = ['capture', 'section', 'set', 'nbdinfo'];
const PROFILES: readonly Profile[] = ['qemu', 'compact'];
/** Seconds. */
const PATIENCE = 120;

/** Registers the commands that migrate: a destination and a source for a real QEMU. */
export function addWireCommands(
  program: Command,
  inputOptions: (command: Command) => Command,
  bytes: (text: string) => number,
  limit: (text: string, before?: Partial<Limits>) => Partial<Limits>,
  terminal: Terminal,
  done: (code: number) => void,
): void {
  const list = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
  const names = (command: Command): Command =>
    command
      .option('--select <name>', 'NODE/NAME or NAME of a bitmap to take, several times for several; default all', list)
      .option('--rename <old=new>', 'NODE/NAME=NODE/NAME or NODE=NODE, several times for several', list)
      .option('--timeout <seconds>', 'give up when the other side hangs for so long; 0: never', seconds, PATIENCE)
      .option('--json', 'one JSON document');

  names(program.command('receive'))
    .description(
      'be the destination of a QEMU that migrates, and keep its bitmaps; the guest can go on at the source with `cont`',
    )
    .requiredOption('--listen <address>', 'unix:PATH or tcp:HOST:PORT; without HOST the loopback')
    .option('-o, --output <file>', 'where the bitmaps are written to when all are there; - is standard output')
    .addOption(new Option('-O, --output-format <kind>', 'what to write (default: set)').choices(KINDS))
    .option(
      '--into <image>',
      'qcow2:IMAGE or NODE=qcow2:IMAGE: put them into an image, several times for several',
      list,
    )
    .addOption(restOption())
    .option(
      '--once',
      'end after the first migration; else after the first that was written, and with --force or without an output never',
    )
    .option('--force', 'overwrite the output where it is there; with --into bitmaps of the same names')
    .option('--machine <name>', 'of a capture: machine type of the QEMU that loads it (default: none)')
    .addOption(new Option('--profile <profile>', 'as QEMU sends (default), or the smallest it takes').choices(PROFILES))
    .option('--msgpack', 'a set as MessagePack instead of JSON')
    .option('--limit <name=value>', 'another limit than the default, as in info', limit)
    .action(async (options) => {
      const { receive } = await import('./commands/receive.js');
      done(await receive(options, terminal));
    });

  names(inputOptions(program.command('send').argument('<input>', 'any input')))
    .description('be the source for a QEMU that waits with -incoming: migrate bitmaps into it, and nothing else')
    .requiredOption('--connect <address>', 'unix:PATH or tcp:HOST:PORT')
    .option('--machine <name>', 'machine type of the QEMU, as in its -machine (default: none)')
    .option('--rate <bytes>', 'bytes per second that are not exceeded: 4096, 4k, 1m', bytes)
    .addOption(new Option('--profile <profile>', 'as QEMU sends (default), or the smallest it takes').choices(PROFILES))
    .option('--no-return-path', 'do not ask whether the stream was loaded: the other side cannot answer')
    .option('--node <name>', 'NODE/NAME of a bitmap that has none (nbdinfo), NODE of an image (default: its file)')
    .action(async (input, options) => {
      const { send } = await import('./commands/send.js');
      done(await send(input, options, terminal));
    });
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0) || value > 86_400)
    throw new InvalidArgumentError('expected 0 to 86400 seconds');
  return value;
}
