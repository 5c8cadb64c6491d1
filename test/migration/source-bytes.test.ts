import { describe, expect, test } from 'vitest';
import { compareReencoded, sizesOf } from '../support/reencode.js';
import { listVectors, readStream, readTruth } from '../support/vectors.js';

/** Streams that are not QEMU's way of sending these bitmaps to the end, by what is the matter. */
const OTHERS = {
  'no bitmaps': ['captures/caps-off'],
  'QEMU refused': [
    'captures/auto-node-name-refused',
    'captures/inconsistent-bitmap-refused',
    'captures/name-256-refused',
  ],
  'QEMU loops': [
    'captures/granularity-1g-8pib',
    'captures/granularity-256m-2tib',
    'captures/granularity-512m-3tib',
    'captures/granularity-512m-3tib-postcopy',
  ],
  'identical as far as it goes': ['captures/cut-in-bits'],
} as const;

describe('profile qemu writes the sections that QEMU wrote', () => {
  const vectors = listVectors().filter(({ folder, channel }) => folder.startsWith('captures') && !channel);
  for (const vector of vectors) {
    test(vector.id, () => {
      const verdict = compareReencoded(readStream(vector), sizesOf(readTruth(vector).expect_stream.bitmaps));
      const listed = Object.entries(OTHERS).find(([, ids]) => (ids as readonly string[]).includes(vector.id))?.[0];
      if (listed !== undefined) expect(verdict).toBe(listed);
      else if (vector.folder === 'captures') expect(verdict).toBe('identical');
      else expect(verdict).not.toBe('differs');
    });
  }
});
