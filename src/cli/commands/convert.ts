import { printable } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { checkOutput } from '../../io/write-file.js';
import { formatBytesExact, plural } from '../../report/text.js';
import { assertNoneLost, assertWhole } from '../../report/whole-set.js';
import { type BitmapSet, knownEnd } from '../../set/bitmap-set.js';
import { entriesOf, entryLabel } from '../../set/rename-set.js';
import type { ImageChangeOptions } from '../change-image.js';
import { renamed, selected, withNode } from '../change-names.js';
import type { Rest } from '../fit-to-disk.js';
import { loadSet } from '../load-set.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { putIntoImage } from '../put-into-image.js';
import { spliceInto } from '../splice-into.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';
import { checkOutputOptions, type OutputOptions, writeSet } from '../write-set.js';

/** What `convert` can be asked. */
export interface ConvertOptions extends InputOptions, OutputOptions, ImageChangeOptions {
  /** What becomes of the part of an image's disk that the input does not tell of. */
  readonly rest?: Rest;
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
  checkImageOptions(options);
  if (options.into !== undefined && options.outputFormat !== 'capture') {
    throw new DirtyBitmapError('argument', '--into puts bitmaps into a capture: give -O capture');
  }
  const [own = {}] = openOptions([input], options);
  // Before a large input is read.
  if (options.output !== '-' && options.outputFormat !== 'qcow2') await checkOutput(options.output, options);
  const loaded = await loadSet(input, own, terminal);
  const notes = assertWhole(loaded);
  if (options.select === undefined) assertNoneLost(loaded);
  const named = withNode(loaded, options.node, options.outputFormat !== 'nbdinfo');
  const set = renamed(selected(named, options.select), options.rename);
  if (options.outputFormat === 'qcow2') return await putIntoImage(set, options, terminal);
  notes.push(...endNotes(set, input, options.outputFormat));
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

/** What an output makes of a bitmap that is known only up to a part of its disk. */
function endNotes(set: BitmapSet, input: string, as: OutputOptions['outputFormat']): string[] {
  if (as === 'set') return [];
  return entriesOf(set).flatMap((entry) => {
    const { node, bitmap } = entry;
    const end = knownEnd(node, bitmap);
    if (end === undefined || (node.size !== undefined && end >= node.size)) return [];
    const what = `${printable(input)}: ${printable(entryLabel(entry))}`;
    if (as === 'nbdinfo') {
      const size = node.size === undefined ? 'the size of its disk is not told' : `its disk has ${node.size} bytes`;
      return [`${what}: ${size}; the map ends at byte ${end}, up to where the bitmap is known`];
    }
    return node.size === undefined
      ? []
      : [`${what} is known up to byte ${end} of ${node.size}; the rest is written as clean`];
  });
}

/** @throws DirtyBitmapError `argument` for options about images where the output is none. */
function checkImageOptions({ outputFormat, dryRun, undo, unlocked, paranoid, scan, rest }: ConvertOptions): void {
  if (outputFormat === 'qcow2') return;
  const given = { '--dry-run': dryRun, '--undo': undo, '--unlocked': unlocked, '--paranoid': paranoid, '--rest': rest };
  const [idle] =
    Object.entries({ ...given, '--no-scan': scan === false || undefined }).find(([, value]) => value) ?? [];
  if (idle === undefined) return;
  throw new DirtyBitmapError('argument', `${idle} is about images, and this output is a ${outputFormat}; leave it out`);
}
