import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Dice } from '../differential/dice.js';
import {
  appendExtension,
  clearAutoclear,
  insertExtension,
  otherLength,
  padTo,
  refcountTableWords,
  setAutoclear,
} from './crash-edits.js';

/** How an image is made that the writer is tried on. Sizes are in bytes. */
export interface Recipe {
  readonly name: string;
  readonly cluster: number;
  readonly refcountBits: number;
  /** Of the disk. */
  readonly size: number;
  /** Further options of `qemu-img create -o`. */
  readonly create?: readonly string[];
  /** Length of the backing file's name. */
  readonly backing?: number;
  /** Commands of qemu-io, in one session, before there are bitmaps. */
  readonly before?: readonly string[];
  readonly bitmaps?: readonly { readonly name: string; readonly granularity: number; readonly disabled?: boolean }[];
  /** Commands of qemu-io, in one session, that bitmaps record; `sigraise 9` at the end leaves them in use. */
  readonly after?: readonly string[];
  readonly snapshot?: boolean;
  /** No QEMU opens it. */
  readonly closed?: true;
  /** What is done to the bytes in the end. */
  readonly edit?: (bytes: Uint8Array) => Uint8Array;
}

/** Clusters of bits that the disk of a recipe needs, at granularity 512: two and a piece. */
function diskOf(cluster: number): number {
  return Math.floor(cluster * 8 * 2.4) * 512;
}

const WRITES = ['write -P 1 0 64k', 'write -P 2 100k 3k', 'write -P 3 1M 70k'];
const TWO = [
  { name: 'first', granularity: 512 },
  { name: 'second', granularity: 65_536, disabled: true },
];
const OLD = { before: [WRITES[0] as string], bitmaps: TWO, after: WRITES } as const;

function simple(cluster: number, refcountBits: number, more: Partial<Recipe> & { readonly name: string }): Recipe {
  const name = `${more.name}-${cluster}-${refcountBits}`;
  return { cluster, refcountBits, size: diskOf(cluster), ...more, name };
}

/** Every cluster size with every width of refcounts, without bitmaps and with two. */
export const PLAIN: readonly Recipe[] = [512, 1024, 4096, 16_384, 65_536].flatMap((cluster) =>
  [1, 2, 4, 8, 16, 32, 64].flatMap((bits) => [
    simple(cluster, bits, { name: 'none', before: WRITES }),
    simple(cluster, bits, { name: 'two', ...OLD }),
  ]),
);

/** Those whose file is made to end close to where a refcount block ends, or the refcount table: see {@link nearEnd}. */
export const NEAR_END: readonly Recipe[] = [
  // The wider refcounts are, the fewer clusters a block counts, and the more blocks a commit makes.
  ...[1, 2, 4, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64].map((bits) => [512, bits] as const),
  ...[16, 32, 64].map((bits) => [1024, bits] as const),
].flatMap(([cluster, bits]) => [
  simple(cluster, bits, { name: 'end', size: diskOf(cluster) * 2, before: WRITES }),
  simple(cluster, bits, { name: 'end-two', size: diskOf(cluster) * 2, ...OLD }),
]);

/** Bytes of a file that are still quick to try. */
const QUICK = 9 * 1024 * 1024;

/** The image made longer, so that less than a hundred clusters are left before new refcounts are needed. */
export function nearEnd(bytes: Uint8Array, { cluster, refcountBits }: Recipe, dice: Dice): Uint8Array {
  const block = ((cluster * 8) / refcountBits) * cluster;
  const table = refcountTableWords(bytes) * block;
  const left = dice.spread(100) * cluster + (dice.chance(20) ? dice.below(cluster) : 0);
  const least = Math.ceil((bytes.length + left) / block) * block;
  return padTo(bytes, (table <= QUICK && dice.chance(60) ? table : least) - left);
}

export const SPECIAL: readonly Recipe[] = [
  ...[512, 4096, 65_536].flatMap((cluster) => [
    simple(cluster, 16, { name: 'backing', backing: 11, before: WRITES }),
    simple(cluster, 16, { name: 'backing-two', backing: 40, ...OLD }),
    simple(cluster, 16, { name: 'backing-long', backing: 90, before: WRITES }),
    simple(cluster, 16, { name: 'snapshot', ...OLD, snapshot: true }),
    simple(cluster, 16, { name: 'compressed', before: ['write -c -P 1 0 64k', 'write -c -P 2 64k 64k', ...WRITES] }),
    simple(cluster, 16, { name: 'compressed-two', ...OLD, before: ['write -c -P 1 0 64k', 'write -c -P 7 2M 64k'] }),
    simple(cluster, 16, { name: 'data-file', create: ['data_file=data.raw'], ...OLD }),
    simple(cluster, 16, { name: 'data-file-raw', create: ['data_file=data.raw', 'data_file_raw=on'], ...OLD }),
    simple(cluster, 16, { name: 'data-file-none', create: ['data_file=data.raw', 'data_file_raw=on'] }),
    simple(cluster, 16, { name: 'in-use', ...OLD, after: [...WRITES, 'sigraise 9'] }),
    simple(cluster, 16, { name: 'stale', ...OLD, edit: clearAutoclear }),
    simple(cluster, 16, { name: 'autoclear', ...OLD, edit: (bytes) => setAutoclear(bytes, 0xf0) }),
    simple(cluster, 16, { name: 'autoclear-none', before: WRITES, edit: (bytes) => setAutoclear(bytes, 0xc) }),
    simple(cluster, 16, { name: 'followed', ...OLD, edit: appendExtension }),
    simple(cluster, 16, { name: 'followed-none', edit: appendExtension }),
    simple(cluster, 16, { name: 'other-length', ...OLD, closed: true, edit: otherLength }),
    simple(cluster, 16, {
      name: 'other-length-stale',
      ...OLD,
      closed: true,
      edit: (bytes) => clearAutoclear(otherLength(bytes)),
    }),
    simple(cluster, 16, { name: 'lazy', create: ['lazy_refcounts=on'], ...OLD }),
    simple(cluster, 16, { name: 'empty' }),
  ]),
  ...[1024, 4096, 65_536].flatMap((cluster) => [
    simple(cluster, 16, { name: 'straddle', ...OLD, edit: (bytes) => insertExtension(bytes, 512 - 16) }),
    simple(cluster, 16, { name: 'straddle-none', edit: (bytes) => insertExtension(bytes, 512 - 16) }),
    simple(cluster, 16, {
      name: 'straddle-stale',
      ...OLD,
      edit: (bytes) => clearAutoclear(insertExtension(bytes, 512 - 24)),
    }),
  ]),
  ...[16_384, 65_536].flatMap((cluster) => [
    simple(cluster, 16, { name: 'extended', create: ['extended_l2=on'], ...OLD }),
    simple(cluster, 16, { name: 'extended-snapshot', create: ['extended_l2=on'], ...OLD, snapshot: true }),
    simple(cluster, 64, {
      name: 'extended-compressed',
      create: ['extended_l2=on'],
      before: ['write -c -P 1 0 64k'],
      bitmaps: TWO,
    }),
  ]),
  simple(512, 16, { name: 'backing-too-long', backing: 190 }),
  simple(65_536, 16, { name: 'metadata', create: ['preallocation=metadata'], size: 4 * 1024 * 1024, bitmaps: TWO }),
  simple(4096, 8, { name: 'zstd', create: ['compression_type=zstd'], before: ['write -c -P 1 0 64k'], bitmaps: TWO }),
  simple(65_536, 16, { name: 'one-sector', size: 512, bitmaps: [{ name: 'one', granularity: 512 }] }),
  simple(512, 1, { name: 'odd-size', size: 512 * 4099, ...OLD }),
  simple(512, 16, {
    name: 'many',
    bitmaps: Array.from({ length: 20 }, (_, at) => ({ name: `b${at}`, granularity: 512 << (at % 5) })),
  }),
  simple(2 ** 20, 16, { name: 'large', size: 2 ** 33, ...OLD }),
];

/** Slow ones: many bytes to copy and to check. */
export const HUGE: readonly Recipe[] = [1, 16, 64].flatMap((bits) => [
  simple(2 ** 21, bits, { name: 'none', before: [WRITES[0] as string] }),
  simple(2 ** 21, bits, { name: 'two', ...OLD }),
]);

/** Makes images in a folder of its own, each once. */
export class ImageKitchen {
  /** Where all images lie, and the files that they refer to. */
  readonly folder: string = mkdtempSync(join(tmpdir(), 'dirtybitmap-crash-'));
  readonly #made = new Map<string, Uint8Array>();

  has({ name }: Recipe): boolean {
    return this.#made.has(name);
  }

  make(recipe: Recipe): Uint8Array {
    let bytes = this.#made.get(recipe.name);
    if (bytes === undefined) {
      bytes = this.#cook(recipe);
      this.#made.set(recipe.name, bytes);
    }
    return bytes;
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The folder where a recipe's files are. */
  folderOf({ name }: Recipe): string {
    return join(this.folder, name);
  }

  #cook(recipe: Recipe): Uint8Array {
    const folder = this.folderOf(recipe);
    mkdirSync(folder);
    const run = (program: string, ...args: readonly string[]): void => {
      const { status, signal, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8', timeout: 20_000 });
      if (status !== 0 && signal !== 'SIGKILL')
        throw new Error(`${recipe.name}: ${program} ${args.join(' ')}: ${stderr}`);
    };
    const io = (commands: readonly string[]): void => {
      if (commands.length > 0) run('qemu-io', '-f', 'qcow2', ...commands.flatMap((one) => ['-c', one]), 'image');
    };
    const { cluster, refcountBits, size, backing } = recipe;
    const options = [`cluster_size=${cluster}`, `refcount_bits=${refcountBits}`, ...(recipe.create ?? [])];
    const base = backing === undefined ? undefined : 'b'.repeat(backing);
    if (base !== undefined) run('qemu-img', 'create', '-q', '-f', 'raw', base, `${size}`);
    const backed = base === undefined ? [] : ['-b', base, '-F', 'raw'];
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', options.join(','), ...backed, 'image', `${size}`);
    io((recipe.before ?? []).filter(fits(size)));
    for (const { name, granularity, disabled } of recipe.bitmaps ?? [])
      run('qemu-img', 'bitmap', '--add', ...(disabled ? ['--disable'] : []), '-g', `${granularity}`, 'image', name);
    if (recipe.snapshot) run('qemu-img', 'snapshot', '-c', 'one', 'image');
    io((recipe.after ?? []).filter(fits(size)));
    const made = new Uint8Array(readFileSync(join(folder, 'image')));
    const bytes = recipe.edit?.(made) ?? made;
    writeFileSync(join(folder, 'image'), bytes);
    return bytes;
  }
}

/** Whether a command of qemu-io stays inside a disk. */
function fits(size: number): (command: string) => boolean {
  return (command) => {
    const at = /(\d+)([kM]?) (\d+)k$/.exec(command);
    if (at === null) return true;
    const unit = at[2] === 'M' ? 2 ** 20 : at[2] === 'k' ? 1024 : 1;
    return Number(at[1]) * unit + Number(at[3]) * 1024 <= size;
  };
}
