import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat } from '../src/bytes/concat.js';
import { decodeChunk } from '../src/chunk/decode-chunk.js';
import { encodeChunk } from '../src/chunk/encode-chunk.js';
import { SectionDecoder } from '../src/chunk/section-decoder.js';
import { DirtyBitmapError } from '../src/errors.js';
import { chunkBytes, cuts, sectionBytes } from '../test/support/arbitraries.js';
import { chop, pushAndOverwrite } from '../test/support/chop.js';
import { naiveSections, plainEvent } from '../test/support/naive-decoder.js';
import { mutate, seededRandom } from './mutate.js';
import { timeBox } from './time-box.js';

/** What the fast decoder says, in the form of its naive twin. */
function fast(pieces: Iterable<Uint8Array>): ReturnType<typeof naiveSections> {
  const decoder = new SectionDecoder();
  const events: object[] = [];
  try {
    pushAndOverwrite(pieces, (piece) => {
      for (const event of decoder.push(piece)) events.push(plainEvent(event));
    });
    for (const event of decoder.finish()) events.push(plainEvent(event));
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    return { events, fault: { code: error.code, offset: error.offset as number } };
  }
  return { events, fault: undefined };
}

/** Sections with a few faults in them. */
const mutatedSections = fc
  .tuple(sectionBytes, sectionBytes, fc.integer())
  .map(([bytes, other, seed]) => (bytes.length > 0 ? mutate(bytes, seededRandom(seed), other) : bytes));

describe('chunks', () => {
  it('come out of the encoder as they went into the decoder', () => {
    timeBox('chunks round trip', fc.array(chunkBytes(), { maxLength: 12 }), (chunks) => {
      const bytes = concat(chunks);
      const again: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; ) {
        const chunk = decodeChunk(bytes, at);
        if (typeof chunk === 'number') throw new Error(`${chunk} bytes wanted of ${bytes.length - at}`);
        again.push(encodeChunk(chunk));
        at += chunk.length;
      }
      expect(concat(again)).toEqual(bytes);
    });
  });

  it('are decoded as the naive twin decodes them, in any pieces, mutated or not', () => {
    timeBox('the naive twin agrees', fc.tuple(fc.oneof(sectionBytes, mutatedSections), cuts), ([bytes, where]) => {
      expect(fast(chop(bytes, where))).toEqual(naiveSections(bytes));
    });
  });
});
