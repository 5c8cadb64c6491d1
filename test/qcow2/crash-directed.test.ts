import { describe, expect, it } from 'vitest';
import { Dice } from '../differential/dice.js';
import { fill, join } from '../support/stream-builder.js';
import { type BuiltImage, buildImage, type ImageForm } from './build-image.js';
import { type CrashOutcome, type OnState, OPERATION_NAMES, tryCrashes } from './crash-case.js';
import { clearAutoclear, padTo } from './crash-edits.js';
import { IMAGES, readVector } from './vectors.js';

const noQemu: OnState = async () => [];

/** One operation with a crash at every step; what follows from the dice follows from `seed`. */
async function crash(
  base: Uint8Array,
  operation: string,
  seed: number,
  how: { readonly paranoid?: boolean; readonly undo?: boolean } = {},
): Promise<CrashOutcome> {
  const { paranoid = false, undo = false } = how;
  const dice = new Dice(seed, operation, base.length);
  return await tryCrashes({ ...{ base, operation, dice, subsets: 4 }, proveOwnership: true, paranoid, undo }, noQemu);
}

/** What came of many of them. */
class Sum {
  states = 0;
  readonly problems: string[] = [];
  readonly traits = new Set<string>();
  readonly refused = new Set<string>();

  add(what: string, { states, problems, traits, refused, idle }: CrashOutcome): void {
    expect(idle, what).toBeUndefined();
    this.states += states;
    this.problems.push(...problems.map((problem) => `${what}: ${problem}`));
    for (const trait of traits) this.traits.add(trait);
    if (refused !== undefined) this.refused.add(refused);
  }
}

const ONE = [{ dirty: [[3, 4000]] }, { name: 'second', granularityBits: 12, flags: 0 }] as const;
const CLUSTER = 512;

describe('a crash at any step of a commit, where it is close', () => {
  it.each([1, 2, 4, 8, 16, 32, 64])('to the end of a block of refcounts of %i bits', async (refcountBits) => {
    const sum = new Sum();
    const { bytes } = buildImage({ refcountBits, size: 12 * 1024 * 1024, bitmaps: ONE });
    const block = ((CLUSTER * 8) / refcountBits) * CLUSTER;
    const end = Math.ceil(bytes.length / block + 1) * block;
    // Each block counts its own cluster, or one of those behind it does: chains of these are rare.
    for (let turn = 0; turn < (refcountBits === 64 ? 100 : refcountBits > 8 ? 40 : 6); turn++) {
      const left = refcountBits > 8 ? turn % 67 : turn * 11;
      sum.add(`${left} clusters left`, await crash(padTo(bytes, end - left * CLUSTER), 'add many', turn));
    }
    expect(sum.problems).toEqual([]);
    expect(sum.traits).toContain('new refcount blocks');
    if (refcountBits === 64)
      expect([...sum.traits].filter((trait) => trait.endsWith('rounds of hooks')).sort()).toEqual([
        '2 rounds of hooks',
        '3 rounds of hooks',
      ]);
    console.log(`${refcountBits} bits: ${sum.states} states; ${[...sum.traits].sort().join(', ')}`);
  });

  it.each([16, 32, 64])('to the end of a table of refcounts of %i bits', async (refcountBits) => {
    const sum = new Sum();
    const { bytes } = buildImage({ refcountBits, size: 4 * 1024 * 1024, bitmaps: ONE });
    const end = (CLUSTER / 8) * ((CLUSTER * 8) / refcountBits) * CLUSTER;
    for (let left = 0; left < 66; left += refcountBits < 64 ? 13 : 2) {
      const base = padTo(bytes, end - left * CLUSTER);
      sum.add(`${left} clusters left`, await crash(base, 'add many', left, { undo: left % 3 === 0 }));
    }
    expect(sum.problems).toEqual([]);
    expect(sum.traits).toContain('larger refcount table');
  });

  const NAME = 'b'.repeat(40);
  const area = (end: number, form: ImageForm): BuiltImage =>
    buildImage({ clusterBits: 10, extensions: [[0x76543210, fill(end - 112 - 8, 0xee)]], ...form });

  it('to a sector boundary: an extension that is new, a name that makes room', async () => {
    const sum = new Sum();
    for (let end = 400; end <= 600; end += 8) {
      // Behind the end marker there may be anything: what was there before.
      const { bytes, endMarker } = area(end, {});
      sum.add(`end marker at ${end}`, await crash(withBytes(bytes, endMarker + 8, fill(100, 0xaa)), 'add clean', end));
      const backed = area(end, { backing: NAME });
      sum.add(`backing name at ${end + 8}`, await crash(backed.bytes, 'add clean', end, { undo: true }));
    }
    expect(sum.problems).toEqual([]);
    expect(sum.refused.size).toBe(0);
    expect(sum.traits).toContain('backing name moved');
  });

  it('to a sector boundary: an extension that is there', async () => {
    const sum = new Sum();
    for (let end = 440; end <= 528; end += 8) {
      for (const operation of ['replace', 'remove all', 'add clean', 'mark in use', 'disable']) {
        for (const [backing, after] of [
          ['', []],
          [NAME, []],
          ['', [[0x76543211, join('behind')]]],
        ] as const) {
          const { bytes } = area(end, { bitmaps: ONE, backing, moreExtensions: after });
          const paranoid = end % 3 === 0;
          const what = `${operation}, extension at ${end}, ${after.length} behind it, ${backing.length} bytes of name`;
          sum.add(what, await crash(bytes, operation, end, { paranoid, undo: true }));
          if (operation !== 'disable' && operation !== 'mark in use')
            sum.add(
              `stale, ${what}`,
              await crash(clearAutoclear(bytes), operation.replace('replace', 'replace with all dirty'), end),
            );
        }
      }
    }
    expect(sum.problems).toEqual([]);
    expect(sum.traits).toContain('autoclear bit off');
  });

  it('to images of every kind that QEMU makes', async () => {
    const sum = new Sum();
    for (const [number, [name, truth]] of IMAGES.entries()) {
      // The largest disk has bitmaps of hundreds of MiB.
      if (truth.mustRefuse === true || truth.reader.virtualSize > 2 ** 36) continue;
      const bytes = readVector(name);
      for (const [at, operation] of OPERATION_NAMES.entries()) {
        if ((number + at) % 2 === 1) continue;
        const outcome = await crash(bytes, operation, at, { paranoid: at % 3 === 0, undo: at % 4 < 2 });
        if (!outcome.idle) sum.add(`${operation}, ${name}`, outcome);
      }
    }
    expect(sum.problems).toEqual([]);
    expect([...sum.refused].sort()).toEqual(['qcow2-bitmap-unsupported', 'qcow2-not-writable']);
    console.log(`shipped images: ${sum.states} states; ${[...sum.traits].sort().join(', ')}`);
  });

  it('to the end of the first cluster, which is full: nothing is written', async () => {
    const at = (end: number, backing: string): Promise<CrashOutcome> =>
      crash(area(end, { backing }).bytes, 'add clean', 1);
    expect(await at(1024 - 40, '')).toMatchObject({ problems: [], traits: ['new extension'] });
    expect(await at(1024 - 32, '')).toMatchObject({ refused: 'qcow2-no-room', states: 0 });
    // The name goes behind itself, or nowhere.
    expect(await at(1024 - 8 - 80, NAME)).toMatchObject({
      problems: [],
      traits: ['backing name moved', 'new extension'],
    });
    expect(await at(1024 - 80, NAME)).toMatchObject({ refused: 'qcow2-no-room', states: 0 });
  });
});

function withBytes(bytes: Uint8Array, offset: number, part: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(part, offset);
  return copy;
}
