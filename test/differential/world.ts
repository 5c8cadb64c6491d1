import { Bitmap } from '../../src/bitmap/bitmap.js';
import type { Extent } from '../../src/bitmap/extents.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import type { Dice } from './dice.js';

/** A bitmap that is made up. */
interface WorldBitmap {
  readonly name: string;
  /** Bytes. */
  readonly granularity: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  /** [offset, length] in bytes. */
  readonly dirty: readonly Extent[];
}

/** A node that is made up, with the newest bitmap last. */
export interface WorldNode {
  readonly name: string;
  /** The backend on it, where it has one. */
  readonly device: string | undefined;
  /** Bytes. */
  readonly size: number;
  readonly bitmaps: readonly WorldBitmap[];
}

const KIB = 1024;
const MIB = KIB * KIB;
const GIB = KIB * MIB;
const TIB = KIB * GIB;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
/** Names that writers of names get wrong. */
const ODD_NAMES = [
  'Ünï-备份-🎉',
  'with space',
  'new\nline',
  'quo"te\'s',
  'a/b\\c',
  '#hash',
  '.',
  '\x01\x7f',
  'x'.repeat(255),
];

/** How large what is made up may get. */
export interface WorldBounds {
  /** Nodes at most. */
  readonly nodes: number;
  /** Bitmaps on a node at most. */
  readonly bitmaps: number;
  /** Granules of a bitmap at most. */
  readonly granules: number;
}

/** Nodes with bitmaps, at least one each. */
export function randomWorld(dice: Dice, bounds: WorldBounds): WorldNode[] {
  const taken = new Set<string>();
  return Array.from({ length: dice.between(1, bounds.nodes) }, () => {
    const size = randomSize(dice);
    const names = new Set<string>();
    const bitmaps = Array.from({ length: dice.between(1, bounds.bitmaps) }, () => {
      const granularity = randomGranularity(dice, size, bounds.granules);
      const name = fresh(names, () => (dice.chance(25) ? dice.pick(ODD_NAMES) : identifier(dice, 40)));
      return {
        name,
        granularity,
        recording: dice.chance(70),
        persistent: dice.chance(30),
        dirty: randomDirty(dice, size),
      };
    });
    const name = fresh(taken, () => identifier(dice, 31));
    const device = dice.chance(25) ? fresh(taken, () => identifier(dice, 60)) : undefined;
    return { name, device, size, bitmaps };
  });
}

/** The same as a block graph of ours. */
export function graphOf(nodes: readonly WorldNode[]): MemoryGraph {
  const graph = new MemoryGraph();
  for (const { name, device, size, bitmaps } of nodes) {
    const node = graph.addNode({ name, device, size });
    for (const { dirty, ...creation } of bitmaps) {
      const bits = new Bitmap(creation.granularity, { size });
      bits.setExtents(dirty);
      node.create({ ...creation, bits });
    }
  }
  return graph;
}

/** Arguments that give a QEMU such nodes, empty and without bitmaps. */
export function nodeArgs(nodes: readonly WorldNode[]): string[] {
  return nodes.flatMap(({ name, device, size }) => {
    if (device !== undefined) return ['-drive', `if=none,id=${device},node-name=${name},driver=null-co,size=${size}`];
    return ['-blockdev', JSON.stringify({ driver: 'null-co', 'node-name': name, size })];
  });
}

/** A granularity with which a disk has at most so many granules. */
export function randomGranularity(dice: Dice, size: number, granules: number): number {
  const least = Math.min(31, Math.max(9, Math.ceil(Math.log2(size / granules))));
  return 2 ** dice.between(least, dice.chance(50) ? Math.min(31, least + 4) : 31);
}

/** Letters, digits, and what else an identifier may hold. */
function identifier(dice: Dice, length: number): string {
  const more = `${LETTERS}0123456789-._`;
  const rest = Array.from({ length: dice.below(length) }, () => dice.pick([...more]));
  return dice.pick([...LETTERS]) + rest.join('');
}

function randomSize(dice: Dice): number {
  if (dice.chance(2)) return 0;
  const size = dice.between(1, dice.pick([5 * KIB, MIB, MIB, GIB, GIB, TIB, 16 * TIB, 4096 * TIB]));
  // Most disks are whole sectors, many are whole clusters.
  return dice.pick([size, Math.ceil(size / 512) * 512, Math.ceil(size / (64 * KIB)) * 64 * KIB]);
}

function randomDirty(dice: Dice, size: number): Extent[] {
  if (size === 0 || dice.chance(15)) return [];
  if (dice.chance(7)) return [[0, size]];
  return Array.from({ length: dice.between(1, 20) }, () => {
    const offset = dice.chance(10) ? size - 1 : dice.between(0, size - 1);
    return [offset, Math.max(1, dice.spread(size - offset))] as const;
  });
}

function fresh(taken: Set<string>, make: () => string): string {
  for (;;) {
    const name = make();
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}
