import { describe, expect, test } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { concat } from '../../src/bytes/concat.js';
import type { Profile } from '../../src/migration/cutter.js';
import { MemoryGraph, type MemoryNode } from '../../src/migration/memory-graph.js';
import { MIN_WINDOW, Source } from '../../src/migration/source.js';
import { SOURCE_TRANSITIONS, type SourceEvent, type SourceState } from '../../src/migration/source-transitions.js';
import { codeOf } from '../support/chunks.js';
import { sectionBytes } from '../support/reencode.js';

const G = 65_536;

function world(...bitmaps: string[]): { graph: MemoryGraph; disk: MemoryNode } {
  const graph = new MemoryGraph();
  const disk = graph.addNode({ name: 'disk0', size: 20_000 * G });
  for (const name of bitmaps.reverse()) disk.create({ name, granularity: G });
  return { graph, disk };
}

/** Does what leads to an event; `sent` takes the section to its end. */
function happen(source: Source, event: SourceEvent): void {
  if (event === 'sent') sectionBytes(source);
  else source[event]();
}

/** Events that lead to each state. */
const WAY: Readonly<Record<SourceState, readonly SourceEvent[]>> = {
  idle: [],
  setup: ['setup'],
  precopy: ['setup', 'sent'],
  postcopy: ['setup', 'sent', 'switchover'],
  completing: ['setup', 'sent', 'complete'],
  done: ['setup', 'sent', 'complete', 'sent'],
  cancelled: ['setup', 'cancel'],
  failed: ['setup', 'sent', 'fail'],
};

describe('every event in every state of a source', () => {
  for (const [state, row] of Object.entries(SOURCE_TRANSITIONS)) {
    for (const [event, next] of Object.entries(row)) {
      // Nothing is written where no section was begun: that is no event.
      if (event === 'sent') continue;
      test(`${state}, ${event}: ${next}`, () => {
        const { graph, disk } = world('b');
        const source = new Source(graph);
        for (const step of WAY[state as SourceState]) happen(source, step);
        expect(source.state).toBe(state);
        const refused = codeOf(() => happen(source, event as SourceEvent));
        expect(refused).toBe(next === 'state-invalid' ? 'state-invalid' : undefined);
        expect(source.state).toBe(refused === undefined ? next : state);
        const busy = ['setup', 'precopy', 'postcopy', 'completing'].includes(source.state);
        expect(disk.find('b')?.busy).toBe(busy);
        expect(disk.find('b')?.skipStore).toBe(busy || source.state === 'done');
      });
    }
  }

  test('a section is taken to its end before the next', () => {
    const { graph } = world('b');
    const source = new Source(graph);
    source.setup();
    expect(codeOf(() => source.complete())).toBe('state-invalid');
    sectionBytes(source);
    source.complete();
    sectionBytes(source);
    expect(source.state).toBe('done');
  });
});

describe('rows of section 4', () => {
  test('setup: busy, and the flags are taken now', () => {
    const { graph, disk } = world('on', 'off');
    const source = new Source(graph);
    disk.find('off')?.disable();
    source.setup();
    const start = sectionBytes(source);
    expect([...start].filter((byte, at) => start[at - 4] === 0 && byte < 2 && start[at - 3] === 1)).toEqual([1, 0]);
    expect(codeOf(() => disk.find('on')?.disable())).toBe('bitmap-busy');
  });
  test('until switchover the source keeps recording, and sends what was written', () => {
    const { graph, disk } = world('b');
    const source = new Source(graph);
    source.setup();
    sectionBytes(source);
    source.iterate();
    expect([...sectionBytes(source)]).toEqual([1]);
    disk.recordWrite(0, 1);
    expect(disk.find('b')?.info()).toMatchObject({ recording: true, busy: true, count: G });
    source.complete();
    expect(sectionBytes(source).length).toBe(21 + 1024 + 13 + 13 + 1 + 1);
    expect(disk.find('b')?.info()).toMatchObject({ busy: false, count: G });
  });
  test('no bitmaps: a START section of EOS only, and no section after it', () => {
    for (const profile of ['qemu', 'compact'] as const) {
      const source = new Source(new MemoryGraph(), { profile });
      source.setup();
      expect([...sectionBytes(source)]).toEqual([1]);
      source.iterate();
      expect([...sectionBytes(source)]).toEqual([]);
      source.complete();
      expect([...sectionBytes(source)]).toEqual([]);
      expect([source.state, source.pendingBytes()]).toEqual(['done', 0]);
      expect([...new Source(new MemoryGraph(), { profile }).sections()].map((bytes) => [...bytes])).toEqual([[1]]);
    }
  });
  test('what is pending in bytes is what is still sent, and nothing in the end', () => {
    const { graph, disk } = world('a', 'b');
    for (let at = 0; at < 20_000; at += 977) disk.find('a')?.bits.set(at * G);
    const source = new Source(graph);
    expect(source.pendingBytes()).toBe(0);
    source.setup();
    sectionBytes(source);
    const all = source.pendingBytes();
    source.complete();
    const window = new Uint8Array(16_384);
    let sent = 0;
    do {
      expect(sent + source.pendingBytes()).toBe(all);
      sent += source.encodeInto(window);
    } while (source.state !== 'done');
    expect([sent, source.pendingBytes()]).toEqual([all, 0]);
  });
  test('a second run is refused, and the first goes on', () => {
    const { graph } = world('a');
    const source = new Source(graph);
    const window = new Uint8Array(16_384);
    const first = source.sections(window);
    first.next();
    expect(codeOf(() => [...source.sections(window)])).toBe('state-invalid');
    expect(source.state).toBe('precopy');
    for (const bytes of first) expect(bytes.length).toBeGreaterThan(0);
    expect(source.state).toBe('done');
  });
  test('after a cancellation the bitmaps may migrate again, with the same bytes', () => {
    const { graph, disk } = world('b');
    disk.find('b')?.bits.set(0);
    const first = new Source(graph);
    first.setup();
    const start = sectionBytes(first);
    first.cancel();
    const second = new Source(graph);
    second.setup();
    expect(sectionBytes(second)).toEqual(start);
  });
  test('postcopy: PART sections of about the budget, together what END alone would have', () => {
    const bits = (budget: number): { parts: Uint8Array[]; end: Uint8Array } => {
      const { graph, disk } = world('a', 'b');
      for (const name of ['a', 'b']) for (let at = 0; at < 20_000; at += 977) disk.find(name)?.bits.set(at * G);
      const source = new Source(graph);
      source.setup();
      sectionBytes(source);
      source.switchover();
      const parts: Uint8Array[] = [];
      while (budget > 0 && source.pending().granules > 0) {
        source.iterate(budget);
        const part = sectionBytes(source);
        expect(part.length).toBeLessThanOrEqual(budget + 1600);
        parts.push(part.subarray(0, -1));
      }
      source.complete();
      return { parts, end: sectionBytes(source) };
    };
    const whole = bits(0).end;
    const { parts, end } = bits(2000);
    expect(parts.length).toBe(3);
    expect(concat([...parts, end])).toEqual(whole);
  });
});

describe('windows', () => {
  test.each(['qemu', 'compact'] as const)('any window gives the same bytes; %s', (profile: Profile) => {
    const make = (size: number): Uint8Array => {
      const { graph, disk } = world('a', 'b', 'c');
      for (let at = 0; at < 20_000; at += 3) disk.recordWrite(at * G, 1);
      const source = new Source(graph, { profile });
      source.setup();
      sectionBytes(source, new Uint8Array(size));
      source.complete();
      const bytes = source.pendingBytes();
      const end = sectionBytes(source, new Uint8Array(size));
      expect(end.length).toBe(bytes);
      return end;
    };
    const all = make(1024 * 1024);
    for (const size of [MIN_WINDOW, MIN_WINDOW + 1, 20_000, 65_536]) expect(make(size)).toEqual(all);
  });
  test('a small one is refused', () => {
    expect(codeOf(() => new Source(new MemoryGraph()).encodeInto(new Uint8Array(MIN_WINDOW - 1)))).toBe('argument');
  });
  test('leaving the loop early cancels, going through it completes', () => {
    const { graph, disk } = world('b');
    const early = new Source(graph);
    for (const _ of early.sections()) break;
    expect(early.state).toBe('cancelled');
    expect(disk.find('b')?.busy).toBe(false);
    const whole = new Source(graph);
    let bytes = 0;
    for (const part of whole.sections()) bytes += part.length;
    expect(whole.state).toBe('done');
    expect(whole.sentBytes).toBe(bytes);
  });
});

describe('pending', () => {
  test('granules not covered yet, which QEMU takes for bytes', () => {
    const { graph } = world('a', 'b');
    const source = new Source(graph);
    source.setup();
    expect(source.pending()).toEqual({ granules: 40_000, bitmaps: 2 });
    sectionBytes(source);
    source.switchover();
    source.iterate(1);
    sectionBytes(source);
    expect(source.pending()).toEqual({ granules: 40_000 - 8192, bitmaps: 2 });
  });
});

describe('sizes', () => {
  test('a clean bitmap of 1 PiB costs START and COMPLETE in compact', () => {
    const graph = new MemoryGraph();
    graph.addNode({ name: 'disk0', size: 2 ** 50 }).create({ name: 'b', granularity: G });
    const source = new Source(graph, { profile: 'compact' });
    source.setup();
    sectionBytes(source);
    expect(source.pendingBytes()).toBe(2);
    source.complete();
    expect([...sectionBytes(source)]).toEqual([0x20, 0x01]);
  });
  test('where 16 x granularity sectors do not fit 32 bits, chunks are as large as fits and cover the disk', () => {
    for (const [power, size] of [
      [28, 2 ** 41],
      [28, 2 ** 41 - 512],
      [29, 2 ** 41 + 2 ** 30],
      [31, 2 ** 47],
    ] as const) {
      const graph = new MemoryGraph();
      const node = graph.addNode({ name: 'd', size });
      const bitmap = node.create({ name: 'b', granularity: 2 ** power });
      bitmap.bits.set(size - 1);
      for (const profile of ['qemu', 'compact'] as const) {
        const source = new Source(graph, { profile });
        source.setup();
        sectionBytes(source);
        source.complete();
        const bytes = sectionBytes(source);
        expect(bytes.length).toBeLessThan(100_000);
        expect(source.state).toBe('done');
      }
    }
  });
  test('bits past the end of the disk are not sent', () => {
    for (const profile of ['qemu', 'compact'] as const) {
      const graph = new MemoryGraph();
      const bits = new Bitmap(G);
      const node = graph.addNode({ name: 'd', size: 3 * G });
      node.create({ name: 'b', granularity: G, bits });
      bits.writeBytes(0, Uint8Array.of(0xfa, 0xff));
      const source = new Source(graph, { profile });
      source.setup();
      sectionBytes(source);
      source.complete();
      const bytes = sectionBytes(source);
      const at = 21;
      expect([...bytes.subarray(at, at + 8)]).toEqual([2, 0, 0, 0, 0, 0, 0, 0]);
      bits.writeBytes(0, Uint8Array.of(0xf8, 0xff));
      const clean = new Source(graph, { profile });
      clean.setup();
      sectionBytes(clean);
      expect(clean.pendingBytes()).toBe(profile === 'qemu' ? 13 + 2 : 2);
    }
  });
});
