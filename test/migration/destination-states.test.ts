import { describe, expect, test } from 'vitest';
import { Destination, type DestinationOptions } from '../../src/migration/destination.js';
import { MemoryGraph, type MemoryNode } from '../../src/migration/memory-graph.js';
import { Chunks, codeOf, Feed } from '../support/chunks.js';

// Rows of dirty-bitmap-states.md section 3; E: START's flag enabled is set, D: it is not.
const G = 65_536;
const SECTORS = 64 * 128;

class World {
  readonly graph = new MemoryGraph();
  readonly node: MemoryNode;
  readonly destination: Destination;
  readonly feed: Feed;

  constructor(options: DestinationOptions = {}) {
    this.node = this.graph.addNode({ name: 'disk0', size: 64 * G });
    this.destination = new Destination(this.graph, options);
    this.feed = new Feed(this.destination);
  }

  start(flags: number, bitmap = 'b0'): this {
    this.feed.push(new Chunks().start({ node: 'disk0', bitmap }, G, flags).eos());
    return this;
  }

  /** The first `granules` of the disk are dirty, the rest is clean. */
  bits(granules: number, bitmap = 'b0'): this {
    const data = new Uint8Array(8);
    for (let bit = 0; bit < granules; bit++) data[bit >> 3] = (data[bit >> 3] ?? 0) | (1 << (bit & 7));
    this.feed.push(new Chunks().bits({ node: 'disk0', bitmap }, 0, SECTORS, data).eos());
    return this;
  }

  complete(bitmap = 'b0'): this {
    this.feed.push(new Chunks().complete({ node: 'disk0', bitmap }).eos());
    return this;
  }

  vmStart(): this {
    this.destination.beforeVmStart();
    return this;
  }

  /** `count in granules` `rec`? `busy`? of the named bitmap; `gone` where there is none. */
  shown(name = 'b0'): string {
    const info = this.node.find(name)?.info();
    if (info === undefined) return 'gone';
    return `${info.count / G}${info.recording ? ' rec' : ''}${info.busy ? ' busy' : ''}`;
  }

  unnamed(): number {
    return this.node.info()['dirty-bitmaps'].filter(({ name }) => name === undefined).length;
  }
}

describe('row START', () => {
  test('E: count 0, not recording, busy, with a disabled successor', () => {
    const world = new World().start(1);
    expect(world.shown()).toBe('0 busy');
    expect(world.unnamed()).toBe(1);
    world.node.recordWrite(0, 1);
    expect(world.node.find('b0')?.successor?.bits.isEmpty()).toBe(true);
  });
  test('D: not recording, busy, no successor', () => {
    const world = new World().start(0);
    expect(world.shown()).toBe('0 busy');
    expect(world.unnamed()).toBe(0);
  });
  test('persistent is copied, autoload ignored', () => {
    expect(new World().start(7).node.find('b0')?.persistent).toBe(true);
    expect(new World().start(5).node.find('b0')?.persistent).toBe(false);
  });
  test('while it loads it cannot be removed, cleared, enabled or disabled', () => {
    for (const flags of [0, 1]) {
      const world = new World().start(flags);
      const bitmap = world.node.find('b0');
      for (const work of [
        () => bitmap && world.node.remove(bitmap),
        () => bitmap?.clear(),
        () => bitmap?.enable(),
        () => bitmap?.disable(),
        () => bitmap && world.node.rename(bitmap, 'x'),
      ]) {
        expect(codeOf(work)).toBe('bitmap-busy');
      }
    }
  });
});

describe('row BITS', () => {
  test('E and D: words of the bitmap are overwritten, the last wins, the successor is untouched', () => {
    for (const flags of [0, 1]) {
      const world = new World().start(flags).bits(3).bits(1).complete();
      expect(world.shown()).toBe('1');
    }
  });
  test('QMP counts nothing before COMPLETE', () => {
    expect(new World().start(1).bits(3).shown()).toBe('0 busy');
  });
  test('ZEROES clears what came before', () => {
    const world = new World().start(1).bits(3);
    world.feed.push(new Chunks().zeroes({}, 0, SECTORS).complete().eos());
    expect(world.shown()).toBe('0');
  });
});

describe('row COMPLETE before VM start', () => {
  test('E: successor gone, not recording, not busy', () => {
    const world = new World().start(1).bits(2).complete();
    expect(world.shown()).toBe('2');
    expect(world.unnamed()).toBe(0);
    expect(world.destination.bitmaps[0]?.state).toBe('waiting');
  });
  test('D: the same', () => {
    expect(new World().start(0).bits(2).complete().shown()).toBe('2');
  });
});

describe('row then VM start', () => {
  test('E: recording', () => {
    const world = new World().start(1).bits(2).complete();
    world.destination.end();
    world.vmStart();
    world.node.recordWrite(5 * G, 1);
    expect(world.shown()).toBe('3 rec');
    expect(world.destination.state).toBe('done');
  });
  test('D: unchanged', () => {
    const world = new World().start(0).bits(2).complete().vmStart();
    world.node.recordWrite(5 * G, 1);
    expect(world.shown()).toBe('2');
  });
  test('a bitmap that a user removed in between stays removed', () => {
    const world = new World().start(1).bits(2).complete();
    const bitmap = world.node.find('b0');
    if (bitmap !== undefined) world.node.remove(bitmap);
    expect(world.vmStart().shown()).toBe('gone');
  });
});

describe('row VM start before COMPLETE (postcopy)', () => {
  test('E: recording and busy; writes go to the successor only', () => {
    const world = new World().start(1).vmStart();
    world.node.recordWrite(5 * G, 1);
    expect(world.shown()).toBe('0 rec busy');
    expect(world.node.find('b0')?.bits.isEmpty()).toBe(true);
    expect(world.destination.bitmaps[0]?.state).toBe('live');
  });
  test('D: unchanged, busy', () => {
    expect(new World().start(0).vmStart().shown()).toBe('0 busy');
  });
  test('then BITS: into the bitmap', () => {
    const world = new World().start(1).vmStart();
    world.node.recordWrite(5 * G, 1);
    world.bits(2);
    expect(world.node.find('b0')?.bits.count()).toBe(2 * G);
    expect(world.node.find('b0')?.successor?.bits.count()).toBe(G);
  });
  test('then COMPLETE, E: the union, recording', () => {
    const world = new World().start(1).vmStart();
    world.node.recordWrite(5 * G, 1);
    world.bits(2).complete();
    expect(world.shown()).toBe('3 rec');
    world.node.recordWrite(6 * G, 1);
    expect(world.shown()).toBe('4 rec');
  });
  test('then COMPLETE, D: not busy', () => {
    expect(new World().start(0).vmStart().bits(2).complete().shown()).toBe('2');
  });
});

describe('row stream EOF without COMPLETE', () => {
  test.each([0, 1])('flags %i: busy for ever, and reported', (flags) => {
    const world = new World().start(flags).bits(2);
    expect(world.destination.end().map(({ alias }) => alias.text)).toEqual(['b0']);
    expect(world.destination.findings.list.map(({ code }) => code)).toEqual(['complete-missing']);
    world.vmStart();
    expect(world.shown()).toBe(flags === 1 ? '0 rec busy' : '0 busy');
    world.destination.cancel();
    expect(world.shown()).toBe('gone');
  });
});

describe('row START after VM start', () => {
  test.each([0, 1])('flags %i: refused, nothing is made', (flags) => {
    const world = new World().vmStart();
    expect(codeOf(() => world.start(flags))).toBe('start-after-run');
    expect(world.shown()).toBe('gone');
  });
});

describe('cancellation: one sticky flag for all', () => {
  const unknown = new Chunks().complete({ node: 'nope', bitmap: 'b0' }).eos();

  test('before VM start: the complete ones are deleted too', () => {
    const world = new World().start(1, 'a').start(1, 'b').bits(1, 'a').complete('a');
    world.feed.push(unknown);
    expect([world.shown('a'), world.shown('b')]).toEqual(['gone', 'gone']);
    expect(world.destination.state).toBe('cancelled');
    expect(world.destination.fault).toMatchObject({ code: 'node-not-found', effect: 'cancel' });
  });
  test('after VM start: the complete ones stay, the others are deleted', () => {
    const world = new World().start(1, 'a').start(1, 'b').start(1, 'c').bits(1, 'a').complete('a');
    world.vmStart().bits(2, 'c').complete('c');
    world.feed.push(unknown);
    expect([world.shown('a'), world.shown('b'), world.shown('c')]).toEqual(['1 rec', 'gone', '2 rec']);
  });
  test('bitmaps that were there before are untouched', () => {
    const world = new World();
    const mine = world.node.create({ name: 'mine', granularity: G });
    world.start(1);
    world.feed.push(unknown);
    expect(world.node.bitmaps).toEqual([mine]);
  });
  test('later chunks are stepped over, also data and START; the end and the VM start are fine', () => {
    const world = new World().start(1);
    world.feed.push(unknown);
    world.start(1, 'later').bits(2, 'later').complete('later');
    world.destination.end();
    world.vmStart();
    expect(world.node.bitmaps).toEqual([]);
    expect(world.destination.state).toBe('cancelled');
  });
  test('the parser forgets nothing: chunks without names are dropped as well', () => {
    const world = new World();
    world.feed.push(
      new Chunks().bits({ node: 'nope', bitmap: 'x' }, 0, SECTORS, new Array(8).fill(255)).complete().eos(),
    );
    expect(world.destination.state).toBe('cancelled');
  });
  test('still fatal: an empty name, data over 10240 bytes, an end inside a chunk', () => {
    for (const [code, chunk] of [
      ['name-empty', new Chunks().raw(0x24, 0).eos()],
      ['bits-size-limit', new Chunks().bits({}, 0, SECTORS, new Uint8Array(10_241)).eos()],
    ] as const) {
      const world = new World();
      world.feed.push(unknown);
      expect(codeOf(() => world.feed.push(chunk))).toBe(code);
      expect(world.destination.state).toBe('failed');
    }
  });
  test('by the user: as by a fault', () => {
    const world = new World().start(1);
    world.destination.cancel();
    expect(world.shown()).toBe('gone');
    expect(world.destination.fault?.code).toBe('bitmaps-cancelled');
  });
  test('a complete bitmap that was taken in use before VM start is left to its user', () => {
    const world = new World().start(1).bits(1).complete();
    const bitmap = world.node.find('b0');
    bitmap?.createSuccessor();
    world.destination.cancel();
    expect(world.shown()).toBe('1 busy');
  });
});

describe('the memory for bitmaps is used up by what the guest writes', () => {
  const GRANULARITY = 512;
  const SIZE = 2 ** 32;

  /** A bitmap that loads in a running VM, and a guest that wrote until no memory was left. */
  function full(): { node: MemoryNode; destination: Destination; feed: Feed } {
    const graph = new MemoryGraph({ used: 0, max: 40 * 1024 });
    const node = graph.addNode({ name: 'disk0', size: SIZE });
    const destination = new Destination(graph, { holes: 'accept' });
    const feed = new Feed(destination);
    for (const bitmap of ['a', 'b']) {
      const chunks = new Chunks().start({ node: 'disk0', bitmap }, GRANULARITY, 1);
      feed.push(chunks.bits({}, 0, 64, new Uint8Array(8).fill(255)).eos());
    }
    destination.beforeVmStart();
    expect(
      codeOf(() => {
        for (let at = 1; at < 1000; at++) node.recordWrite(at * 8192 * GRANULARITY, 1);
      }),
    ).toBe('limit');
    return { node, destination, feed };
  }

  test('giving up works, and leaves nothing', () => {
    for (const how of ['cancel', 'connectionLost'] as const) {
      const { node, destination } = full();
      destination[how]();
      expect([destination.state, node.bitmaps]).toEqual(['cancelled', []]);
    }
  });

  test('COMPLETE that cannot take in the successor fails, and gives up all', () => {
    const { node, destination, feed } = full();
    expect(codeOf(() => feed.push(new Chunks().complete({ node: 'disk0', bitmap: 'a' }).eos()))).toBe('limit');
    expect([destination.state, node.bitmaps]).toEqual(['failed', []]);
  });
});

describe('the connection is lost', () => {
  test('precopy: nothing survives, the migration failed', () => {
    const world = new World().start(1, 'a').bits(1, 'a').complete('a');
    world.destination.connectionLost();
    expect(world.shown('a')).toBe('gone');
    expect(world.destination.state).toBe('failed');
    expect(codeOf(() => world.vmStart())).toBe('stream-cut');
  });
  test('postcopy: the unfinished are deleted, the finished kept, the VM goes on', () => {
    const world = new World().start(1, 'a').start(1, 'b').vmStart().bits(1, 'a').complete('a');
    world.destination.connectionLost();
    expect([world.shown('a'), world.shown('b')]).toEqual(['1 rec', 'gone']);
    expect(world.destination.state).toBe('cancelled');
  });
  test('after the end it does not matter', () => {
    const world = new World().start(1).bits(1).complete();
    world.destination.end();
    world.destination.connectionLost();
    expect(world.vmStart().shown()).toBe('1 rec');
  });
});

describe('order of the whole', () => {
  test('the VM starts once', () => {
    const world = new World().vmStart();
    expect(codeOf(() => world.vmStart())).toBe('state-invalid');
    const late = new World();
    late.destination.end();
    late.vmStart();
    expect(codeOf(() => late.vmStart())).toBe('state-invalid');
  });
  test('nothing comes after the end', () => {
    const world = new World();
    world.destination.end();
    expect(codeOf(() => world.start(1))).toBe('state-invalid');
    expect(codeOf(() => world.destination.end())).toBe('state-invalid');
  });
  test('a failure is thrown again by every later call', () => {
    const world = new World();
    expect(codeOf(() => world.start(8))).toBe('start-flags-reserved');
    for (const work of [() => world.start(1), () => world.vmStart(), () => world.destination.end()]) {
      expect(codeOf(work)).toBe('start-flags-reserved');
    }
    world.destination.cancel();
    expect(world.destination.state).toBe('failed');
  });
  test('an end inside the data of a chunk', () => {
    const world = new World().start(1);
    world.destination.section(1);
    world.feed.pushPart(new Chunks().bits({}, 0, SECTORS, new Array(8).fill(1)).eos().subarray(0, 25));
    expect(codeOf(() => world.destination.end())).toBe('stream-cut');
    expect(world.shown()).toBe('gone');
  });
});

describe('policy patch-2017', () => {
  test('bits past the end of the disk never stay in a bitmap that is reused', () => {
    const data = [...new Uint8Array(8).fill(255), ...new Uint8Array(24).fill(255)];
    for (const strict of [true, false]) {
      for (const sent of [48, 64]) {
        const graph = new MemoryGraph();
        const node = graph.addNode({ name: 'disk0', size: 1536 });
        const mine = node.create({ name: 'b', granularity: 512 });
        const feed = new Feed(new Destination(graph, { policy: 'patch-2017', strict }));
        const section = new Chunks().start({ node: 'disk0', bitmap: 'b' }, 512, 1).bits({}, 0, 3, data).eos();
        codeOf(() => feed.push(section.subarray(0, section.length - 1).subarray(0, sent)));
        feed.destination.connectionLost();
        expect(mine.bits.anyBits(3, 64)).toBe(false);
      }
    }
  });

  const patch = { policy: 'patch-2017' } as const;

  test('a bitmap of the same granularity is reused; bits overwrite it', () => {
    const world = new World(patch);
    const mine = world.node.create({ name: 'b0', granularity: G });
    mine.bits.set(0, 64 * G);
    world.start(1).bits(2).complete();
    expect(world.shown()).toBe('2');
    expect(world.vmStart().shown()).toBe('2 rec');
    expect(world.node.bitmaps).toEqual([mine]);
  });
  test('another granularity, or one in use, is refused', () => {
    const world = new World(patch);
    world.node.create({ name: 'b0', granularity: 512 });
    expect(codeOf(() => world.start(1))).toBe('granularity-differs');
    const busy = new World(patch);
    busy.node.create({ name: 'b0', granularity: G }).createSuccessor();
    expect(codeOf(() => busy.start(1))).toBe('bitmap-busy');
    expect(busy.shown()).toBe('0 rec busy');
  });
  test('any START byte but 0 means enabled, and none persistent', () => {
    const world = new World(patch).start(0x82).bits(1).complete().vmStart();
    expect(world.shown()).toBe('1 rec');
    expect(world.node.find('b0')?.persistent).toBe(false);
    expect(new World(patch).start(0).bits(1).complete().vmStart().shown()).toBe('1');
  });
  test('a fault is never only a cancellation; a reused bitmap stays', () => {
    const world = new World(patch);
    world.node.create({ name: 'b0', granularity: G });
    world.start(1);
    expect(codeOf(() => world.complete('unknown'))).toBe('never-started');
    expect(world.shown()).toBe('0 rec');
  });
});
