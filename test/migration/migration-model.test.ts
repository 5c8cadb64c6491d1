import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Profile } from '../../src/migration/cutter.js';
import { Destination } from '../../src/migration/destination.js';
import { MemoryGraph, type MemoryNode } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import { Chunks, codeOf, Feed } from '../support/chunks.js';
import { sectionBytes } from '../support/reencode.js';

const G = 512;
/** Not a multiple of 64, and more than one chunk of QEMU. */
const GRANULES = 8192 + 150;
const NAMES = ['a', 'b', 'c'];

/**
 * What should be: where the guest runs, and which granules of each bitmap are dirty, wherever their bits are just now.
 * `idle` and `precopy`: the guest runs at the source. `stopped`: END was sent, it runs nowhere. `postcopy`: it runs at
 * the destination, and bits still come.
 */
interface Model {
  phase: 'idle' | 'precopy' | 'stopped' | 'postcopy';
  readonly bitmaps: Map<string, { enabled: boolean; readonly dirty: Set<number> }>;
  /** The destination gave up its bitmaps. */
  given: boolean;
}

class Real {
  here: MemoryGraph = newGraph();
  there: MemoryGraph = newGraph();
  source: Source | undefined;
  destination: Destination | undefined;
  feed: Feed | undefined;

  begin(profile: Profile): Source {
    this.there = newGraph();
    this.source = new Source(this.here, { profile });
    this.destination = new Destination(this.there, {
      holes: profile === 'compact' ? 'accept' : 'refuse',
    });
    this.feed = new Feed(this.destination);
    return this.source;
  }

  /** The section that the source was told to write goes over, in pieces. */
  send(piece: number): void {
    if (this.source !== undefined) this.feed?.push(sectionBytes(this.source), piece);
  }

  /** The machine at the destination is the one there is from now on. */
  move(): void {
    this.here = this.there;
    this.source = undefined;
    this.destination = undefined;
    this.feed = undefined;
  }
}

function newGraph(): MemoryGraph {
  const graph = new MemoryGraph();
  graph.addNode({ name: 'disk0', size: GRANULES * G - 100 });
  return graph;
}

function disk(graph: MemoryGraph): MemoryNode {
  return graph.nodes[0] as MemoryNode;
}

/** Dirty granules of a bitmap and its successor. */
function granulesOf(graph: MemoryGraph, name: string): Set<number> {
  const bitmap = disk(graph).find(name);
  const granules = new Set<number>();
  for (const bits of [bitmap?.bits, bitmap?.successor?.bits]) {
    for (const [offset, length] of bits?.extents({ clip: false }) ?? []) {
      for (let at = offset; at < offset + length; at += G) granules.add(at / G);
    }
  }
  return granules;
}

function sorted(granules: Iterable<number>): number[] {
  return [...granules].sort((a, b) => a - b);
}

/** What holds after every command. */
function check(model: Model, real: Real): void {
  for (const [name, { dirty, enabled }] of model.bitmaps) {
    const here = granulesOf(real.here, name);
    const there = granulesOf(real.there, name);
    if (model.phase === 'postcopy') {
      // Spread over both ends: nothing is lost, nothing is there without a reason.
      expect(sorted(new Set([...here, ...there]))).toEqual(sorted(dirty));
    } else {
      expect(sorted(here)).toEqual(sorted(dirty));
    }
    if (model.phase === 'stopped' && !model.given) expect(sorted(there)).toEqual(sorted(dirty));
    const runsAt = model.phase === 'postcopy' ? real.there : real.here;
    if (model.phase !== 'stopped') expect(disk(runsAt).find(name)?.recording).toBe(enabled);
  }
  const graph = model.phase === 'postcopy' ? real.there : real.here;
  expect(sorted(disk(graph).bitmaps.map((bitmap) => NAMES.indexOf(bitmap.name?.text ?? '')))).toEqual(
    sorted([...model.bitmaps.keys()].map((name) => NAMES.indexOf(name))),
  );
}

type Command = fc.Command<Model, Real>;

/** A command of a few words. */
function command(name: string, when: (model: Model) => boolean, run: (model: Model, real: Real) => void): Command {
  return {
    check: when,
    run: (model, real) => {
      run(model, real);
      check(model, real);
    },
    toString: () => name,
  };
}

const write = (at: number, count: number): Command =>
  command(
    `write ${at} ${count}`,
    ({ phase }) => phase !== 'stopped',
    (model, real) => {
      const graph = model.phase === 'postcopy' ? real.there : real.here;
      const length = Math.min(count, GRANULES - at);
      disk(graph).recordWrite(at * G, Math.min(length * G, GRANULES * G - 100 - at * G));
      for (const { enabled, dirty } of model.bitmaps.values()) {
        if (enabled) for (let granule = at; granule < at + length; granule++) dirty.add(granule);
      }
    },
  );

/** What a user does by QMP where the guest runs; refused while a migration uses the bitmap. */
const qmp = (what: 'create' | 'remove' | 'enable' | 'disable' | 'clear', name: string): Command =>
  command(
    `${what} ${name}`,
    ({ phase, bitmaps }) =>
      phase !== 'stopped' && (what !== 'create' || phase === 'idle') && (what === 'create') !== bitmaps.has(name),
    (model, real) => {
      const node = disk(model.phase === 'postcopy' ? real.there : real.here);
      if (what === 'create') {
        node.create({ name, granularity: G });
        model.bitmaps.set(name, { enabled: true, dirty: new Set() });
        return;
      }
      const bitmap = node.find(name);
      const entry = model.bitmaps.get(name);
      if (bitmap === undefined || entry === undefined) throw new Error(`no ${name}`);
      const refused = codeOf(() => (what === 'remove' ? node.remove(bitmap) : bitmap[what]()));
      expect(refused).toBe(model.phase === 'idle' ? undefined : 'bitmap-busy');
      if (refused !== undefined) return;
      if (what === 'remove') model.bitmaps.delete(name);
      else if (what === 'clear') entry.dirty.clear();
      else entry.enabled = what === 'enable';
    },
  );

const setup = (profile: Profile, piece: number): Command =>
  command(
    `setup ${profile}`,
    ({ phase }) => phase === 'idle',
    (model, real) => {
      real.begin(profile).setup();
      real.send(piece);
      model.phase = 'precopy';
      model.given = false;
    },
  );

const iterate = (budget: number, piece: number): Command =>
  command(
    `iterate ${budget}`,
    ({ phase }) => phase === 'precopy' || phase === 'postcopy',
    (_, real) => {
      real.source?.iterate(budget);
      real.send(piece);
    },
  );

const switchover = command(
  'switchover',
  ({ phase, given }) => phase === 'precopy' && !given,
  (model, real) => {
    real.source?.switchover();
    real.destination?.beforeVmStart();
    model.phase = 'postcopy';
  },
);

const complete = (piece: number): Command =>
  command(
    'complete',
    ({ phase }) => phase === 'precopy' || phase === 'postcopy',
    (model, real) => {
      real.source?.complete();
      real.send(piece);
      expect(real.destination?.end()).toEqual([]);
      if (!model.given) expect(real.destination?.findings.list).toEqual([]);
      if (model.phase === 'postcopy') {
        real.move();
        model.phase = 'idle';
      } else model.phase = 'stopped';
    },
  );

const vmStart = command(
  'VM start',
  ({ phase }) => phase === 'stopped',
  (model, real) => {
    real.destination?.beforeVmStart();
    real.move();
    if (model.given) model.bitmaps.clear();
    model.phase = 'idle';
  },
);

/** A fault that the source does not hear of: the VM will start without bitmaps. */
const precopyFault = command(
  'precopy unknown node',
  ({ phase }) => phase === 'precopy',
  (model, real) => {
    real.feed?.push(new Chunks().complete({ node: 'nope', bitmap: 'x' }).eos());
    expect(disk(real.there).bitmaps).toEqual([]);
    model.given = true;
  },
);

/** The user cancels before the switch-over, or the destination dies: the guest goes on at the source. */
const cancel = (how: 'cancel' | 'fail' | 'lost'): Command =>
  command(
    `source ${how}`,
    ({ phase }) => phase === 'precopy' || phase === 'stopped',
    (model, real) => {
      if (how === 'lost') real.destination?.connectionLost();
      real.source?.[how === 'cancel' ? 'cancel' : 'fail']();
      real.destination?.fail(new Error('over'));
      expect(disk(real.there).bitmaps).toEqual([]);
      real.there = newGraph();
      real.source = undefined;
      model.phase = 'idle';
    },
  );

/** The stream has a fault, or the connection is lost: in postcopy the guest goes on at the destination. */
const fault = (how: 'unknown node' | 'lost' | 'malformed' | 'cut', part: number): Command =>
  command(
    `postcopy ${how} ${part}`,
    ({ phase }) => phase === 'postcopy',
    (model, real) => {
      const { destination, feed, source } = real;
      if (how === 'lost') destination?.connectionLost();
      else if (how === 'cut' && source !== undefined) {
        // The last bytes are the COMPLETEs: some bitmaps come to their end.
        source.complete();
        const end = sectionBytes(source);
        feed?.pushPart(end.subarray(0, Math.max(0, end.length - part)));
        destination?.connectionLost();
      } else {
        const unknown = new Chunks().complete({ node: 'nope', bitmap: 'x' }).eos();
        const body = how === 'unknown node' ? unknown : new Chunks().raw(0x22).eos();
        codeOf(() => feed?.push(body));
      }
      real.source?.cancel();
      // Who was complete stays, with all that it had; the others are gone.
      const complete = new Set(disk(real.there).bitmaps.map((bitmap) => bitmap.name?.text));
      for (const { alias, state } of destination?.bitmaps ?? [])
        expect(complete.has(alias.text)).toBe(state === 'done');
      for (const name of [...model.bitmaps.keys()]) if (!complete.has(name)) model.bitmaps.delete(name);
      real.move();
      model.phase = 'idle';
    },
  );

const piece = fc.constantFrom(1, 7, 100, 4096);
const granule = fc.oneof(fc.nat(GRANULES - 1), fc.nat(130), fc.integer({ min: 8100, max: GRANULES - 1 }));
const commands = [
  fc.tuple(granule, fc.integer({ min: 1, max: 200 })).map(([at, count]) => write(at, count)),
  fc.tuple(granule, fc.integer({ min: 1, max: 3 })).map(([at, count]) => write(at, count)),
  fc.constantFrom(...NAMES).map((name) => qmp('create', name)),
  fc
    .tuple(fc.constantFrom('remove', 'enable', 'disable', 'clear'), fc.constantFrom(...NAMES))
    .map(([what, name]) => qmp(what as 'remove', name)),
  fc.tuple(fc.constantFrom<Profile>('qemu', 'compact'), piece).map(([profile, size]) => setup(profile, size)),
  fc.tuple(fc.constantFrom(0, 1, 50, 2000), piece).map(([budget, size]) => iterate(budget, size)),
  fc.constant(switchover),
  piece.map(complete),
  fc.constant(vmStart),
  fc.constantFrom('cancel', 'fail', 'lost').map((how) => cancel(how as 'lost')),
  fc.constant(precopyFault),
  fc
    .tuple(fc.constantFrom('unknown node', 'lost', 'malformed', 'cut', 'cut'), fc.integer({ min: 1, max: 20 }))
    .map(([how, part]) => fault(how as 'lost', part)),
];

test('whatever happens in whatever order, no change is lost and none is made up', () => {
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 60, size: 'max' }), (run) => {
      fc.modelRun(() => {
        const real = new Real();
        const model: Model = { phase: 'idle', bitmaps: new Map(), given: false };
        for (const name of ['a', 'b']) {
          disk(real.here).create({ name, granularity: G, recording: name === 'a' });
          model.bitmaps.set(name, { enabled: name === 'a', dirty: new Set() });
        }
        return { model, real };
      }, run);
    }),
    { numRuns: 300, seed: 1, endOnFailure: true },
  );
}, 60_000);
