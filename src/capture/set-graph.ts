import { type Name, nameFromText, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { BlockBackend, BlockGraph, BlockNode } from '../migration/block-graph.js';
import type { Profile } from '../migration/cutter.js';
import { TrackedBitmap } from '../migration/tracked-bitmap.js';
import type { BitmapSet, SetBitmap, SetNode } from '../set/bitmap-set.js';
import { diskEnd, oneDiskEnd } from '../set/disk-end.js';

/**
 * The bitmaps of a set as a block graph that a `Source` can send, in the order of the set and under its names. Bits are
 * shared, not copied; those of a node without a size learn one: as far as they are known, for a stream tells no more.
 * @throws DirtyBitmapError `size-unknown` where neither the node's size nor what is covered is told; `name-empty`;
 * `name-not-utf8` for a node's name that text cannot hold.
 */
export function setGraph(set: BitmapSet, profile?: Profile): BlockGraph {
  const backends: BlockBackend[] = [];
  for (const node of set.nodes) {
    // Under the name of a backend a node may be called anything; and a backend stands in the order of the stream.
    for (const { size, bitmaps } of groups(node, profile)) {
      backends.push({ name: nodeText(node), node: new SentNode(node, size, bitmaps) });
    }
  }
  return { nodes: [], backends };
}

/**
 * Up to where the ranges of a bitmap are sent, in bytes of the disk: all of it, where its end is known. Else as far as any
 * bitmap of the node is known, if a range of this one may end there. Of a bitmap that is all clean, profile `compact`
 * sends no range, so that any end will do.
 * @throws DirtyBitmapError `size-unknown`; `size-differs` where the bitmaps of the node are not of one disk.
 */
export function sentSize(node: SetNode, bitmap: SetBitmap, profile: Profile = 'qemu'): number {
  if (node.size !== undefined) return node.size;
  const ends = node.bitmaps.map((one) => [`${node.node.text}/${one.name.text}`, diskEnd(node, one)] as const);
  const exact = oneDiskEnd(ends);
  if (exact !== undefined) return exact;
  const most = ends.reduce((end, [, other]) => Math.max(end, other?.bytes ?? 0), 0);
  // Only the end of the disk may lie within 64 granules, and this one may be another bitmap's 64 granules.
  const unit = 64 * bitmap.bits.granularity;
  if (most > 0 && most % unit === 0) return most;
  const clean = (): number | undefined => {
    const end = most - (most % unit);
    return bitmap.bits.count() === 0 && (end > 0 || profile === 'compact') ? end : undefined;
  };
  const own = bitmap.coveredBytes ?? clean();
  if (own !== undefined) return own;
  throw new DirtyBitmapError(
    'size-unknown',
    `bitmap ${quoted(`${node.node.text}/${bitmap.name.text}`, 96)}: nothing tells the size of its disk, without which a ` +
      'stream would end its ranges where QEMU aborts; add "size" (bytes) to the node',
  );
}

/** A node's bitmaps that are sent up to the same end; a disk of which the size is known has one group. */
function groups(
  node: SetNode,
  profile: Profile | undefined,
): readonly { readonly size: number; readonly bitmaps: readonly SetBitmap[] }[] {
  const found: { size: number; bitmaps: SetBitmap[] }[] = [];
  for (const bitmap of node.bitmaps) {
    const size = sentSize(node, bitmap, profile);
    const last = found.at(-1);
    if (last?.size === size) last.bitmaps.push(bitmap);
    else found.push({ size, bitmaps: [bitmap] });
  }
  return found;
}

function nodeText({ node }: SetNode): string {
  if (node.bytes.length === 0) throw new DirtyBitmapError('name-empty', 'a node has no name; give it one');
  if (sameBytes(nameFromText(node.text), node)) return node.text;
  const message = `the node name ${quoted(node.text)} is not clean UTF-8, and no QEMU has such a node; rename it`;
  throw new DirtyBitmapError('name-not-utf8', message);
}

function sameBytes(a: Name, b: Name): boolean {
  return a.bytes.length === b.bytes.length && a.bytes.every((byte, at) => byte === b.bytes[at]);
}

/** A node that is only sent. */
class SentNode implements BlockNode {
  readonly name: string;
  readonly size: number;
  readonly readOnly = false;
  readonly canStore = true;
  readonly filtered = undefined;
  readonly bitmaps: readonly TrackedBitmap[];

  constructor(node: SetNode, size: number, bitmaps: readonly SetBitmap[]) {
    this.name = node.node.text;
    this.size = size;
    this.bitmaps = bitmaps.map(({ name, recording, persistent, bits }) => {
      if (name.bytes.length === 0) {
        const message = `a bitmap of node ${quoted(this.name)} has no name; give it one`;
        throw new DirtyBitmapError('name-empty', message);
      }
      const { granularity } = bits;
      return new TrackedBitmap({ name, granularity, recording, persistent, bits }, size);
    });
  }

  create(): never {
    throw new DirtyBitmapError('argument', 'a set that is sent takes no new bitmap');
  }

  release(): void {}
}
