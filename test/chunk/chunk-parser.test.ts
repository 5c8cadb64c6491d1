import { describe, expect, it } from 'vitest';
import { ByteQueue } from '../../src/bytes/byte-queue.js';
import { type ChunkHandler, ChunkParser } from '../../src/chunk/chunk-parser.js';
import { SectionParser } from '../../src/chunk/section-decoder.js';
import { resolveLimits } from '../../src/limits.js';
import { errorOf } from '../bytes/error-of.js';
import { chopEvery, chopEverywhere, pushAndOverwrite } from '../support/chop.js';
import { bitsChunk, completeChunk, EOS, hex, join, startChunk, u64, zeroesChunk } from '../support/stream-builder.js';

const names = { node: 'disk0', bitmap: 'b0' };
const DATA = Uint8Array.from({ length: 40 }, (_, at) => at + 1);

/** Notes what a parser tells, one line each; data parts with where they belong. */
function recorder(): ChunkHandler & {
  readonly lines: string[];
  readonly data: (bytes: Uint8Array, start: number, end: number, at: number) => void;
} {
  const lines: string[] = [];
  return {
    lines,
    chunk: (cursor, target, offset) => {
      lines.push(`${offset} ${cursor.kind} ${target?.bitmap.text ?? '-'} ${cursor.headerLength}+${cursor.size}`);
    },
    data: (bytes, start, end, at) => {
      lines.push(`data ${at} ${[...bytes.subarray(start, end)].join()}`);
    },
  };
}

describe('ChunkParser', () => {
  it('tells each chunk with the bitmap it means, its offset and its length, up to EOS', () => {
    const queue = new ByteQueue(100);
    const handler = recorder();
    const parser = new ChunkParser(queue, handler, resolveLimits());
    queue.push(join(startChunk(names), zeroesChunk(0, 64), EOS, completeChunk()));
    expect(parser.run()).toBe(true);
    expect(handler.lines).toEqual(['100 start b0 15+0', '115 zeroes b0 13+0', '128 bare b0 1+0']);
    expect(queue.offset).toBe(129);
    expect(parser.run()).toBe(false);
    expect(handler.lines.at(-1)).toBe('129 complete b0 1+0');
  });

  it('takes EOS on BITS after the data', () => {
    const queue = new ByteQueue();
    const handler = recorder();
    const parser = new ChunkParser(queue, handler, resolveLimits());
    queue.push(join(0x41, u64(0), hex('00000040'), u64(8), DATA.subarray(0, 8), 0x20));
    expect(parser.run()).toBe(true);
    expect(handler.lines).toEqual(['0 bits - 21+8', 'data 0 1,2,3,4,5,6,7,8']);
    expect(queue.available).toBe(1);
  });

  it('says how many bytes it needs at least, and whether that is for data', () => {
    const queue = new ByteQueue();
    const parser = new ChunkParser(queue, recorder(), resolveLimits());
    const bytes = bitsChunk(0, 64, DATA);
    const needs = chopEvery(bytes, 1).map((byte) => {
      queue.push(byte);
      parser.run();
      const need = parser.need - queue.available;
      queue.settle();
      return need;
    });
    expect(needs.slice(0, 21)).toEqual([...Array.from({ length: 20 }, (_, at) => 20 - at), 40]);
    expect(needs.slice(21, -1)).toEqual(Array.from({ length: 39 }, (_, at) => 39 - at));
    expect(parser.inData).toBe(false);
  });

  it('throws before it tells of a chunk that is refused', () => {
    const queue = new ByteQueue();
    const handler = recorder();
    const parser = new ChunkParser(queue, handler, resolveLimits(), ['flags-none']);
    queue.push(hex('2000'));
    expect(errorOf(() => parser.run())).toMatchObject({ code: 'flags-none', offset: 1 });
    expect(handler.lines).toEqual(['0 complete - 1+0']);
  });
});

describe('SectionParser', () => {
  const bytes = join(startChunk(names), EOS, bitsChunk(0, 64, DATA), completeChunk(), EOS);

  /** The lines of a parser, parts of data joined. */
  function told(pieces: Iterable<Uint8Array>): string[] {
    const handler = recorder();
    const parser = new SectionParser(handler);
    pushAndOverwrite(pieces, (piece) => parser.push(piece));
    parser.finish();
    const lines: string[] = [];
    let expected = 0;
    for (const line of handler.lines) {
      if (!line.startsWith('data')) {
        lines.push(line);
        expected = 0;
        continue;
      }
      const [, at, values] = line.split(' ');
      expect(at).toBe(String(expected));
      expected += (values as string).split(',').length;
      if (at === '0') lines.push(line);
      else lines.push(`${lines.pop()},${values}`);
    }
    return lines;
  }

  it('tells data in parts that follow each other without a gap, however the input is cut', () => {
    const whole = told([bytes]);
    expect(whole).toContain(`data 0 ${[...DATA].join()}`);
    for (const pieces of chopEverywhere(bytes)) expect(told(pieces)).toEqual(whole);
  });

  it('is complete after each EOS, and only there', () => {
    const parser = new SectionParser(recorder());
    expect(parser.complete).toBe(true);
    const complete = chopEvery(bytes, 1).map((piece) => {
      parser.push(piece);
      return parser.complete;
    });
    const ends = complete.flatMap((now, at) => (now ? [at] : []));
    expect(ends).toEqual([15, bytes.length - 1]);
    expect(parser.offset).toBe(bytes.length);
  });
});
