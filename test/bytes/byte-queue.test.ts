import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteQueue } from '../../src/bytes/byte-queue.js';
import { chop, chopEvery, chopEveryWay } from '../support/chop.js';

/** 1, 2, 3 ... */
const count = (length: number, from = 1): Uint8Array => Uint8Array.from({ length }, (_, at) => from + at);

function filled(pieces: Iterable<Uint8Array>, offset = 0): ByteQueue {
  const queue = new ByteQueue(offset);
  for (const piece of pieces) queue.push(piece);
  return queue;
}

/** Reads all of the queue in runs of the given lengths, over and over. */
function readAll(queue: ByteQueue, runs: readonly number[]): { offset: number; bytes: number[] }[] {
  const reads = [];
  for (let at = 0; queue.available > 0; at++) {
    const run = Math.min(runs[at % runs.length] as number, queue.available);
    if (!queue.ensure(run)) throw new Error(`ensure(${run}) of ${queue.available}`);
    reads.push({ offset: queue.offset, bytes: [...queue.take(run)] });
  }
  return reads;
}

describe('ByteQueue', () => {
  it('gives the same reads however eight bytes are cut', () => {
    const bytes = count(8);
    for (const runs of [[1], [2], [3], [8], [1, 4], [5, 1, 2], [2, 1, 5]]) {
      const whole = readAll(filled([bytes]), runs);
      expect(whole.flatMap((read) => read.bytes)).toEqual([...bytes]);
      for (const pieces of chopEveryWay(bytes)) expect(readAll(filled(pieces), runs)).toEqual(whole);
    }
  });

  it('gives the same reads whatever is pushed, read, skipped and settled in between', () => {
    const action = fc.oneof(
      fc.record({ do: fc.constant('push' as const), count: fc.nat(9) }),
      fc.record({ do: fc.constant('take' as const), count: fc.nat(12) }),
      fc.record({ do: fc.constant('skip' as const), count: fc.nat(12) }),
      fc.record({ do: fc.constant('settle' as const), count: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.nat(1000), (actions, start) => {
        const queue = new ByteQueue(start);
        const lent: Uint8Array[] = [];
        let pushed = 0;
        let read = 0;
        for (const { do: what, count: n } of actions) {
          if (what === 'push') {
            const piece = Uint8Array.from({ length: n }, (_, at) => (pushed + at) & 0xff);
            lent.push(piece);
            queue.push(piece);
            pushed += n;
          } else if (what === 'settle') {
            queue.settle();
            for (const piece of lent.splice(0)) piece.fill(0xee);
          } else if (what === 'skip') {
            const gone = queue.skip(n);
            expect(gone).toBe(Math.min(n, pushed - read));
            read += gone;
          } else if (queue.ensure(n)) {
            expect([...queue.take(n)]).toEqual(Array.from({ length: n }, (_, at) => (read + at) & 0xff));
            read += n;
          } else {
            expect(n).toBeGreaterThan(pushed - read);
          }
          expect(queue.available).toBe(pushed - read);
          expect(queue.offset).toBe(start + read);
          expect(queue.offsetOf(queue.pos)).toBe(queue.offset);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('hands out a view where a run lies in one piece', () => {
    const [first, second] = [count(4), count(4, 5)];
    const queue = filled([first, second]);
    queue.ensure(4);
    expect(queue.take(4).buffer).toBe(first.buffer);
    queue.ensure(3);
    const view = queue.take(3);
    expect(view.buffer).toBe(second.buffer);
    expect(view.byteOffset).toBe(0);
  });

  it('copies a run that lies across a seam, and goes back to views behind it', () => {
    const [first, second] = [count(4), count(8, 5)];
    const queue = filled([first, second]);
    queue.ensure(6);
    const across = queue.take(6);
    expect([...across]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(across.buffer).not.toBe(first.buffer);
    expect(across.buffer).not.toBe(second.buffer);
    queue.ensure(4);
    const behind = queue.take(4);
    expect([...behind]).toEqual([7, 8, 9, 10]);
    expect(behind.buffer).toBe(second.buffer);
  });

  it('goes back into a piece of which a seam holds more than was read', () => {
    const second = count(8, 5);
    const queue = filled([count(4), second]);
    queue.ensure(7);
    queue.take(5);
    expect(queue.ensure(6)).toBe(true);
    const behind = queue.take(6);
    expect([...behind]).toEqual([6, 7, 8, 9, 10, 11]);
    expect(behind.buffer).toBe(second.buffer);
  });

  it('makes a seam of many pieces where one run spans them', () => {
    const queue = filled([...chopEvery(count(10), 1)]);
    expect(queue.ensure(10)).toBe(true);
    expect([...queue.take(10)]).toEqual([...count(10)]);
  });

  it('changes nothing when it cannot ensure a run', () => {
    const queue = filled([count(3), count(3, 4)]);
    queue.take(1);
    expect(queue.ensure(6)).toBe(false);
    expect(queue.offset).toBe(1);
    expect(queue.available).toBe(5);
    expect([...queue.bytes.subarray(queue.pos, queue.end)]).toEqual([2, 3]);
  });

  it('ensures nothing at once, also when it is empty', () => {
    expect(new ByteQueue().ensure(0)).toBe(true);
    expect(new ByteQueue().ensure(1)).toBe(false);
  });

  it('ignores empty pieces', () => {
    const queue = filled([new Uint8Array(0), count(1), new Uint8Array(0), count(1, 2), new Uint8Array(0)]);
    expect(queue.ensure(2)).toBe(true);
    expect([...queue.take(2)]).toEqual([1, 2]);
  });

  it('begins at the offset that it is given', () => {
    const queue = filled([count(4), count(4)], 1000);
    expect(queue.offset).toBe(1000);
    queue.skip(5);
    expect(queue.offset).toBe(1005);
    queue.settle();
    expect(queue.offset).toBe(1005);
    expect(queue.offsetOf(queue.pos + 2)).toBe(1007);
  });

  it('skips over several pieces without looking at them, and says how many bytes were there', () => {
    const queue = filled([count(4), count(4, 5), count(4, 9)]);
    expect(queue.skip(9)).toBe(9);
    queue.ensure(1);
    expect(queue.take(1)[0]).toBe(10);
    expect(queue.skip(100)).toBe(2);
    expect(queue.skip(1)).toBe(0);
    expect(queue.offset).toBe(12);
  });

  it('counts bytes that were jumped over', () => {
    const queue = filled([count(4)]);
    queue.skip(4);
    queue.jump(1_000_000);
    expect(queue.offset).toBe(1_000_004);
    queue.push(count(2, 7));
    queue.ensure(2);
    expect([...queue.take(2)]).toEqual([7, 8]);
    expect(queue.offset).toBe(1_000_006);
  });

  it('keeps its own copy of what is unread once it is settled', () => {
    for (const pieces of chopEveryWay(count(7))) {
      for (let read = 0; read <= 7; read++) {
        const queue = filled(pieces.map((piece) => piece.slice()));
        const lent = pieces.map((piece) => piece.slice());
        const settled = filled(lent);
        queue.skip(read);
        settled.skip(read);
        settled.settle();
        for (const piece of lent) piece.fill(0xff);
        expect(settled.available).toBe(7 - read);
        expect(readAll(settled, [3])).toEqual(readAll(queue, [3]));
      }
    }
  });

  it('keeps what a seam holds when it is settled in the middle of one', () => {
    const pieces = chop(count(12), [4, 8]);
    const queue = filled(pieces);
    queue.ensure(6);
    queue.take(5);
    queue.settle();
    for (const piece of pieces) piece.fill(0xff);
    queue.push(count(2, 13));
    expect(queue.ensure(9)).toBe(true);
    expect([...queue.take(9)]).toEqual([...count(9, 6)]);
  });

  it('holds no piece once all is read and settled', () => {
    const piece = count(100);
    const queue = filled([piece]);
    queue.skip(100);
    queue.settle();
    expect(queue.bytes.length).toBe(0);
  });

  it('copies each byte a constant number of times when a long run comes byte by byte', () => {
    const length = 20_000;
    const queue = new ByteQueue();
    const buffers = new Set<ArrayBufferLike>();
    let allocated = 0;
    for (let at = 0; at < length; at++) {
      queue.push(Uint8Array.of(at & 0xff));
      expect(queue.ensure(length)).toBe(at === length - 1);
      if (at === length - 1) break;
      queue.settle();
      if (!buffers.has(queue.bytes.buffer)) allocated += queue.bytes.length;
      buffers.add(queue.bytes.buffer);
    }
    // Doubling: 64, 128, ... make about 2 * 2 * length; a copy for each byte would make length^2 / 2.
    expect(buffers.size).toBeLessThan(16);
    expect(allocated).toBeLessThan(8 * length);
    expect(queue.take(length).every((byte, at) => byte === (at & 0xff))).toBe(true);
  });

  it('does not keep what was read: its copy is in proportion to what is unread', () => {
    const queue = new ByteQueue();
    for (let at = 0; at < 1000; at++) {
      queue.push(count(50));
      queue.skip(queue.available - 3);
      queue.settle();
      expect(queue.bytes.length).toBeLessThanOrEqual(128);
    }
    expect(queue.offset).toBe(50_000 - 3);
  });
});
