import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Claims } from '../../src/qcow2/claims.js';

const claim = fc.record({
  first: fc.nat(40),
  count: fc.integer({ min: 1, max: 8 }),
  owner: fc.integer({ min: -1, max: 4 }),
});

it('claims are found as a list of clusters finds them', () => {
  fc.assert(
    fc.property(fc.array(claim, { maxLength: 12 }), fc.nat(50), fc.nat(10), (list, first, count) => {
      const claims = new Claims();
      const owners = new Map<number, number[]>();
      for (const { first: start, count: length, owner } of list) {
        claims.add(start, start + length, owner);
        for (let at = start; at < start + length; at++) owners.set(at, [...(owners.get(at) ?? []), owner]);
      }
      const doubted = new Set<number>();
      claims.seal((a, b, cluster) => {
        expect(owners.get(cluster)).toEqual(expect.arrayContaining([a, b]));
        doubted.add(a).add(b);
      });
      // Whoever shares a cluster with another claim is told of.
      const sharing = [...owners.values()].filter((who) => who.length > 1).flat();
      expect(doubted).toEqual(new Set(sharing));
      // Each cluster keeps one owner, in ascending order.
      const all = [...claims.all()].flatMap(({ first: start, end, owner }) =>
        Array.from({ length: end - start }, (_, index) => [start + index, owner] as const),
      );
      expect(all.map(([cluster]) => cluster)).toEqual([...owners.keys()].sort((a, b) => a - b));
      for (const [cluster, owner] of all) expect(owners.get(cluster)).toContain(owner);
      // And is found from any side.
      const found: number[] = [];
      for (let at = first; ; ) {
        const next = claims.find(at, first + count);
        if (next === undefined) break;
        for (let cluster = next.first; cluster < next.end; cluster++) found.push(cluster);
        at = next.end;
      }
      expect(found).toEqual(all.map(([cluster]) => cluster).filter((at) => at >= first && at < first + count));
    }),
  );
});
