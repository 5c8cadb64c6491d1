import { Bitmap } from '../../src/bitmap/bitmap.js';
import type { Extent } from '../../src/bitmap/extents.js';
import { nameFromText } from '../../src/bytes/text.js';
import type { BitmapSet } from '../../src/set/bitmap-set.js';

/** A bitmap as a test writes it down; what is left out is usual. */
export interface Sketch {
  readonly node?: string;
  readonly name?: string;
  /** Bytes. */
  readonly granularity?: number;
  /** Bytes of the disk; null where that is not told. */
  readonly size?: number | null;
  readonly recording?: boolean;
  readonly persistent?: boolean;
  /** In bytes. */
  readonly covered?: number;
  /** [offset, length] in bytes. */
  readonly dirty?: readonly Extent[];
}

/** A set of these bitmaps; those of one node follow each other, the first tells the node's size. */
export function setOf(...sketches: readonly Sketch[]): BitmapSet {
  const nodes: { node: string; size: number | undefined; bitmaps: BitmapSet['nodes'][number]['bitmaps'] }[] = [];
  for (const { node = 'disk0', name = 'b0', granularity = 65_536, size = 2 ** 30, ...rest } of sketches) {
    let place = nodes.find((one) => one.node === node);
    if (place === undefined) {
      place = { node, size: size ?? undefined, bitmaps: [] };
      nodes.push(place);
    }
    const bits = new Bitmap(granularity, { size: place.size });
    bits.setExtents(rest.dirty ?? []);
    const { recording = true, persistent = false, covered } = rest;
    const bitmap = {
      name: nameFromText(name),
      recording,
      persistent,
      bits,
      ...(covered !== undefined && { coveredBytes: covered }),
    };
    place.bitmaps = [...place.bitmaps, bitmap];
  }
  return { nodes: nodes.map((one) => ({ ...one, node: nameFromText(one.node) })) };
}

/** All pieces as one; each is copied before the next is asked for. */
export function collect(pieces: Iterable<Uint8Array>): Uint8Array {
  return Buffer.concat([...copies(pieces)]);
}

function* copies(pieces: Iterable<Uint8Array>): Generator<Uint8Array, void, void> {
  for (const piece of pieces) yield piece.slice();
}
