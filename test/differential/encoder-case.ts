import { CaptureEncoder } from '../../src/capture/capture-encoder.js';
import type { Profile } from '../../src/migration/cutter.js';
import { Source } from '../../src/migration/source.js';
import { collect } from '../support/sets.js';
import type { Dice } from './dice.js';
import { loadIntoQemu } from './incoming.js';
import type { Outcome } from './outcome.js';
import { differences, shownByGraph } from './shown.js';
import type { QemuProgram } from './virtual-machine.js';
import { graphOf, randomWorld } from './world.js';

const BOUNDS = { nodes: 3, bitmaps: 4, granules: 2 ** 20 };

/** Bitmaps that we make up, sent by our encoder: a QEMU must have the same afterwards. */
export async function encoderCase(
  program: QemuProgram,
  dice: Dice,
  folder: string,
  profile: Profile,
): Promise<Outcome> {
  const world = randomWorld(dice, BOUNDS);
  const graph = graphOf(world);
  const stream = collect(new CaptureEncoder(new Source(graph, { profile })).pieces());
  const empty = world.map((node) => ({ ...node, bitmaps: [] }));
  const { verdict, stderr, bitmaps } = await loadIntoQemu(program, stream, { nodes: empty }, folder);
  // No QEMU survives COMPLETE for a disk of no bytes, not even from a QEMU.
  if (world.some(({ size }) => size === 0)) {
    if (verdict === 'aborted') return { kind: 'exception', name: 'QEMU aborts: bitmap of a disk of 0 bytes' };
    return { kind: 'differ', problems: [`a disk of 0 bytes: expected an abort, found ${verdict}`] };
  }
  if (verdict !== 'loaded') return { kind: 'differ', problems: [`${profile}: ${verdict}: ${stderr}`] };
  const problems = differences(shownByGraph(graph), bitmaps);
  return problems.length === 0 ? { kind: 'agree', verdict: 'loaded' } : { kind: 'differ', problems };
}
