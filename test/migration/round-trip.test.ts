import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Profile } from '../../src/migration/cutter.js';
import { Destination } from '../../src/migration/destination.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { Feed } from '../support/chunks.js';

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
