import { describe, expect, it } from 'vitest';
import { ChunkCursor } from '../../src/chunk/chunk-cursor.js';
import { NameMemory, type Target } from '../../src/chunk/name-memory.js';
import { errorOf } from '../bytes/error-of.js';
import { join, type Part, str8 } from '../support/stream-builder.js';
import { usedHeap } from './used-heap.js';

/** A memory that is told names as chunks carry them. */
function memory(maxBitmaps = 100): { names: NameMemory; tell(node?: Part, bitmap?: Part): Target | undefined } {
  const names = new NameMemory(maxBitmaps);
  const cursor = new ChunkCursor();
  const tell = (node?: Part, bitmap?: Part): Target | undefined => {
    const flags = 0x20 | (node === undefined ? 0 : 8) | (bitmap === undefined ? 0 : 4);
    const bytes = join(flags, node === undefined ? [] : str8(node), bitmap === undefined ? [] : str8(bitmap));
    if (cursor.read(bytes, 0, bytes.length, 0, 0) !== bytes.length) throw new Error('not a chunk');
    const target = names.resolve(cursor, 42);
    // Nothing may be kept that lies in the piece.
    bytes.fill(0x21);
    return target;
  };
  return { names, tell };
}

const label = (target: Target | undefined): string | undefined => target && `${target.node.text}/${target.bitmap.text}`;

describe('which bitmap a chunk means', () => {
  it('is not known before names are told', () => {
    const { tell } = memory();
    expect(tell()).toBeUndefined();
    expect(tell('a')).toBeUndefined();
    expect(tell()).toBeUndefined();
  });

  it('is not known where a bitmap is named before any node', () => {
    const { tell } = memory();
    expect(tell(undefined, 'b')).toBeUndefined();
    expect(tell()).toBeUndefined();
    expect(label(tell('a', 'b'))).toBe('a/b');
  });

  it('stays what it was where a chunk carries no name', () => {
    const { tell } = memory();
    const target = tell('a', 'b');
    expect(label(target)).toBe('a/b');
    for (let at = 0; at < 3; at++) expect(tell()).toBe(target);
  });

  it('is on the node of the chunk before where only a bitmap is named', () => {
    const { tell } = memory();
    tell('a', 'b');
    expect(label(tell(undefined, 'c'))).toBe('a/c');
  });

  it('is not known after a new node without a bitmap, until one is named', () => {
    const { tell } = memory();
    tell('a', 'b');
    expect(tell('z')).toBeUndefined();
    expect(tell()).toBeUndefined();
    expect(label(tell(undefined, 'b'))).toBe('z/b');
  });

  it('stays where the same node is named again', () => {
    const { tell } = memory();
    const target = tell('a', 'b');
    expect(tell('a')).toBe(target);
  });

  it('is not known where a node without bitmaps is left and named again', () => {
    const { tell } = memory();
    tell('a', 'b');
    tell('z');
    expect(tell('a')).toBeUndefined();
    expect(label(tell(undefined, 'b'))).toBe('a/b');
  });

  it('is the same object whenever the same bitmap is meant', () => {
    const { tell, names } = memory();
    const first = tell('a', 'b');
    const other = tell('z', 'b');
    expect(tell('a', 'b')).toBe(first);
    expect(tell('z', 'b')).toBe(other);
    expect(other).not.toBe(first);
    expect(names.targets).toEqual([first, other]);
    expect([first?.index, other?.index]).toEqual([0, 1]);
  });

  it('shares the node between the bitmaps of one node', () => {
    const { tell } = memory();
    expect(tell('a', 'c')?.node).toBe(tell('a', 'b')?.node);
  });

  it('tells all names apart by their bytes, clean or not', () => {
    const { tell, names } = memory(1000);
    const all: Part[] = [
      '',
      'a',
      'a\0',
      '\0a',
      '\xff',
      '\xfe',
      '\xc0\x80',
      '\\xff',
      'A',
      '0',
      'constructor',
      '__proto__',
    ];
    for (const node of all) for (const bitmap of all) tell(node, bitmap);
    expect(names.targets.length).toBe(all.length ** 2);
    for (const node of all) for (const bitmap of all) tell(node, bitmap);
    expect(names.targets.length).toBe(all.length ** 2);
  });

  it('has no doubt where one name ends and the other begins', () => {
    const { tell, names } = memory();
    expect([tell('a', 'bc'), tell('ab', 'c')].map(label)).toEqual(['a/bc', 'ab/c']);
    expect(names.targets.length).toBe(2);
  });

  it('is told as long as there are no more bitmaps than allowed', () => {
    const { tell } = memory(2);
    const first = tell('a', 'b');
    tell('a', 'c');
    const error = errorOf(() => tell('a', 'd'));
    expect(error).toMatchObject({ code: 'limit', offset: 42 });
    expect(error.message).toMatch(/more than 2 bitmaps; raise the limit maxBitmaps/);
    expect(tell('a', 'b')).toBe(first);
  });

  it('costs no memory for nodes that have no bitmap, however many are named', () => {
    const { tell } = memory();
    tell('kept', 'b');
    const before = usedHeap();
    for (let at = 0; at < 100_000; at++) {
      tell(`node-${at}`);
      tell('kept');
    }
    // Each one kept would be 200 bytes and more: 20 MB. What the engine compiles meanwhile is about 1 MB.
    expect(usedHeap() - before).toBeLessThan(8_000_000);
    expect(label(tell('kept', 'b'))).toBe('kept/b');
  });
});
