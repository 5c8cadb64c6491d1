import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameFromText } from '../src/bytes/text.js';
import { BitmapsOnly } from '../src/capture/bitmaps-only.js';
import { type StreamChanges, StreamEditor } from '../src/capture/stream-editor.js';
import { cuts } from '../test/support/arbitraries.js';
import { chop } from '../test/support/chop.js';
import { setOf } from '../test/support/sets.js';
import { anyBytes } from './inputs.js';
import { timeBox } from './time-box.js';

const LIMITS = { maxBitmapMemory: 4 * 1024 * 1024 };
const CHANGES: StreamChanges = {
  drop: ({ index }) => index === 1,
  rename: ({ bitmap }) => ({ node: nameFromText('elsewhere'), bitmap }),
  put: setOf({ node: 'added', name: 'new', size: 2 ** 26, dirty: [[65_536, 65_536]] }),
  dropSwitchoverStart: true,
};

function edited(pieces: Iterable<Uint8Array>, changes: StreamChanges): Buffer {
  const editor = new StreamEditor(changes, { limits: LIMITS });
  const out: Uint8Array[] = [];
  for (const piece of pieces) out.push(...editor.push(piece.slice()));
  return Buffer.concat([...out, ...editor.finish()]);
}

function bitmapsOnly(pieces: Iterable<Uint8Array>): Buffer {
  const filter = new BitmapsOnly({ limits: LIMITS });
  const out: Uint8Array[] = [];
  for (const piece of pieces) out.push(...filter.push(piece.slice()));
  return Buffer.concat([...out, ...filter.finish()]);
}

describe('any bytes that pass a tap', () => {
  it('pass as they are where nothing is to be changed, and are changed alike however they are cut', () => {
    timeBox('edited streams', fc.tuple(anyBytes, cuts), ([bytes, where]) => {
      const none = edited(chop(bytes, where), { drop: () => false, rename: () => undefined });
      expect(Buffer.compare(none, bytes)).toBe(0);
      expect(Buffer.compare(edited(chop(bytes, where), CHANGES), edited([bytes], CHANGES))).toBe(0);
    });
  });

  it('leave the same bitmaps alone however they are cut', () => {
    timeBox('captures of bitmaps alone', fc.tuple(anyBytes, cuts), ([bytes, where]) => {
      const whole = bitmapsOnly([bytes]);
      expect(Buffer.compare(bitmapsOnly(chop(bytes, where)), whole)).toBe(0);
      expect(whole.length).toBeLessThanOrEqual(bytes.length + 19);
    });
  });
});
