import { printable } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { checkOutput } from '../../io/write-file.js';
import { resolveLimits } from '../../limits.js';
import { formatBytes, formatBytesExact, plural } from '../../report/text.js';
import { assertNoneLost, assertWhole, type LoadedSet } from '../../report/whole-set.js';
import type { BitmapSet } from '../../set/bitmap-set.js';
import { type MergedBitmap, mergeSets } from '../../set/merge-sets.js';
import { entriesOf } from '../../set/rename-set.js';
import { withNode } from '../change-names.js';
import { loadSet } from '../load-set.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';
import { checkOutputOptions, type OutputOptions, writeSet } from '../write-set.js';

/** What `merge` can be asked. */
export interface MergeOptions extends InputOptions, OutputOptions {
  /** NODE/NAME for inputs that tell none; default the only bitmap of the others. */
  readonly node?: string;
}

/** `merge A B ... -o OUT`: dirty is what is dirty in any of the inputs, by node and name. */
export async function merge(inputs: readonly string[], options: MergeOptions, terminal: Terminal): Promise<number> {
  checkOutputOptions(options);
  if (inputs.length < 2) throw new DirtyBitmapError('argument', 'merge takes two inputs or more; see convert for one');
  const own = openOptions(inputs, options);
  if (options.output !== '-') await checkOutput(options.output, options);
  const loaded: LoadedSet[] = [];
  const notes: string[] = [];
  for (const [at, input] of inputs.entries()) {
    const one = await loadSet(input, own[at] ?? {}, terminal);
    notes.push(...assertWhole(one));
    assertNoneLost(one);
    loaded.push(one);
  }
  const memory = { used: 0, max: resolveLimits(options.limit).maxBitmapMemory };
  const { set, bitmaps } = mergeSets(namedSets(loaded, options), memory);
  const bytes = await writeSet(set, options, terminal);
  for (const note of notes) terminal.stderr.write(`dirtybitmap: ${note}\n`);
  const said = bitmaps.map(mergedText);
  // What is written to standard output is to stand there alone.
  if (options.output === '-') {
    terminal.stderr.write(`${said.join('\n')}\n`);
  } else {
    const what = `${options.output}: ${options.outputFormat}, ${plural(bitmaps.length, 'bitmap')}`;
    await writeOut(terminal, `${[...said, `${what}, ${formatBytesExact(bytes)}`].join('\n')}\n`);
  }
  return EXIT.OK;
}

/** The sets with names: those of `--node`, or of the only bitmap that has one. */
function namedSets(loaded: readonly LoadedSet[], { node, outputFormat }: MergeOptions): BitmapSet[] {
  const named = loaded.filter(({ format }) => format !== 'nbdinfo');
  const names = new Map(
    named
      .flatMap(({ set }) => entriesOf(set))
      .map((entry): [string, string] => {
        const text = `${entry.node.node.text}/${entry.bitmap.name.text}`;
        return [text, text];
      }),
  );
  const only = names.size === 1 ? [...names.values()][0] : undefined;
  if (node !== undefined && loaded.every(({ format }) => format !== 'nbdinfo' && format !== 'qcow2')) {
    throw new DirtyBitmapError('argument', '--node names what has no name, and all inputs have names; leave it out');
  }
  return loaded.map((one) => {
    if (one.format === 'nbdinfo') return withNode(one, node ?? only, named.length > 0 || outputFormat !== 'nbdinfo');
    return one.format === 'qcow2' ? withNode(one, node?.split('/')[0], true) : one.set;
  });
}

function mergedText({ node, name, inputs, granularities, mixedFlags, count }: MergedBitmap): string {
  const label = name.bytes.length === 0 ? 'the bitmap' : printable(`${node.text}/${name.text}`);
  const parts = [inputs === 1 ? 'from one input' : `union of ${inputs} inputs`, `${formatBytesExact(count)} dirty`];
  if (granularities.length > 1) {
    const smallest = formatBytes(Math.min(...granularities));
    parts.push(`granularities ${granularities.map(formatBytes).join(', ')} made ${smallest}`);
  }
  for (const flag of mixedFlags) parts.push(`${flag}, as not all of them are`);
  return `${label}: ${parts.join('; ')}`;
}
