import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { printable } from '../bytes/text.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import { DEFAULT_LIMITS, type Limits } from '../limits.js';
import { QEMU_VERSIONS } from '../migration/qemu-version.js';
import type { Format } from '../report/input-report.js';
import { jsonText } from '../report/text.js';
import { addBitmapCommands } from './bitmap-commands.js';
import { addChainCommands } from './chain-commands.js';
import { addCompletionCommand } from './completion-command.js';
import { addInspectCommand } from './inspect-commands.js';
import { addPlanCommands } from './plan-commands.js';
import { addTapCommands } from './tap-commands.js';
import { EXIT, EXIT_TEXTS, errorDocument, errorLine, exitCodeOf, type Terminal, writeOut } from './terminal.js';
import { addWatchCommand } from './watch-commands.js';
import { addWireCommands } from './wire-commands.js';
import { addWriteCommands } from './write-commands.js';

type InputFormat = Format | 'auto';

/** What holds for every command with an input. */
export const INPUT_TEXT = 'INPUT is a file, or - for standard input.';

const FORMATS: readonly Format[] = ['capture', 'section', 'set', 'nbdinfo', 'qcow2'];

/** A number of bytes as qemu-img takes it: `4096`, `0x1000`, `4k`. */
function parseBytes(text: string): number {
  const match = /^(0x[0-9a-f]+|\d+)([kmgt]?)$/i.exec(text);
  const bytes = match ? Number(match[1]) * 1024 ** ' kmgt'.indexOf(match[2]?.toLowerCase() || ' ') : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError('expected bytes: 4096, 0x1000, 4k, 1m');
  return bytes;
}

function inputOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--format <kind>',
        'kind of input, instead of looking at its content; with several inputs once for all, or for each in order (auto: look)',
      )
        .choices([...FORMATS, 'auto'])
        .argParser(parseFormat),
    )
    .option('--offset <bytes>', 'where the stream begins in the file', parseBytes)
    .option(
      '--limit <name=value>',
      `another limit than the default, e.g. maxBitmapMemory=4g (${LIMIT_NAMES})`,
      parseLimit,
    );
}

function parseFormat(text: string, before: readonly InputFormat[] = []): readonly InputFormat[] {
  const format = [...FORMATS, 'auto' as const].find((one) => one === text);
  if (format === undefined) throw new InvalidArgumentError(`Allowed choices are ${FORMATS.join(', ')}, auto.`);
  return [...before, format];
}

const LIMIT_NAMES = Object.keys(DEFAULT_LIMITS).join(', ');

function parseLimit(text: string, before: Partial<Limits> = {}): Partial<Limits> {
  const [name = '', value = ''] = text.split('=');
  if (!Object.hasOwn(DEFAULT_LIMITS, name))
    throw new InvalidArgumentError(`expected NAME=VALUE, NAME of ${LIMIT_NAMES}`);
  return { ...before, [name]: parseBytes(value) };
}

/**
 * The command line. Each command's code is loaded when it is called.
 * @param done takes the exit code of the command that ran.
 */
export function buildProgram(terminal: Terminal, done: (code: number) => void): Command {
  const program = new Command('dirtybitmap')
    .description(
      'QEMU dirty bitmaps in migration streams, qcow2 images, running QEMUs and files: read, move, check and repair them.',
    )
    .version(terminal.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      outputError: (text, write) => write(`dirtybitmap: ${printable(text.trimEnd().replace(/^error: /, ''))}\n`),
    })
    .addHelpText(
      'after',
      `\n${INPUT_TEXT} Exit codes: ${Object.entries(EXIT_TEXTS)
        .map((one) => one.join(' '))
        .join(', ')}.`,
    );

  inputOptions(
    program.command('info').argument('<input...>', 'captures, sections, bitmap sets, maps of nbdinfo or qcow2 images'),
  )
    .description('what is in it: bitmaps, their flags, how much is dirty, findings')
    .option('--json', 'one JSON document')
    .action(async (inputs, options) => {
      const { info } = await import('./commands/info.js');
      done(await info(inputs, options, terminal));
    });

  inputOptions(
    program.command('map').argument('<input>', 'a capture, a section, a bitmap set, a map of nbdinfo or a qcow2 image'),
  )
    .description('the dirty extents of one bitmap')
    .option('--bitmap <name>', 'NODE/NAME or NAME; may be left out where there is only one')
    .option('--chain', 'of all layers of the backing chain of a qcow2 image together')
    .addOption(new Option('--graph', 'a picture of the disk instead of a list').conflicts('json'))
    .option('--json', 'the shape of nbdinfo --map --json')
    .action(async (input, options) => {
      const { map } = await import('./commands/map.js');
      done(await map(input, options, terminal));
    });

  inputOptions(
    program.command('check').argument('<input...>', 'captures, sections, bitmap sets, maps of nbdinfo or qcow2 images'),
  )
    .description('every violation, with its rule and byte offset; what a QEMU would do with a capture')
    .addOption(
      new Option('--as <qemu>', 'what that QEMU would do with it; qemu is 7.2').choices([
        'qemu',
        ...QEMU_VERSIONS.map((version) => `qemu-${version}`),
      ]),
    )
    .option('--destination <file>', 'JSON that describes the QEMU of --as: its nodes, bitmaps and mapping')
    .option('--json', 'one JSON document')
    .action(async (inputs, options) => {
      const { check } = await import('./commands/check.js');
      done(await check(inputs, options, terminal));
    });

  inputOptions(program.command('trace').argument('<input>', 'a capture or a section'))
    .description('chunk by chunk, with byte offsets')
    .addOption(new Option('--json', 'JSON lines, from which the same bytes can be made').conflicts('msgpack'))
    .option('--msgpack', 'the same as MessagePack')
    .action(async (input, options) => {
      const { trace } = await import('./commands/trace.js');
      done(await trace(input, options, terminal));
    });

  addWriteCommands(program, inputOptions, terminal, done);
  addBitmapCommands(program, parseBytes, parseLimit, terminal, done);
  addChainCommands(program, parseLimit, terminal, done);
  addPlanCommands(program, terminal, done);
  addWireCommands(program, inputOptions, parseBytes, parseLimit, terminal, done);
  addWatchCommand(program, terminal, done);
  addInspectCommand(program, terminal, done);
  addTapCommands(program, parseLimit, terminal, done);
  addCompletionCommand(program, terminal, done);
  return program;
}

/**
 * Runs a command line.
 * @param args without node and the script.
 * @returns the exit code: see {@link EXIT}.
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  let code: number = EXIT.OK;
  const program = buildProgram(terminal, (result) => {
    code = result;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError) && !isDirtyBitmapError(error)) throw error;
    const used = error instanceof CommanderError;
    if (used && error.exitCode === 0) return EXIT.OK;
    const failure = used ? new DirtyBitmapError('argument', error.message.replace(/^error: /, '')) : error;
    // What is wrong with the command line was told already, by the parser.
    if (!used) terminal.stderr.write(errorLine(failure));
    if (args.includes('--json')) await writeOut(terminal, `${jsonText(errorDocument(failure))}\n`);
    return exitCodeOf(failure);
  }
}
