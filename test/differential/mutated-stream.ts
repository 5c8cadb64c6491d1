import { mutate } from '../../fuzz/mutate.js';
import type { QemuNodeMapping } from '../../src/migration/qemu-destination.js';
import { Source } from '../../src/migration/source.js';
import { sectionBytes } from '../support/reencode.js';
import {
  ADVISE,
  BITMAP_ID,
  command,
  configuration,
  EOF,
  end,
  join,
  part,
  qevm,
  start,
  vmdesc,
} from '../support/stream-builder.js';
import { mutateChunks } from './chunk-mutations.js';
import type { Dice } from './dice.js';
import { looseChunks, writeLoose } from './loose-chunk.js';
import { graphOf, randomWorld, type WorldNode } from './world.js';

const BOUNDS = { nodes: 2, bitmaps: 3, granules: 2 ** 16 };

/** A damaged stream, and who gets it. */
export interface MutatedStream {
  readonly stream: Uint8Array;
  /** The destination's nodes, with the bitmaps that are there before, clean. */
  readonly nodes: readonly WorldNode[];
  readonly mapping: readonly QemuNodeMapping[] | undefined;
  /** What was done, for people. */
  readonly mutations: readonly string[];
}

/** Bitmaps as we send them, damaged: in single chunks, in the bytes of a section, or anywhere in the stream. */
export function mutatedStream(dice: Dice, transform: boolean): MutatedStream {
  const world = randomWorld(dice, BOUNDS).filter(({ size }) => size > 0);
  if (world.length === 0) return mutatedStream(dice, transform);
  const source = new Source(graphOf(world), { profile: dice.pick(['qemu', 'compact'] as const) });
  source.setup();
  const head = looseChunks(sectionBytes(source));
  source.complete();
  const tail = looseChunks(sectionBytes(source));
  const how = dice.below(100);
  const mutations = how < 80 ? mutateChunks(dice, [head, tail], world) : [];
  // A part of the bits goes before the END section, as in postcopy.
  const middle = dice.chance(30) ? tail.splice(0, dice.below(tail.length)) : [];
  const bodies = [head, middle, tail].map((chunks) => join(chunks.map(writeLoose)));
  if (how >= 80 && how < 90) {
    const damaged = dice.below(3);
    bodies[damaged] = mutate(bodies[damaged] as Uint8Array, dice.below, bodies[2] as Uint8Array);
    mutations.push('bytes of a section');
  }
  let stream = container(dice, bodies as [Uint8Array, Uint8Array, Uint8Array]);
  if (how >= 90) {
    stream = mutate(stream, dice.below, stream);
    mutations.push('bytes of the stream');
  }
  const mapping = dice.chance(15) ? randomMapping(dice, world, transform) : undefined;
  return { stream, nodes: randomDestination(dice, world, mutations), mapping, mutations };
}

function container(dice: Dice, [head, middle, tail]: readonly [Uint8Array, Uint8Array, Uint8Array]): Uint8Array {
  const version = dice.chance(2) ? dice.pick([0, 2]) : 1;
  return qevm(
    configuration(),
    command(ADVISE),
    start(BITMAP_ID, 'dirty-bitmap', head, { version }),
    middle.length > 0 ? part(BITMAP_ID, [middle, 1]) : [],
    end(BITMAP_ID, tail),
    EOF,
    vmdesc('{}'),
  );
}

/** The nodes that the stream is for; now and then one is missing, of another size, or has a bitmap of that name. */
function randomDestination(dice: Dice, world: readonly WorldNode[], mutations: string[]): WorldNode[] {
  const nodes = world.map((node) => ({ ...node, bitmaps: [] as WorldNode['bitmaps'] }));
  const chosen = dice.below(nodes.length);
  const node = nodes[chosen] as WorldNode;
  const what = dice.below(100);
  if (what < 5 && nodes.length > 1) {
    mutations.push('node missing');
    nodes.splice(chosen, 1);
  } else if (what < 12) {
    mutations.push('other size');
    nodes[chosen] = { ...node, bitmaps: [], size: Math.max(1, node.size + dice.pick([-512, 512, 1, 65_536, 2 ** 24])) };
  } else if (what < 25) {
    mutations.push('bitmap there');
    const there = { ...dice.pick(world[chosen]?.bitmaps ?? []), persistent: false, dirty: [] };
    nodes[chosen] = { ...node, bitmaps: [dice.chance(50) ? there : { ...there, name: 'there' }] };
  }
  return nodes;
}

/** A mapping that takes the names of the stream for aliases; not of all of them. */
function randomMapping(dice: Dice, world: readonly WorldNode[], transform: boolean): QemuNodeMapping[] {
  const mapped = world.filter(() => dice.chance(90));
  return mapped.map(({ name, device, bitmaps }) => ({
    'node-name': name,
    alias: device ?? name,
    bitmaps: bitmaps
      .filter(() => dice.chance(90))
      .map(({ name: alias }, at) => ({
        ...{ name: dice.chance(50) ? alias : `mapped${at}`, alias },
        ...(transform && dice.chance(40) && { transform: { persistent: dice.chance(50) } }),
      })),
  }));
}
