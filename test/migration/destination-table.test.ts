import { describe, expect, test } from 'vitest';
import { Destination } from '../../src/migration/destination.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { Chunks, codeOf, Feed } from '../support/chunks.js';

// Every event in every state, as dirty-bitmap-states.md section 3 tells it; written here a second time on purpose.
const G = 65_536;
const B0 = { node: 'disk0', bitmap: 'b0' };

class World {
  readonly graph = new MemoryGraph();
  readonly destination: Destination;
  readonly feed: Feed;

  constructor() {
    this.graph.addNode({ name: 'disk0', size: 64 * G });
    this.destination = new Destination(this.graph);
    this.feed = new Feed(this.destination);
  }

  section(chunks: Chunks): void {
    this.feed.push(chunks.eos());
  }
}

type Step = (world: World) => void;

const vmStart: Step = ({ destination }) => destination.beforeVmStart();
const end: Step = ({ destination }) => void destination.end();
const cancel: Step = ({ destination }) => destination.cancel();
const start: Step = (world) => world.section(new Chunks().start(B0, G, 1));
const zeroes: Step = (world) => world.section(new Chunks().zeroes(B0, 0, 64 * 128));
const complete: Step = (world) => world.section(new Chunks().complete(B0));

describe('the whole: state x event', () => {
  const reach: Record<string, readonly Step[]> = {
    loading: [],
    running: [vmStart],
    loaded: [end],
    done: [vmStart, end],
    cancelled: [cancel],
    failed: [({ destination }) => destination.fail(new Error('broken'))],
  };
  const events: Record<string, Step> = {
    chunk: (world) => world.section(new Chunks()),
    'vm-start': vmStart,
    end,
    cancel,
    lost: ({ destination }) => destination.connectionLost(),
    fail: ({ destination }) => destination.fail(new Error('broken too')),
  };
  const REFUSED = 'state-invalid';
  const THROWN = 'Error: broken';
  const expected: Record<string, readonly string[]> = {
    loading: ['loading', 'running', 'loaded', 'cancelled', 'failed', 'failed'],
    running: ['running', REFUSED, 'done', 'cancelled', 'cancelled', 'failed'],
    loaded: [REFUSED, 'done', REFUSED, 'cancelled', 'loaded', 'failed'],
    done: [REFUSED, REFUSED, REFUSED, 'cancelled', 'done', 'failed'],
    cancelled: ['cancelled', 'cancelled', 'cancelled', 'cancelled', 'cancelled', 'failed'],
    failed: [THROWN, THROWN, THROWN, 'failed', 'failed', 'failed'],
  };
  for (const [state, steps] of Object.entries(reach)) {
    for (const [at, [event, step]] of Object.entries(events).entries()) {
      const outcome = expected[state]?.[at];
      test(`${state}, ${event}: ${outcome}`, () => {
        const world = new World();
        for (const one of steps) one(world);
        expect(world.destination.state).toBe(state);
        const code = codeOf(() => step(world));
        expect(code ?? world.destination.state).toBe(outcome);
        if (code === REFUSED) expect(world.destination.state).toBe(state);
      });
    }
  }
});

describe('a bitmap: state x event', () => {
  const reach: Record<string, readonly Step[]> = {
    none: [],
    loading: [start],
    live: [start, vmStart],
    waiting: [start, zeroes, complete],
    done: [start, zeroes, complete, vmStart],
    dropped: [start, cancel],
  };
  // The VM starts once for the whole, whatever state a bitmap is in.
  const ONCE = 'state-invalid';
  const events: Record<string, Step> = { start, bits: zeroes, complete, 'vm-start': vmStart, cancel };
  const expected: Record<string, readonly string[]> = {
    none: ['loading', 'never-started', 'never-started', 'none', 'none'],
    loading: ['started-twice', 'loading', 'waiting', 'live', 'dropped'],
    live: ['started-twice', 'live', 'done', ONCE, 'dropped'],
    waiting: ['started-twice', 'bits-after-complete', 'completed-twice', 'done', 'dropped'],
    done: ['started-twice', 'bits-after-complete', 'completed-twice', ONCE, 'done'],
    dropped: ['dropped', 'dropped', 'dropped', 'dropped', 'dropped'],
  };
  for (const [state, steps] of Object.entries(reach)) {
    for (const [at, [event, step]] of Object.entries(events).entries()) {
      const outcome = expected[state]?.[at];
      test(`${state}, ${event}: ${outcome}`, () => {
        const world = new World();
        for (const one of steps) one(world);
        const stateOf = (): string => world.destination.bitmaps[0]?.state ?? 'none';
        expect(stateOf()).toBe(state);
        const thrown = codeOf(() => step(world));
        const fault = thrown ?? (outcome === world.destination.fault?.code ? outcome : undefined);
        expect(fault ?? stateOf()).toBe(outcome);
      });
    }
  }

  test('none, START after the VM was started: refused, and nothing is created', () => {
    const world = new World();
    vmStart(world);
    expect(codeOf(() => start(world))).toBe('start-after-run');
    expect(world.graph.find('disk0')?.bitmaps).toEqual([]);
  });
});
