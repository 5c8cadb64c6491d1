import { Bitmap } from '../../bitmap/bitmap.js';
import { type Name, nameFromText, printable, quoted } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import type { WantedBitmap } from '../../qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../qcow2/image.js';
import {
  addBitmaps,
  bitmapNamed,
  bitsOf,
  mergeIntoBitmap,
  putBitmaps,
  removeBitmap,
  renameBitmap,
  resetBitmap,
  setRecording,
} from '../../qcow2/operations.js';
import { formatBytes, formatBytesExact, jsonText, plural } from '../../report/text.js';
import { assertWhole } from '../../report/whole-set.js';
import { entriesOf, type SetEntry } from '../../set/rename-set.js';
import { type ChangeDocument, changeImage, commitOptions, type ImageChangeOptions } from '../change-image.js';
import { entryOf } from '../change-names.js';
import { bitsForDisk, type Rest } from '../fit-to-disk.js';
import { loadSet } from '../load-set.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';

/** What can be done to the bitmaps of an image. */
export type OperationName =
  | 'add'
  | 'remove'
  | 'rename'
  | 'enable'
  | 'disable'
  | 'clear'
  | 'merge'
  | 'reset'
  | 'drop-all'
  | 'undo';

/** What `bitmap OPERATION` can be asked. */
export interface BitmapOptions extends ImageChangeOptions {
  /** In bytes. */
  readonly granularity?: number;
  readonly disabled?: boolean;
  readonly allDirty?: boolean;
  /** Where the sources of `merge` are. */
  readonly from?: string;
  /** What becomes of the part of the disk that these do not tell of. */
  readonly rest?: Rest;
}

/** An operation on an image: the list it is to have, and what is said of it. */
interface Change {
  readonly list: (image: Qcow2Image) => readonly WantedBitmap[];
  readonly said: (image: Qcow2Image) => string;
}

type MakeChange = (
  name: Name,
  others: readonly Name[],
  options: BitmapOptions,
  terminal: Terminal,
) => Change | Promise<Change>;

/** `bitmap OPERATION IMAGE NAME...`: changes the bitmaps of an image. */
export async function changeBitmaps(
  operation: OperationName,
  image: string,
  names: readonly string[],
  options: BitmapOptions,
  terminal: Terminal,
): Promise<number> {
  if (operation === 'undo') return await undo(image, names[0] ?? '', options, terminal);
  if (operation === 'drop-all') return await dropAll(image, options, terminal);
  const [name, ...others] = names.map((text) => nameFromText(text));
  if (name === undefined) throw new DirtyBitmapError('argument', 'expected the name of a bitmap');
  const change = await CHANGES[operation](name, others, options, terminal);
  await changeImage(image, change.list, (now) => [change.said(now)], options, terminal);
  return EXIT.OK;
}

const CHANGES: Readonly<Record<Exclude<OperationName, 'drop-all' | 'undo'>, MakeChange>> = {
  add(name, _others, { granularity, disabled, allDirty }) {
    const size = (image: Qcow2Image): number => granularity ?? defaultGranularity(image);
    return {
      list(image) {
        const bits = allDirty === true ? 'all-dirty' : cleanBits(image, size(image));
        return addBitmaps(image, [{ kind: 'new', name, granularity: size(image), auto: disabled !== true, bits }]);
      },
      said(image) {
        const state = `${allDirty === true ? 'all dirty' : 'clean'}, ${disabled === true ? 'disabled' : 'records writes'}`;
        return `bitmap ${quoted(name.text)} added: granularity ${formatBytes(size(image))}, ${state}`;
      },
    };
  },
  remove: (name) => ({
    list: (image) => removeBitmap(image, name),
    said: (image) => `bitmap ${quoted(name.text)} removed (it was ${bitmapNamed(image, name).trust})`,
  }),
  rename: (name, [to]) => ({
    list: (image) => renameBitmap(image, name, to ?? name),
    said: () => `bitmap ${quoted(name.text)} renamed to ${quoted(to?.text ?? '')}`,
  }),
  enable: (name) => ({
    list: (image) => setRecording(image, name, true),
    said: () => `bitmap ${quoted(name.text)} records writes`,
  }),
  disable: (name) => ({
    list: (image) => setRecording(image, name, false),
    said: () => `bitmap ${quoted(name.text)} records no more writes`,
  }),
  clear: (name) => ({
    list(image) {
      const bitmap = bitmapNamed(image, name);
      // What cannot be read is to be reset, not cleared: clean would be a lie.
      bitsOf(bitmap);
      const { granularity, auto, name: own } = bitmap;
      return putBitmaps(image, [{ kind: 'new', name: own, granularity, auto, bits: cleanBits(image, granularity) }]);
    },
    said: (image) => {
      const dirty = bitsOf(bitmapNamed(image, name)).count();
      return `bitmap ${quoted(name.text)} cleared (${formatBytesExact(dirty)} were dirty)`;
    },
  }),
  async merge(name, sources, { from, limit, rest }, terminal) {
    const other = from === undefined ? undefined : await sourcesFrom(from, sources, limit, terminal);
    const texts = sources.map(({ text }) => quoted(text));
    return {
      list: (image) =>
        mergeIntoBitmap(
          image,
          name,
          other?.map((entry) => bitsForDisk(entry, { label: 'the image', size: image.header.virtualSize }, rest)) ??
            sources.map((source) => bitsOf(bitmapNamed(image, source))),
        ),
      said: () => `bitmap ${quoted(name.text)} has what is dirty in ${texts.join(', ')} too`,
    };
  },
  reset: (name) => ({
    list: (image) => resetBitmap(image, name),
    said: (image) =>
      `bitmap ${quoted(name.text)} reset: all of it is dirty (it was ${bitmapNamed(image, name).trust}); the next ` +
      'incremental backup is a full one',
  }),
};

function cleanBits({ header: { virtualSize } }: Qcow2Image, granularity: number): Bitmap {
  return new Bitmap(granularity, { size: virtualSize });
}

/** QEMU's: the size of a cluster, 4 KiB at least and 64 KiB at most. */
function defaultGranularity({ header: { clusterSize } }: Qcow2Image): number {
  return Math.min(65_536, Math.max(4096, clusterSize));
}

/** Bitmaps of another input. */
async function sourcesFrom(
  from: string,
  names: readonly Name[],
  limit: BitmapOptions['limit'],
  terminal: Terminal,
): Promise<SetEntry[]> {
  const loaded = await loadSet(from, { ...(limit && { limit }) }, terminal);
  for (const note of assertWhole(loaded)) terminal.stderr.write(`dirtybitmap: ${note}\n`);
  const entries = entriesOf(loaded.set);
  return names.map(({ text }) => {
    const lost = loaded.lost.find(({ name }) => name.text === text);
    if (lost !== undefined) throw new DirtyBitmapError('bitmap-inconsistent', `${quoted(from, 256)}: ${lost.message}`);
    return entryOf(entries, text);
  });
}

async function dropAll(image: string, options: BitmapOptions, terminal: Terminal): Promise<number> {
  const { dropBitmaps } = await import('../../io/drop-bitmaps.js');
  const broken = await dropBitmaps(image, commitOptions(options));
  if (broken === undefined) {
    const said = (now: Qcow2Image): string[] => [`${plural(now.bitmaps.length, 'bitmap')} dropped`];
    await changeImage(image, () => [], said, options, terminal);
    return EXIT.OK;
  }
  const done = options.dryRun === true ? 'would be' : 'was';
  const change = `the list of bitmaps is broken (${broken.code}) and ${done} given up: QEMU opens the image again`;
  if (options.json === true) {
    const told: ChangeDocument = {
      image,
      dryRun: options.dryRun === true,
      changes: [change],
      undo: options.undo ?? null,
    };
    await writeOut(terminal, `${jsonText(told, 2)}\n`);
    return EXIT.OK;
  }
  await writeOut(terminal, `${printable(image)}: ${change}; \`qemu-img check -r leaks\` gives their clusters back\n`);
  return EXIT.OK;
}

async function undo(image: string, file: string, options: BitmapOptions, terminal: Terminal): Promise<number> {
  const { undoCommit } = await import('../../io/qcow2-commit.js');
  const count = await undoCommit(image, file, commitOptions(options));
  const change = `${plural(count, 'range')} put back as before`;
  const told: ChangeDocument = { image, changes: [change] };
  const text = options.json === true ? jsonText(told, 2) : `${printable(image)}: ${change}`;
  await writeOut(terminal, `${text}\n`);
  return EXIT.OK;
}
