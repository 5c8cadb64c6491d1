import { describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { Tracer } from '../../src/capture/trace.js';
import { traceLine } from '../../src/capture/trace-json.js';
import { listVectors, readStream } from '../support/vectors.js';

describe('a Buffer that is reused after each push', () => {
  const vectors = listVectors().filter((vector) => vector.folder === 'captures-10.0' && !vector.channel);

  for (const vector of vectors.slice(0, 12)) {
    it(`leaves names, bits and traces of ${vector.name} as they were`, () => {
      const stream = new Uint8Array(readStream(vector));
      const buffer = Buffer.alloc(97);
      const reader = new CaptureReader();
      const tracer = new Tracer();
      const lines: string[] = [];
      for (let at = 0; at < stream.length; at += buffer.length) {
        const piece = buffer.subarray(0, Math.min(buffer.length, stream.length - at));
        piece.set(stream.subarray(at, at + piece.length));
        reader.push(piece);
        lines.push(...tracer.push(piece).map(traceLine));
        buffer.fill(0xee);
      }
      reader.finish();
      lines.push(...tracer.finish().map(traceLine));
      const whole = new CaptureReader();
      whole.push(stream);
      whole.finish();
      const read = ({ bitmaps }: CaptureReader): unknown =>
        bitmaps.map(({ node, name, bits }) => [node.text, name.text, [...bits.extents()]]);
      expect(read(reader)).toEqual(read(whole));
      const once = new Tracer();
      expect(lines).toEqual([...once.push(stream), ...once.finish()].map(traceLine));
    });
  }
});
