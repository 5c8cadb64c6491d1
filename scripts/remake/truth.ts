import { Bitmap } from '../../src/bitmap/bitmap.js';
import { bitmapSha256 } from '../../src/bitmap/sha256.js';
import type { TruthBitmap } from '../../test/support/truth.js';
import type { Case, Mapping, Step } from './cases.js';
import type { Qemu } from './qemu.js';

/** A bitmap as `query-named-block-nodes` tells of it. */
interface QueriedBitmap {
  readonly name?: string;
  readonly recording: boolean;
  readonly persistent: boolean;
  readonly busy: boolean;
  readonly granularity: number;
  readonly count: number;
}

interface QueriedNode {
  readonly 'node-name': string;
  readonly drv: string;
  readonly ro: boolean;
  readonly image: { readonly 'virtual-size': number };
  readonly 'dirty-bitmaps'?: readonly QueriedBitmap[];
}

/** A node of `source_before`: what QEMU says of it and of its bitmaps, the newest first. */
export interface SourceNode {
  readonly node_name: string;
  readonly driver: string;
  readonly virtual_size: number;
  readonly ro: boolean;
  readonly bitmaps: readonly (QueriedBitmap & { readonly name: string; readonly sha256: string })[];
}

/** Asks QEMU for its nodes and bitmaps. */
export async function querySource(qemu: Qemu): Promise<SourceNode[]> {
  const nodes: SourceNode[] = [];
  for (const node of await qemu.execute<QueriedNode[]>('query-named-block-nodes', { flat: true })) {
    const bitmaps: SourceNode['bitmaps'][number][] = [];
    for (const { name = '', recording, persistent, busy, granularity, count } of node['dirty-bitmaps'] ?? []) {
      const { sha256 } = await qemu.execute<{ readonly sha256: string }>('x-debug-block-dirty-bitmap-sha256', {
        node: node['node-name'],
        name,
      });
      bitmaps.push({ name, recording, persistent, busy, granularity, count, sha256 });
    }
    const { drv: driver, ro, image } = node;
    nodes.push({ node_name: node['node-name'], driver, virtual_size: image['virtual-size'], ro, bitmaps });
  }
  return nodes;
}

/** What the stream must hold: what QEMU says, and the extents, which QEMU vouches for by its SHA-256. */
export function expectedBitmaps(made: Case, source: readonly SourceNode[]): TruthBitmap[] {
  return made.nodes.flatMap((node) => {
    const queried = source.find((one) => one.node_name === node.name);
    return (queried?.bitmaps ?? []).map(({ name, recording, persistent, granularity, count, sha256 }) => {
      const bits = replay(made.steps, node.name, name, granularity);
      const ours = bitmapSha256(bits, Math.ceil(node.size / granularity));
      if (ours !== sha256) throw new Error(`${node.name}/${name}: these steps do not make the bits that QEMU has`);
      const alias = aliasOf(made.mapping, node.name, name);
      return {
        node_alias: alias.node,
        node_alias_hex: hexOf(alias.node),
        bitmap_alias: alias.bitmap,
        bitmap_alias_hex: hexOf(alias.bitmap),
        ...{ size: node.size, granularity },
        flags: (recording ? 1 : 0) | (persistent ? 2 : 0),
        ...{ count, sha256 },
        extents: [...bits.extents()],
      };
    });
  });
}

/** The bits that a bitmap has after the steps. */
function replay(steps: readonly Step[], node: string, name: string, granularity: number): Bitmap {
  const bits = new Bitmap(granularity);
  let recording = false;
  for (const step of steps.filter((one) => one.node === node)) {
    if (step.do === 'write') {
      if (recording) bits.setExtents([[step.offset, step.length]]);
    } else if (step.name === name) {
      recording = step.do === 'add';
    }
  }
  return bits;
}

function aliasOf(mapping: Mapping | undefined, node: string, bitmap: string): { node: string; bitmap: string } {
  const mapped = mapping?.find((one) => one['node-name'] === node);
  return {
    node: mapped?.alias ?? node,
    bitmap: mapped?.bitmaps.find((one) => one.name === bitmap)?.alias ?? bitmap,
  };
}

/** The bytes of a name as QEMU has them: U+0000 is `c0 80`. */
function hexOf(text: string): string {
  return Buffer.from(text)
    .toString('hex')
    .replace(/../g, (byte) => (byte === '00' ? 'c080' : byte));
}
