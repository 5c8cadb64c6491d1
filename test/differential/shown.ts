import { granulesIn } from '../../src/bitmap/granularity.js';
import { bitmapSha256 } from '../../src/bitmap/sha256.js';
import type { MemoryGraph } from '../../src/migration/memory-graph.js';
import type { QemuPrediction } from '../../src/migration/qemu-prediction.js';
import type { VirtualMachine } from './virtual-machine.js';

/** A bitmap as QMP shows it, or would. */
export interface Shown {
  readonly node: string;
  readonly name: string;
  /** Bytes. */
  readonly granularity: number;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  /** Bytes. */
  readonly count: number;
  readonly sha256: string;
}

/** The named bitmaps of a QEMU. */
export async function shownByQemu(machine: VirtualMachine): Promise<Shown[]> {
  type Found = Omit<Shown, 'node' | 'sha256' | 'name'> & { readonly name?: string };
  type Node = { readonly 'node-name': string; readonly 'dirty-bitmaps'?: readonly Found[] };
  const all: Shown[] = [];
  for (const node of await machine.execute<Node[]>('query-named-block-nodes', { flat: true })) {
    for (const found of node['dirty-bitmaps'] ?? []) {
      if (found.name === undefined) continue;
      const { name, granularity, recording, busy, persistent, count } = found;
      const where = { node: node['node-name'], name };
      const sha256 = isClean(name)
        ? (await machine.execute<{ readonly sha256: string }>('x-debug-block-dirty-bitmap-sha256', where)).sha256
        : '';
      all.push(plain({ ...where, granularity, recording, busy, persistent, count, sha256 }));
    }
  }
  return all;
}

/** The named bitmaps of a block graph of ours. */
export function shownByGraph(graph: MemoryGraph): Shown[] {
  return graph.nodes.flatMap((node) =>
    node.bitmaps.flatMap((bitmap) => {
      if (bitmap.name === undefined) return [];
      const { granularity, recording, busy, persistent, count } = bitmap.info();
      const sha256 = bitmapSha256(bitmap.bits, granulesIn(node.size, granularity));
      const name = bitmap.name.clean ? bitmap.name.text : '\ufffd';
      return [plain({ node: node.name, name, granularity, recording, busy, persistent, count, sha256 })];
    }),
  );
}

/** The bitmaps that are predicted of a QEMU. */
export function shownByPrediction(prediction: QemuPrediction): Shown[] {
  return prediction.bitmaps.map(({ bits, wordBits, arrived: _arrived, ...rest }) =>
    // The prediction shows bytes that are no text as \xNN.
    plain({ ...rest, name: rest.name.replace(/\\x[0-9a-f]{2}/g, '\ufffd'), sha256: bitmapSha256(bits, wordBits) }),
  );
}

/** In what two lists of bitmaps differ; order does not matter. */
export function differences(ours: readonly Shown[], theirs: readonly Shown[], who = 'ours'): string[] {
  const left = ours.map((one) => JSON.stringify(one)).sort();
  const right = theirs.map((one) => JSON.stringify(one)).sort();
  if (left.join('\n') === right.join('\n')) return [];
  return [
    ...left.filter((line) => !right.includes(line)).map((line) => `only ${who}: ${line}`),
    ...right.filter((line) => !left.includes(line)).map((line) => `only QEMU's: ${line}`),
    ...(left.length === right.length ? [] : [`${left.length} bitmaps ${who}, ${right.length} of QEMU`]),
  ];
}

/** QMP replaces bytes that are no text, after which the bitmap cannot be asked for. */
function isClean(name: string): boolean {
  return !/[\ufffd\ufffe\uffff]/.test(name);
}

function plain({ node, name, granularity, recording, busy, persistent, count, sha256 }: Shown): Shown {
  const clean = isClean(name);
  return {
    ...{ node, name: clean ? name : '(no text)', granularity, recording, busy, persistent, count },
    sha256: clean ? sha256 : '',
  };
}
