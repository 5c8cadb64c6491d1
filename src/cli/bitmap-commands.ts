import { type Command, InvalidArgumentError, Option } from 'commander';
import { isGranularity } from '../bitmap/granularity.js';
import type { Limits } from '../limits.js';
import type { ImageChangeOptions } from './change-image.js';
import type { OperationName } from './commands/bitmap.js';
import type { Terminal } from './terminal.js';

type Bytes = (text: string) => number;
type Limit = (text: string, before?: Partial<Limits>) => Partial<Limits>;

/** Registers `bitmap`, with a command for each operation on the bitmaps of an image. */
export function addBitmapCommands(
  program: Command,
  bytes: Bytes,
  limit: Limit,
  terminal: Terminal,
  done: (code: number) => void,
): void {
  const bitmap = program
    .command('bitmap')
    .description('change the bitmaps of a qcow2 image, in an order in which no crash can hurt');
  const granularity: Bytes = (text) => {
    const value = bytes(text);
    if (!isGranularity(value)) throw new InvalidArgumentError('expected a power of two from 512 to 2g');
    return value;
  };
  /** A command of which the first argument is the image. */
  const command = (name: string, args: string, text: string): Command =>
    imageOptions(bitmap.command(`${name} <image> ${args}`.trim()).description(text))
      .option('--json', 'one JSON document')
      .option('--limit <name=value>', 'another limit than the default, as in info', limit);
  const run =
    (name: OperationName) =>
    async (...given: unknown[]): Promise<void> => {
      const [image = '', ...names] = given.slice(0, -2).flat() as string[];
      const { changeBitmaps } = await import('./commands/bitmap.js');
      done(await changeBitmaps(name, image, names, given.at(-2) as ImageChangeOptions, terminal));
    };

  command('add', '<name>', 'a new bitmap that is clean and records writes from now on')
    .option('-g, --granularity <bytes>', 'default: the cluster size, 4k at least and 64k at most', granularity)
    .option('--disabled', 'does not record writes')
    .option('--all-dirty', 'all of it dirty, so that the next incremental backup is a full one')
    .action(run('add'));
  command('remove', '<name>', 'remove a bitmap, whatever its state').action(run('remove'));
  command('rename', '<old> <new>', 'give a bitmap another name').action(run('rename'));
  command('enable', '<name>', 'record writes in a bitmap').action(run('enable'));
  command('disable', '<name>', 'record no more writes in a bitmap').action(run('disable'));
  command('clear', '<name>', 'make all of a bitmap clean').action(run('clear'));
  command('merge', '<name> <source...>', 'make dirty in a bitmap what is dirty in others')
    .option('--from <input>', 'the others are of this input: an image, a capture, a set (NAME or NODE/NAME)')
    .addOption(restOption())
    .action(run('merge'));
  command('reset', '<name>', 'make all of a bitmap dirty whose bits are lost (in use, damaged)').action(run('reset'));
  command('drop-all', '', 'drop all bitmaps, also where the list of them is broken').action(run('drop-all'));
  bitmap
    .command('undo <image> <file>')
    .description('put back what a change with --undo has overwritten, where nothing has written the image since')
    .option('--unlocked', UNLOCKED)
    .option('--json', 'one JSON document')
    .action(run('undo'));
}

const UNLOCKED = 'with an image: without a lock; nobody else has it open, you say';

/** How an image is changed: the same for all commands that do. */
export function imageOptions(command: Command): Command {
  return command
    .option('--dry-run', 'with an image: only print what would be written, in order')
    .option('--undo <file>', 'with an image: first write there every byte that is overwritten, for `bitmap undo`')
    .option('--unlocked', UNLOCKED)
    .option('--no-scan', 'with an image: leave clusters as leaks rather than read all tables to prove whose they are')
    .option('--paranoid', 'with an image: never rely on 24 bytes of a sector being written all or not at all');
}

/** What becomes of the part of the disk that an input does not tell of. */
export function restOption(): Option {
  const text = 'with an image: make this of the part of the disk that the input does not tell of (default: refuse)';
  return new Option('--rest <state>', text).choices(['clean', 'dirty']);
}
