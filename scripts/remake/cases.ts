/** A block node of the source. */
export interface Node {
  readonly name: string;
  readonly driver: 'null-co' | 'qcow2' | 'raw';
  /** Bytes. */
  readonly size: number;
}

/** What is done at the source, in order. Offsets, lengths and granularities in bytes. */
export type Step =
  | {
      readonly do: 'add';
      readonly node: string;
      readonly name: string;
      readonly granularity: number;
      readonly persistent: boolean;
    }
  | { readonly do: 'write'; readonly node: string; readonly offset: number; readonly length: number }
  | { readonly do: 'disable'; readonly node: string; readonly name: string };

/** The setting block-bitmap-mapping, where bitmaps travel under other names. */
export type Mapping = readonly {
  readonly 'node-name': string;
  readonly alias: string;
  readonly bitmaps: readonly { readonly name: string; readonly alias: string }[];
}[];

/** A capture that can be made again. */
export interface Case {
  readonly name: string;
  /** The vector that it is held against, when that is not one of QEMU 7.2. */
  readonly folder?: string;
  readonly doc: string;
  readonly machine?: readonly string[];
  readonly args?: readonly string[];
  readonly nodes: readonly Node[];
  readonly steps: readonly Step[];
  readonly running?: boolean;
  readonly mode?: 'precopy' | 'postcopy' | 'cancel';
  readonly capabilities?: readonly string[];
  readonly mapping?: Mapping;
  /** How the migration ends. */
  readonly status?: 'completed' | 'cancelled' | 'failed';
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

const empty = (name: string, size: number): Node => ({ name, driver: 'null-co', size });
const qcow2 = (name: string, size: number): Node => ({ name, driver: 'qcow2', size });
const raw = (name: string, size: number): Node => ({ name, driver: 'raw', size });
const add = (node: string, name: string, granularity = 64 * KIB): Step => {
  return { do: 'add', node, name, granularity, persistent: false };
};
const addPersistent = (node: string, name: string, granularity = 64 * KIB): Step => {
  return { do: 'add', node, name, granularity, persistent: true };
};
const write = (node: string, offset: number, length: number): Step => ({ do: 'write', node, offset, length });
const disable = (node: string, name: string): Step => ({ do: 'disable', node, name });

/** i440fx with 2 MiB; the BIOS is a `hlt` that the script makes, so that no firmware gets into the stream. */
const PC = ['-machine', 'pc', '-m', '2', '-bios', 'hlt.bin'];
const ODD_NAMES = [
  'Ünïcödé-备份-🎉',
  'with space',
  ' lead',
  'tab\there',
  'new\nline',
  'quo"te\'s',
  'a/b\\c',
  '#hash',
  '.',
].concat(['..', '\x01\x7f', 'disk0', '\u200e\u202e', 'e\u0301', '\ufeffbom', '0', 'x'.repeat(100), 'a\0b']);
const WORD_SIZES = [1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 255, 256, 257];
const GRANULARITIES = [1, 2, 4, 8, 16, 64, 128, 512, 2 * KIB, 32 * KIB, 128 * KIB, MIB].map((sectors) => sectors * 512);

/** A part of the vectors, from every kind that needs no more than one QEMU and no time. */
export const CASES: readonly Case[] = [
  {
    name: 'small-qcow2-persistent',
    doc: 'one qcow2 node of 64 MiB, one persistent enabled bitmap of the default granularity',
    nodes: [qcow2('disk0', 64 * MIB)],
    steps: [
      addPersistent('disk0', 'b0'),
      ...[write('disk0', 0, 64 * KIB), write('disk0', MIB, 64 * KIB)],
      ...[write('disk0', 10 * MIB, 3 * MIB), write('disk0', 64 * MIB - 64 * KIB, 64 * KIB)],
    ],
  },
  {
    name: 'none-postcopy',
    doc: 'postcopy of bitmaps on -machine none, paused source',
    nodes: [empty('disk0', 64 * MIB)],
    steps: [add('disk0', 'b0'), write('disk0', 0, 128 * KIB)],
    mode: 'postcopy',
  },
  {
    name: 'pc-postcopy',
    doc: 'running i440fx, one bitmap, postcopy: packaged command, then dirty-bitmap sections',
    machine: PC,
    running: true,
    nodes: [qcow2('disk0', GIB)],
    steps: [addPersistent('disk0', 'b0'), write('disk0', 0, 64 * KIB), write('disk0', 512 * MIB, MIB)],
    mode: 'postcopy',
  },
  {
    name: 'pc-precopy',
    doc: 'i440fx machine with 2 MiB of RAM, paused, virtio-blk on the node',
    machine: PC,
    args: ['-device', 'virtio-blk-pci,drive=disk0,id=vb0,share-rw=on'],
    nodes: [qcow2('disk0', 64 * MIB)],
    steps: [addPersistent('disk0', 'b0'), write('disk0', 0, 128 * KIB)],
  },
  {
    name: 'several-nodes',
    folder: 'captures-5.2',
    doc: 'four nodes of different kind and size, one to three bitmaps each, some names shared between nodes',
    nodes: [qcow2('disk0', 64 * MIB), raw('disk1', 10 * MIB), empty('disk2', 7 * GIB), qcow2('disk3', 3 * GIB)],
    steps: [
      ...[addPersistent('disk0', 'a'), add('disk0', 'b'), add('disk1', 'a', 512)],
      ...[add('disk2', 'a', 4 * KIB), add('disk2', 'b', MIB), add('disk2', 'c'), add('disk3', 'a')],
      ...[write('disk0', 0, MIB), write('disk1', 3 * MIB, 5 * KIB), write('disk2', 0, 4 * KIB)],
      ...[write('disk2', 6 * GIB, 16 * KIB), write('disk3', 2 * GIB, 128 * KIB)],
    ],
  },
  {
    name: 'many-granularities',
    doc: 'one node of 1 GiB with bitmaps of 12 granularities',
    nodes: [qcow2('disk0', GIB)],
    steps: [
      ...GRANULARITIES.map((granularity) => add('disk0', `g${granularity}`, granularity)),
      ...[write('disk0', 0, 512), write('disk0', 513 * MIB, 3 * MIB)],
      ...[write('disk0', 777 * MIB + 512, KIB), write('disk0', GIB - 512, 512)],
    ],
  },
  {
    name: 'word-sizes',
    folder: 'captures-5.2',
    doc: 'bitmaps of 1, 7, 8, 9, 63, 64, 65 ... bits: shows the padding of BITS to 32 bytes',
    nodes: WORD_SIZES.map((bits) => empty(`n${bits}`, bits * 512)),
    steps: WORD_SIZES.flatMap((bits) => [add(`n${bits}`, 'b', 512), write(`n${bits}`, 0, bits * 512)]),
  },
  {
    name: 'odd-names',
    folder: 'captures-10.0',
    doc: 'names with UTF-8, spaces, quotes, control characters, a leading hash, dots, slashes',
    nodes: [empty('disk0', MIB)],
    steps: [...ODD_NAMES.map((name) => add('disk0', name)), write('disk0', 64 * KIB, 64 * KIB)],
  },
  {
    name: 'name-256-refused',
    doc: 'bitmap name of 256 bytes: QEMU makes the bitmap, the migration fails',
    nodes: [empty('disk0', MIB)],
    steps: [add('disk0', 'n'.repeat(256))],
    status: 'failed',
  },
  {
    name: 'disabled-bitmap',
    doc: 'recorded, then disabled, then written again: the later write must not be in it',
    nodes: [qcow2('disk0', 64 * MIB)],
    steps: [
      addPersistent('disk0', 'b0', 4 * KIB),
      ...[write('disk0', 0, 4 * KIB), write('disk0', MIB, 296 * KIB)],
      ...[disable('disk0', 'b0'), write('disk0', 32 * MIB, MIB)],
    ],
  },
  {
    name: 'empty-clean',
    doc: 'an enabled bitmap with no dirty bit: only ZEROES chunks',
    nodes: [qcow2('disk0', 5 * GIB)],
    steps: [addPersistent('disk0', 'b0')],
  },
  {
    name: 'size-512',
    doc: 'a disk of one sector, granularity 512 and 2 GiB',
    nodes: [empty('one', 512)],
    steps: [add('one', 'b0', 512), add('one', 'b1', 2 * GIB), write('one', 0, 512)],
  },
  {
    name: 'mapping-aliases',
    doc: 'block-bitmap-mapping renames nodes and bitmaps',
    nodes: [qcow2('disk0', 64 * MIB), empty('disk1', 64 * MIB)],
    steps: [
      ...[addPersistent('disk0', 'b0'), add('disk0', 'b1'), add('disk1', 'b0')],
      ...[write('disk0', 0, 128 * KIB), write('disk1', MIB, 128 * KIB)],
    ],
    mapping: [
      {
        'node-name': 'disk0',
        alias: 'alias-a',
        bitmaps: [
          { name: 'b0', alias: 'B-zero' },
          { name: 'b1', alias: 'B-one' },
        ],
      },
      { 'node-name': 'disk1', alias: 'alias-b', bitmaps: [{ name: 'b0', alias: 'B-zero' }] },
    ],
  },
  {
    name: 'none-no-footers',
    doc: '-machine none, -global migration.send-section-footer=off',
    args: ['-global', 'migration.send-section-footer=off'],
    nodes: [empty('disk0', 64 * MIB)],
    steps: [add('disk0', 'b0'), add('disk0', 'b1', 512), write('disk0', 0, 100 * KIB)],
  },
  {
    name: 'config-uuid',
    doc: 'validate-uuid: the configuration has a uuid subsection',
    args: ['-uuid', '00112233-4455-6677-8899-aabbccddeeff'],
    capabilities: ['validate-uuid'],
    nodes: [empty('disk0', MIB)],
    steps: [add('disk0', 'b0'), write('disk0', 0, 64 * KIB)],
  },
  {
    name: 'cancelled-precopy',
    doc: 'migrate_cancel while it iterates: the stream stops without an EOF marker',
    nodes: [empty('disk0', 64 * GIB)],
    steps: [add('disk0', 'b0'), write('disk0', 0, 128 * KIB)],
    mode: 'cancel',
    status: 'cancelled',
  },
];
