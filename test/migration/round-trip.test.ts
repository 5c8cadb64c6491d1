import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import type { Profile } from '../../src/migration/cutter.js';
import { Destination } from '../../src/migration/destination.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { Feed } from '../support/chunks.js';
import { sectionBytes } from '../support/reencode.js';

/** Words of a bitmap in [first, end) that hold a bit. */
type Run = [first: number, end: number];

/**
 * What `compact` should cut, found slowly: every word by itself, joined where at most two words of zeroes lie between,
 * cut at 1280 words. Right where no page has more than 8 runs.
 */
function slowRuns(dirty: ReadonlySet<number>): Run[] {
  const runs: Run[] = [];
  for (const word of [...dirty].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && word - last[1] <= 2 && word < last[0] + 1280) last[1] = word + 1;
    else runs.push([word, word + 1]);
  }
  return runs;
}

/** What a profile sends for a bitmap: the END section, which names nothing again. */
function endOf(bits: Bitmap, size: number, profile: Profile): Uint8Array {
  const graph = new MemoryGraph();
  graph.addNode({ name: 'd', size }).create({ name: 'b', granularity: bits.granularity, bits });
  const source = new Source(graph, { profile });
  source.setup();
  sectionBytes(source);
  source.complete();
  return sectionBytes(source);
}

describe('compact', () => {
  test('cuts what a slow twin cuts', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.nat(3000), fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1279, 1280, 1283, 2000))),
          {
            maxLength: 6,
          },
        ),
        fc.constantFrom(512, 65_536),
        (runs, granularity) => {
          const size = 5100 * 64 * granularity;
          const bits = new Bitmap(granularity, { size });
          const dirty = new Set<number>();
          for (const [first, count] of runs) {
            for (let word = first; word < first + count; word++) {
              dirty.add(word);
              bits.set(word * 64 * granularity + (word % 64) * granularity);
            }
          }
          const expected = slowRuns(dirty).reduce((sum, [first, end]) => sum + 21 + 8 * (end - first), 2);
          expect(endOf(bits, size, 'compact').length).toBe(expected);
        },
      ),
      { numRuns: 300, seed: 1, endOnFailure: true },
    );
  });

  test('a dense bitmap is cut at 10240 bytes, and two pages that touch are one chunk', () => {
    const size = 2 ** 24 * 512;
    const bits = new Bitmap(512, { size });
    bits.set(0, size);
    expect(endOf(bits, size, 'compact').length).toBe(205 * 21 + 2 ** 21 + 2);
  });

  test('a page of many small runs is sent whole, unless that takes twice the bytes', () => {
    const size = 8192 * 512;
    const bits = new Bitmap(512, { size });
    for (let word = 0; word < 128; word += 4) bits.set(word * 64 * 512);
    expect(endOf(bits, size, 'compact').length).toBe(21 + 8 * 125 + 2);
    bits.clearAll();
    for (let word = 0; word < 128; word += 13) bits.set(word * 64 * 512);
    expect(endOf(bits, size, 'compact').length).toBe(10 * 29 + 2);
  });

  test('1,000 random granules of 1 TiB: at least 10 times smaller than qemu', () => {
    const size = 2 ** 40;
    const bits = new Bitmap(65_536, { size });
    let random = 1;
    for (let left = 1000; left > 0; left--) {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
      bits.set(Math.floor((random / 2 ** 32) * 2 ** 24) * 65_536);
    }
    const [qemu, compact] = [endOf(bits, size, 'qemu').length, endOf(bits, size, 'compact').length];
    expect(compact * 10).toBeLessThan(qemu);
  });
});

describe('what a source writes, a destination reads', () => {
  const disk = fc.record({
    granularity: fc.constantFrom(512, 4096, 65_536, 2 ** 21, 2 ** 28, 2 ** 31),
    granules: fc.oneof(fc.nat(300), fc.constantFrom(8191, 8192, 8193, 20_000, 200_000)),
    odd: fc.constantFrom(0, 1, 511, 512),
    dirty: fc.array(
      fc.tuple(
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.oneof(fc.nat(400), fc.constant(100_001)),
      ),
      {
        maxLength: 20,
      },
    ),
  });

  test('any bitmap, both profiles, any splits', () => {
    fc.assert(
      fc.property(
        fc.array(disk, { minLength: 1, maxLength: 3 }),
        fc.constantFrom<Profile>('qemu', 'compact'),
        fc.integer({ min: 1, max: 5000 }),
        (disks, profile, piece) => {
          const from = new MemoryGraph();
          const to = new MemoryGraph();
          disks.forEach(({ granularity, granules, odd, dirty }, at) => {
            const size = Math.max(0, granules * granularity - (granules > 0 ? odd : 0));
            const bitmap = from.addNode({ name: `n${at}`, size }).create({ name: 'b', granularity });
            to.addNode({ name: `n${at}`, size });
            for (const [where, length] of dirty) {
              const offset = Math.floor(where * granules) * granularity;
              bitmap.bits.set(offset, Math.max(0, Math.min(length * granularity, size - offset)));
            }
          });
          const holes = profile === 'compact' ? 'accept' : 'refuse';
          const destination = new Destination(to, { strict: true, holes });
          const feed = new Feed(destination);
          destination.section(1);
          for (const part of new Source(from, { profile }).sections()) {
            for (let at = 0; at < part.length; at += piece) feed.pushPart(part.slice(at, at + piece));
          }
          expect(destination.end()).toEqual([]);
          destination.beforeVmStart();
          expect(to.query()).toEqual(from.query());
          from.nodes.forEach((node, at) => {
            const sent = node.find('b')?.bits;
            expect(sent !== undefined && to.nodes[at]?.find('b')?.bits.equals(sent)).toBe(true);
          });
        },
      ),
      { numRuns: 200, seed: 1, endOnFailure: true },
    );
  });
});
