import { printable } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { checkOutput } from '../../io/write-file.js';
import { formatBytesExact, plural } from '../../report/text.js';
import { type BitmapSet, knownEnd } from '../../set/bitmap-set.js';
import { entriesOf } from '../../set/rename-set.js';
import { renamed, selected, withNode } from '../change-names.js';
import { assertWhole, loadSet } from '../load-set.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { spliceInto } from '../splice-into.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';
import { checkOutputOptions, type OutputOptions, writeSet } from '../write-set.js';

/** What `convert` can be asked. */
export interface ConvertOptions extends InputOptions, OutputOptions {
  /** NODE/NAME of those to take; default all. */
  readonly select?: readonly string[];
  /** OLD=NEW. */
  readonly rename?: readonly string[];
  /** NODE/NAME for an input that tells none. */
  readonly node?: string;
  /** A capture to put the bitmaps into. */
  readonly into?: string;
}

/** `convert INPUT -O KIND -o OUT`: the same bitmaps in another form. */
export async function convert(input: string, options: ConvertOptions, terminal: Terminal): Promise<number> {
  checkOutputOptions(options);
  if (options.into !== undefined && options.outputFormat !== 'capture') {
    throw new DirtyBitmapError('argument', '--into puts bitmaps into a capture: give -O capture');
  }
  const [own = {}] = openOptions([input], options);
  // Before a large input is read.
  if (options.output !== '-') await checkOutput(options.output, options);
  const loaded = await loadSet(input, own, terminal);
  const notes = assertWhole(loaded);
  const named = withNode(loaded, options.node, options.outputFormat !== 'nbdinfo');
  const set = renamed(selected(named, options.select), options.rename);
  if (options.outputFormat === 'nbdinfo') notes.push(...endNote(set, input));
  const { into } = options;
  const spliced = into === undefined ? undefined : await spliceInto(into, set, options, terminal);
  const bytes = spliced?.bytes ?? (await writeSet(set, options, terminal));
  for (const note of notes) terminal.stderr.write(`dirtybitmap: ${note}\n`);
  // What is written to standard output is to stand there alone.
  if (options.output === '-') return EXIT.OK;
  const done = spliced?.done.map(({ bitmap, what }) => `${printable(bitmap)}: ${what}\n`).join('') ?? '';
  const count = plural(entriesOf(set).length, 'bitmap');
  const text = `${options.output}: ${options.outputFormat}, ${count}, ${formatBytesExact(bytes)}\n`;
  await writeOut(terminal, `${done}${into === undefined ? text : text.replace(count, `${count} put in`)}`);
  return EXIT.OK;
}

/** A stream tells no size of a disk: its map ends where its ranges do, and what follows is not in it. */
function endNote(set: BitmapSet, input: string): string[] {
  const [only] = entriesOf(set);
  const end = only && only.node.size === undefined ? knownEnd(only.node, only.bitmap) : undefined;
  if (end === undefined) return [];
  return [
    `${printable(input)} does not tell the size of the disk; its map ends at byte ${end}, up to where it was sent`,
  ];
}
