import type { Bitmap } from '../bitmap/bitmap.js';
import type { Extent } from '../bitmap/extents.js';
import { type BitmapSet, knownEnd } from './bitmap-set.js';
import { diskEnd } from './disk-end.js';
import { entriesOf, nameKey, type SetEntry } from './rename-set.js';

/** A property that two bitmaps have differently. */
export interface FieldDifference {
  readonly field: 'granularity' | 'recording' | 'persistent' | 'size';
  readonly a: number | boolean;
  readonly b: number | boolean;
}

/** The bitmaps of one name in two sets; a side is undefined where it has none. */
export interface Pair {
  readonly a: SetEntry | undefined;
  readonly b: SetEntry | undefined;
}

/** A dirty range, in bytes, that only one side has. */
export type Difference = readonly [side: 'a' | 'b', offset: number, length: number];

/** The bitmaps of two sets by node and name: those of `a` in its order, then what only `b` has. */
export function pairUp(a: BitmapSet, b: BitmapSet): Pair[] {
  const left = new Map(entriesOf(b).map((entry) => [keyOf(entry), entry]));
  const pairs: Pair[] = entriesOf(a).map((entry) => {
    const key = keyOf(entry);
    const other = left.get(key);
    left.delete(key);
    return { a: entry, b: other };
  });
  return [...pairs, ...[...left.values()].map((entry) => ({ a: undefined, b: entry }))];
}

/**
 * In what two bitmaps differ beside their bits. Sizes differ only where both are told, be it by how far they were sent.
 * @param told which fields both sides know; a map of nbdinfo knows the size alone.
 */
export function fieldDifferences(
  a: SetEntry,
  b: SetEntry,
  told: readonly FieldDifference['field'][],
): FieldDifference[] {
  const fields: FieldDifference[] = [
    { field: 'granularity', a: a.bitmap.bits.granularity, b: b.bitmap.bits.granularity },
    { field: 'recording', a: a.bitmap.recording, b: b.bitmap.recording },
    { field: 'persistent', a: a.bitmap.persistent, b: b.bitmap.persistent },
  ];
  const size = sizeDifference(a, b);
  if (size !== undefined) fields.push(size);
  return fields.filter((one) => told.includes(one.field) && one.a !== one.b);
}

/** Disks of two sizes, where both are told; a stream tells whole sectors. */
function sizeDifference(a: SetEntry, b: SetEntry): FieldDifference | undefined {
  const [endA, endB] = [diskEnd(a.node, a.bitmap), diskEnd(b.node, b.bitmap)];
  if (endA?.exact !== true || endB?.exact !== true) return undefined;
  const bothTold = a.node.size !== undefined && b.node.size !== undefined;
  if (!bothTold && endA.bytes === endB.bytes) return undefined;
  return { field: 'size', a: a.node.size ?? endA.bytes, b: b.node.size ?? endB.bytes };
}

/**
 * The dirty bytes that only one of two bitmaps has, ascending; granularities may differ. A stream tells whole sectors, so
 * that what lies in the last sector of a disk does not count where only one side knows where the disk ends.
 */
export function* bitDifferences(a: SetEntry, b: SetEntry): Generator<Difference, void, void> {
  // The usual case, and much the quickest.
  if (a.bitmap.bits.equals(b.bitmap.bits)) return;
  const [endA, endB] = endsOf(a, b);
  const left = clipped(a.bitmap.bits, endA);
  const right = clipped(b.bitmap.bits, endB);
  let inA = next(left);
  let inB = next(right);
  while (inA !== undefined || inB !== undefined) {
    const startA = inA?.[0] ?? Number.POSITIVE_INFINITY;
    const startB = inB?.[0] ?? Number.POSITIVE_INFINITY;
    if (startA === startB) {
      const [endOfA, endOfB] = [inA?.[1] as number, inB?.[1] as number];
      const both = Math.min(endOfA, endOfB);
      inA = both === endOfA ? next(left) : [both, endOfA];
      inB = both === endOfB ? next(right) : [both, endOfB];
    } else if (startA < startB) {
      const end = Math.min(inA?.[1] as number, startB);
      yield ['a', startA, end - startA];
      inA = end === inA?.[1] ? next(left) : [end, inA?.[1] as number];
    } else {
      const end = Math.min(inB?.[1] as number, startA);
      yield ['b', startB, end - startB];
      inB = end === inB?.[1] ? next(right) : [end, inB?.[1] as number];
    }
  }
}

const SECTOR = 512;

/** Where extents are cut, in bytes. */
function endsOf(a: SetEntry, b: SetEntry): [number, number] {
  const endA = knownEnd(a.node, a.bitmap) ?? Number.POSITIVE_INFINITY;
  const endB = knownEnd(b.node, b.bitmap) ?? Number.POSITIVE_INFINITY;
  if (Math.abs(endA - endB) >= SECTOR) return [endA, endB];
  const end = Math.min(endA, endB);
  return [end, end];
}

/** Start and end of each dirty range. */
function* clipped(bits: Bitmap, end: number): Generator<Extent, void, void> {
  for (const [offset, length] of bits.extents({ clip: false })) {
    const stop = Math.min(offset + length, end);
    if (stop > offset) yield [offset, stop];
  }
}

function next(extents: Generator<Extent, void, void>): Extent | undefined {
  return extents.next().value ?? undefined;
}

function keyOf({ node, bitmap }: SetEntry): string {
  return `${nameKey(node.node)}/${nameKey(bitmap.name)}`;
}
