import { readdirSync, readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tracer } from '../../src/capture/trace.js';
import { ChunkCursor } from '../../src/chunk/chunk-cursor.js';
import { ChunkIndex } from '../../src/inspector/chunk-index.js';
import { type ListedChunk, listChunks } from '../../src/inspector/list-chunks.js';
import { readInput } from '../../src/inspector/read-input.js';
import {
  B0,
  bitmapStream,
  completeChunk,
  EOS,
  fill,
  join,
  startChunk,
  zeroesChunk,
} from '../support/stream-builder.js';
import { VECTORS } from '../support/vectors.js';
import { InMemory } from './in-memory.js';

const FOLDER = joinPath(VECTORS, 'captures');
const CAPTURES = readdirSync(FOLDER).filter((name) => name.endsWith('.bin'));

/** All chunks of all bitmaps, read again a page of `page` at a time. */
async function listed(bytes: Uint8Array, page: number): Promise<ListedChunk[]> {
  const file = new InMemory(bytes);
  const { chunks } = await readInput('input', file);
  const all: ListedChunk[] = [];
  for (const bitmap of chunks.bitmaps) {
    for (let first = 0; first < bitmap.listed; first += page) {
      const some = await listChunks(bitmap, first, page, async (offset, length) => await file.read(offset, length));
      expect(some.map(({ number }) => number)).toEqual(some.map((_, at) => first + at));
      all.push(...some);
    }
  }
  return all.sort((a, b) => a.offset - b.offset);
}

/** The chunks that say something, as another reader tells them. */
function traced(bytes: Uint8Array) {
  const tracer = new Tracer();
  return [...tracer.push(bytes), ...tracer.finish()].flatMap((item) =>
    item.type === 'chunk' && item.kind !== 'bare' ? [item] : [],
  );
}

describe('the chunks of a capture', () => {
  it('are those that trace tells, for every vector and any page', async () => {
    let total = 0;
    for (const name of CAPTURES) {
      const bytes = readFileSync(joinPath(FOLDER, name));
      const expected = traced(bytes);
      for (const page of [1000, 7]) {
        const found = await listed(bytes, page);
        // A chunk that was cut is listed, and trace has it as bytes.
        const whole = found.filter(({ offset, length }) => offset + length <= bytes.length);
        expect(
          whole.map(({ offset, length, kind }) => ({ offset, length, kind })),
          name,
        ).toEqual(expected.map(({ offset, length, kind }) => ({ offset, length, kind })));
        const set = (data: Uint8Array | undefined): number =>
          [...(data ?? [])].reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
        expect(whole.map(({ dirtyBits }) => dirtyBits)).toEqual(expected.map(({ data }) => set(data)));
      }
      total += expected.length;
    }
    expect(total).toBeGreaterThan(300);
  }, 60_000);

  it('are read again from no more than a run around them', async () => {
    const zeroes = Array.from({ length: 20_000 }, (_, at) => zeroesChunk(at * 128, 128));
    const file = new InMemory(bitmapStream([startChunk(B0), EOS], [...zeroes, completeChunk(), EOS]));
    const { chunks } = await readInput('input', file);
    const [bitmap] = chunks.bitmaps;
    if (bitmap === undefined) throw new Error('no bitmap');
    expect(bitmap).toMatchObject({ label: 'disk0/b0', total: 20_002, listed: 20_002 });
    file.total = 0;
    const some = await listChunks(bitmap, 15_000, 50, async (offset, length) => await file.read(offset, length));
    expect(some.map(({ firstSector }) => firstSector)).toEqual(some.map((_, at) => (14_999 + at) * 128));
    expect(some.length).toBe(50);
    expect(file.total).toBeLessThanOrEqual(2 * 256 * 13);
  });

  it('are counted, but not listed, when the index is full', () => {
    const index = new ChunkIndex(3);
    const cursor = new ChunkCursor();
    const bytes = join(zeroesChunk(0, 128), fill(8));
    cursor.read(bytes, 0, bytes.length, 0, 10_240);
    // Gaps between them: each is a run of its own.
    for (let at = 0; at < 10; at++) index.add(cursor, undefined, at * 100);
    // Behind the last one that was kept, but numbers would have a gap.
    index.add(cursor, undefined, 213);
    expect(index.bitmaps).toMatchObject([{ label: 'no bitmap', listed: 3, total: 11 }]);
    expect(index.bitmaps[0]?.runs.length).toBe(3);
  });
});
