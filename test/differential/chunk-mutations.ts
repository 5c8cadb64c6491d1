import { FLAG } from '../../src/chunk/flags.js';
import type { Dice } from './dice.js';
import type { LooseChunk } from './loose-chunk.js';
import { randomGranularity, type WorldNode } from './world.js';

/** The chunks of the START and of the END section. */
export type Bodies = readonly [LooseChunk[], LooseChunk[]];

interface Place {
  readonly dice: Dice;
  readonly chunks: LooseChunk[];
  readonly at: number;
  readonly chunk: LooseChunk;
  readonly bodies: Bodies;
  readonly world: readonly WorldNode[];
}

type Mutation = (place: Place) => void;

/** Granules of a bitmap at most. */
const MAX_GRANULES = 2 ** 22;
const encoder = new TextEncoder();
/** Names that are no name, are not known, or are not text. */
const BAD_NAMES: readonly Uint8Array[] = [
  new Uint8Array(0),
  encoder.encode('nobody'),
  encoder.encode('a\0b'),
  Uint8Array.of(0xff, 0xfe),
  Uint8Array.of(0x61, 0xc3),
  encoder.encode('x'.repeat(255)),
];
const BAD_GRANULARITIES = [0, 1, 256, 511, 513, 768, 1536, 3 * 2 ** 30, 2 ** 32 - 1];
const FAR_SECTORS = [2n ** 32n, 2n ** 53n, 2n ** 54n - 1n, 2n ** 55n, 2n ** 63n, 2n ** 64n - 1n];

/** What may be done to a chunk and the order of chunks. */
const MUTATIONS: Readonly<Record<string, Mutation>> = {
  drop({ chunks, at }) {
    chunks.splice(at, 1);
  },
  repeat({ chunks, at, chunk, dice }) {
    chunks.splice(dice.chance(50) ? at : dice.below(chunks.length + 1), 0, { ...chunk });
  },
  swap({ chunks, at, chunk, dice }) {
    const other = dice.below(chunks.length);
    chunks[at] = chunks[other] as LooseChunk;
    chunks[other] = chunk;
  },
  move({ chunks, at, chunk, dice, bodies }) {
    chunks.splice(at, 1);
    const target = dice.pick(bodies);
    target.splice(dice.below(target.length + 1), 0, chunk);
  },
  flag({ chunk, dice }) {
    chunk.flags = chunk.flags.map((flags) => flags ^ (1 << dice.below(7)));
  },
  wideFlags({ chunk, dice }) {
    const low = chunk.flags.at(-1) as number;
    const high = dice.chance(70) ? 0x80 : 0x80 | dice.below(128);
    chunk.flags = dice.chance(50) ? [high, low] : [high, 0x80, dice.chance(70) ? 0 : dice.below(256), low];
  },
  node(place) {
    rename(place, 'node', FLAG.DEVICE_NAME);
  },
  bitmap(place) {
    rename(place, 'bitmap', FLAG.BITMAP_NAME);
  },
  bothNames({ chunk, world, dice }) {
    const node = dice.pick(world);
    chunk.node = encoder.encode(node.device ?? node.name);
    chunk.bitmap = encoder.encode(dice.pick(node.bitmaps).name);
    chunk.flags = chunk.flags.map((flags, i) => (i === 0 ? flags | FLAG.DEVICE_NAME | FLAG.BITMAP_NAME : flags));
  },
  granularity({ bodies, dice, world }) {
    const chunk = anyOf(bodies, 'start', dice);
    if (chunk === undefined) return;
    // Finer ones only as far as memory goes: QEMU allocates a bitmap at once, and dies where it cannot.
    const largest = Math.max(...world.map(({ size }) => size));
    chunk.granularity = dice.chance(60) ? randomGranularity(dice, largest, MAX_GRANULES) : dice.pick(BAD_GRANULARITIES);
  },
  startFlags({ bodies, dice }) {
    const chunk = anyOf(bodies, 'start', dice);
    if (chunk) chunk.startFlags = dice.chance(70) ? dice.below(8) : dice.below(256);
  },
  first({ bodies, dice }) {
    const chunk = anyOf(bodies, 'bits', dice);
    if (chunk === undefined) return;
    if (dice.chance(25)) chunk.first = dice.pick(FAR_SECTORS);
    else chunk.first = shifted(chunk.first, dice.chance(60) ? BigInt(chunk.count) : BigInt(1 + dice.below(4096)), dice);
  },
  count({ bodies, dice }) {
    const chunk = anyOf(bodies, 'bits', dice);
    if (chunk)
      chunk.count = dice.pick([0, 1, chunk.count * 2, chunk.count >>> 1, chunk.count + 1, 2 ** 32 - 1]) % 2 ** 32;
  },
  length({ bodies, dice }) {
    const chunk = anyOf(bodies, 'bits', dice);
    if (chunk?.data === undefined) return;
    const { length } = chunk.data;
    const found = Math.max(0, dice.pick([0, length - 1, length + 1, length - 8, length + 32, 10_240, 10_241, 8, 7]));
    const data = new Uint8Array(found);
    data.set(chunk.data.subarray(0, found));
    chunk.data = data;
    if (dice.chance(15)) chunk.length = dice.pick([2n ** 63n, 2n ** 32n, 0n, BigInt(found) + 3n]);
  },
  dataBits({ bodies, dice }) {
    const chunk = anyOf(bodies, 'bits', dice);
    if (chunk?.data === undefined) return;
    if (dice.chance(30)) chunk.data.fill(0xff);
    else for (let i = 0; i < chunk.data.length; i++) chunk.data[i] = dice.below(256);
  },
  zeroes({ bodies, dice }) {
    const chunk = anyOf(bodies, 'bits', dice);
    if (chunk?.data === undefined) return;
    chunk.data = undefined;
    chunk.flags = chunk.flags.map((flags) => flags | FLAG.ZEROES);
  },
  bare({ chunks, at, chunk }) {
    chunks.splice(at, 0, { ...chunk, flags: [0], node: undefined, bitmap: undefined, kind: 'bare' });
  },
};

/** Does one to three things to the chunks; returns what. */
export function mutateChunks(dice: Dice, bodies: Bodies, world: readonly WorldNode[]): string[] {
  const done: string[] = [];
  for (let times = dice.between(1, 3); times > 0; times--) {
    const chunks = bodies[dice.chance(25) ? 0 : 1];
    if (chunks.length === 0) continue;
    const at = dice.below(chunks.length);
    const [name, mutation] = dice.pick(Object.entries(MUTATIONS));
    mutation({ dice, chunks, at, chunk: chunks[at] as LooseChunk, bodies, world });
    done.push(name);
  }
  return done;
}

/** Takes a name out, puts one in, or changes it. */
function rename({ chunk, dice, world }: Place, which: 'node' | 'bitmap', flag: number): void {
  const node = dice.pick(world);
  const other = encoder.encode(which === 'node' ? (node.device ?? node.name) : dice.pick(node.bitmaps).name);
  const name = dice.pick([undefined, other, other, dice.pick(BAD_NAMES)]);
  chunk[which] = name;
  chunk.flags = chunk.flags.map((flags) => (name === undefined ? flags & ~flag : flags | flag));
}

function shifted(value: bigint, by: bigint, dice: Dice): bigint {
  return dice.chance(50) && value >= by ? value - by : value + by;
}

function anyOf(bodies: Bodies, kind: LooseChunk['kind'], dice: Dice): LooseChunk | undefined {
  const found = bodies.flat().filter((chunk) => chunk.kind === kind);
  return found.length === 0 ? undefined : dice.pick(found);
}
