import fc from 'fast-check';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { type Name, nameFromBytes, nameFromText, toHex } from '../../src/bytes/text.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { type BitmapSet, knownEnd } from '../../src/set/bitmap-set.js';

/** The example of the design document. */
export const EXAMPLE = `{ "dirtybitmap": 1,
  "nodes": [
    { "node": "disk0", "size": 1073741824, "bitmaps": [
      { "name": "b0", "granularity": 65536, "recording": true, "persistent": true, "dirty": [
        [0, 65536],
        [536870912, 1048576] ] } ] } ] }
`;

/** A bitmap of a set as plain data: what is dirty is a list of granules, ascending. */
export interface ModelBitmap {
  readonly name: Name;
  readonly granularity: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  readonly covered: number | undefined;
  readonly granules: readonly number[];
}

/** A node of a set as plain data. */
export interface ModelNode {
  readonly node: Name;
  readonly size: number | undefined;
  readonly bitmaps: readonly ModelBitmap[];
}

const name = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }).map(nameFromText) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }).map(nameFromBytes) },
);
const names = (node: { readonly node?: Name; readonly name?: Name }): string =>
  toHex((node.node ?? node.name)?.bytes ?? new Uint8Array());
const end = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 20 }),
  fc.maxSafeNat(),
  fc.constantFrom(0, 1, 511, 512, 2 ** 30, Number.MAX_SAFE_INTEGER, 2 ** 53),
);

function bitmap(size: number | undefined): fc.Arbitrary<ModelBitmap> {
  return fc.tuple(fc.integer({ min: 9, max: 31 }), fc.option(end, { nil: undefined })).chain(([shift, wanted]) => {
    const granularity = 2 ** shift;
    const covered = wanted === undefined || size === undefined ? wanted : wanted < size ? wanted : undefined;
    const known = covered ?? size;
    const count = known === undefined ? 2 ** 53 / granularity : Math.ceil(known / granularity);
    const near = fc.integer({ min: 0, max: Math.max(0, Math.min(count - 1, 300)) });
    const far = fc.integer({ min: 0, max: Math.max(0, count - 1) });
    const last = fc.constant(Math.max(0, count - 1));
    const granule = fc.oneof({ weight: 8, arbitrary: near }, far, last);
    return fc.record({
      name,
      granularity: fc.constant(granularity),
      recording: fc.boolean(),
      persistent: fc.boolean(),
      covered: fc.constant(covered),
      granules: count === 0 ? fc.constant([]) : fc.uniqueArray(granule, { maxLength: 60 }).map(ascending),
    });
  });
}

/** Any bitmap set, as plain data. */
export const model: fc.Arbitrary<readonly ModelNode[]> = fc.uniqueArray(
  fc.option(end, { nil: undefined }).chain((size) =>
    fc.record({
      node: name,
      size: fc.constant(size),
      bitmaps: fc.uniqueArray(bitmap(size), { maxLength: 4, selector: names }),
    }),
  ),
  { maxLength: 3, selector: names },
);

/** The set that plain data mean. */
export function setOf(nodes: readonly ModelNode[]): BitmapSet {
  return {
    nodes: nodes.map(({ node, size, bitmaps }) => ({
      node,
      size,
      bitmaps: bitmaps.map(({ name, granularity, recording, persistent, covered, granules }) => {
        const bits = new Bitmap(granularity, { size });
        for (const granule of granules) bits.set(granule * granularity);
        return { name, recording, persistent, bits, ...(covered !== undefined && { coveredBytes: covered }) };
      }),
    })),
  };
}

/** The extents of a model's bitmap, found one granule after the other; `known` is where they are cut, in bytes. */
export function extentsOf({ granularity, granules }: ModelBitmap, known: number | undefined): [number, number][] {
  const extents: [number, number][] = [];
  for (const granule of granules) {
    const last = extents.at(-1);
    if (last !== undefined && last[0] + last[1] === granule * granularity) last[1] += granularity;
    else extents.push([granule * granularity, granularity]);
  }
  const last = extents.at(-1);
  if (last !== undefined && known !== undefined) last[1] = Math.min(last[0] + last[1], known) - last[0];
  return extents;
}

/** All that a set says, as values that can be compared; bits as extents. */
export function contents(set: BitmapSet): unknown {
  return set.nodes.map((node) => ({
    node: toHex(node.node.bytes),
    size: node.size,
    bitmaps: node.bitmaps.map((bitmap) => ({
      name: toHex(bitmap.name.bytes),
      recording: bitmap.recording,
      persistent: bitmap.persistent,
      granularity: bitmap.bits.granularity,
      end: knownEnd(node, bitmap),
      size: bitmap.bits.size,
      dirty: [...bitmap.bits.extents({ clip: false })],
    })),
  }));
}

/** The DirtyBitmapError that a call throws; fails where it throws another or none. */
export function errorOf(call: () => unknown): DirtyBitmapError {
  try {
    call();
  } catch (error) {
    if (error instanceof DirtyBitmapError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** The result of a call, or the DirtyBitmapError that it throws; any other exception goes on. */
export function resultOf<T>(call: () => T): T | DirtyBitmapError {
  try {
    return call();
  } catch (error) {
    if (error instanceof DirtyBitmapError) return error;
    throw error;
  }
}

/** Bytes with some of them changed, left out, doubled or put in. */
export function mutated(bytes: fc.Arbitrary<Uint8Array>, byte: fc.Arbitrary<number>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({ at: fc.nat(), drop: fc.nat({ max: 3 }), put: fc.array(byte, { maxLength: 3 }) });
  return fc.tuple(bytes, fc.array(change, { minLength: 1, maxLength: 3 })).map(([start, changes]) => {
    let now = [...start];
    for (const { at, drop, put } of changes) {
      const place = at % (now.length + 1);
      now = [...now.slice(0, place), ...put, ...now.slice(place + drop)];
    }
    return Uint8Array.from(now);
  });
}

function ascending(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((a, b) => a - b);
}
