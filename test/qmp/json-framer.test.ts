import { describe, expect, it } from 'vitest';
import { JsonFramer } from '../../src/qmp/json-framer.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('JsonFramer', () => {
  it('cuts at every byte', () => {
    const framer = new JsonFramer(100);
    const all = bytes('{"a":"}\\"{"} \r\n{"b":[{"c":{}}]}{}');
    expect([...all].flatMap((byte) => [...framer.push(Uint8Array.of(byte))])).toEqual([
      { a: '}"{' },
      { b: [{ c: {} }] },
      {},
    ]);
    expect(framer.pending).toBe(0);
  });

  it('keeps no piece of a peer that sends a byte at a time', () => {
    const framer = new JsonFramer(1 << 16);
    const piece = bytes('{"a":"');
    expect([...framer.push(piece)]).toEqual([]);
    piece.fill(0);
    for (let at = 0; at < 1000; at++) expect([...framer.push(bytes('x'))]).toEqual([]);
    expect([...framer.push(bytes('"}'))]).toEqual([{ a: 'x'.repeat(1000) }]);
  });

  it('refuses what is too deep before it is parsed', () => {
    const deep = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;
    expect([...new JsonFramer(1 << 20).push(bytes(deep(1023)))]).toHaveLength(1);
    expect(() => [...new JsonFramer(1 << 20).push(bytes(deep(200_000)))]).toThrow(
      expect.objectContaining({ code: 'qmp-protocol', offset: 5 + 1023 }),
    );
  });
});
