import { BlockBitmapMapping } from '../../src/migration/block-bitmap-mapping.js';
import { Destination } from '../../src/migration/destination.js';
import type { QemuDestination } from '../../src/migration/qemu-destination.js';
import { CaptureLoader } from '../support/load-capture.js';
import { predict } from '../support/qemu-truth.js';
import type { Dice } from './dice.js';
import { loadIntoQemu } from './incoming.js';
import { judge } from './judge.js';
import { mutatedStream } from './mutated-stream.js';
import type { Outcome } from './outcome.js';
import { shownByGraph } from './shown.js';
import type { QemuProgram } from './virtual-machine.js';
import { graphOf } from './world.js';

/** A damaged stream: a QEMU, our destination and our prediction must come to the same. */
export async function mutatedCase(program: QemuProgram, dice: Dice, folder: string): Promise<Outcome> {
  const { version } = program;
  const { stream, nodes, mapping, mutations } = mutatedStream(dice, version !== '5.2');
  const run = await loadIntoQemu(program, stream, { nodes, mapping }, folder);
  const graph = graphOf(nodes);
  const before = shownByGraph(graph);
  const options = mapping === undefined ? {} : { mapping: new BlockBitmapMapping(mapping) };
  const destination = new Destination(graph, options);
  new CaptureLoader(destination).load(stream);
  const known: QemuDestination = {
    ...{ version, machine: 'none', returnPath: false, mapping },
    nodes: nodes.map(({ name, device, size, bitmaps }) => {
      const old = bitmaps.map((bitmap) => ({
        name: bitmap.name,
        granularity: bitmap.granularity,
        recording: bitmap.recording,
      }));
      return { node: name, device, size, bitmaps: old };
    }),
  };
  const prediction = predict(stream, known);
  const outcome = judge({ run, prediction, destination, version, before, after: shownByGraph(graph) });
  if (outcome.kind !== 'differ') return outcome;
  return { kind: 'differ', problems: outcome.problems.map((problem) => `[${mutations.join(', ')}] ${problem}`) };
}
