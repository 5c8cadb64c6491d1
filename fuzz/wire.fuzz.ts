import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IncomingMigration } from '../src/capture/incoming-migration.js';
import { ReplyReader } from '../src/capture/return-path.js';
import { cuts } from '../test/support/arbitraries.js';
import { chop, pushAndOverwrite } from '../test/support/chop.js';
import { anyBytes } from './inputs.js';
import { timeBox } from './time-box.js';

const LIMITS = { maxBitmapMemory: 4 * 1024 * 1024 };
/** OPEN_RETURN_PATH, which most streams in files lack. */
const OPEN = Uint8Array.of(0x08, 0, 1, 0, 0);

/** A stream that asks for answers, where it is one at all. */
const asking = anyBytes.map((bytes) => {
  // After magic, version, and a configuration of machine `none`.
  const at = bytes[8] === 0x07 ? 17 : 8;
  return Uint8Array.of(...bytes.subarray(0, at), ...OPEN, ...bytes.subarray(at));
});

/** What a migration is answered, and how it went. */
function received(pieces: Iterable<Uint8Array>): { readonly answers: number[]; readonly phases: readonly string[] } {
  const incoming = new IncomingMigration({ limits: LIMITS });
  const answers: number[] = [];
  pushAndOverwrite(pieces, (piece) => {
    for (const answer of incoming.push(piece)) answers.push(...answer);
  });
  for (const answer of incoming.done()) answers.push(...answer);
  return { answers, phases: incoming.phases };
}

describe('any bytes from a source', () => {
  it('are taken without an exception, and answered alike however they are cut', () => {
    timeBox('incoming migrations', fc.tuple(asking, cuts), ([bytes, where]) => {
      const whole = received([bytes]);
      expect(received(chop(bytes, where))).toEqual(whole);
      // A PONG for a PING of 9 bytes, and the end.
      expect(whole.answers.length).toBeLessThanOrEqual((bytes.length / 9 + 1) * 8);
      expect(whole.phases.length).toBeLessThanOrEqual(5);
    });
  });
});

describe('any bytes from a destination', () => {
  it('are read alike however they are cut', () => {
    const messages = fc.array(fc.constantFrom(0, 1, 2, 3, 4, 7, 255), { maxLength: 60 });
    timeBox('return paths', fc.tuple(messages, cuts), ([values, where]) => {
      const bytes = Uint8Array.from(values);
      const read = (pieces: Iterable<Uint8Array>): unknown[] => {
        const reader = new ReplyReader();
        return [...pieces].flatMap((piece) => reader.push(piece));
      };
      expect(read(chop(bytes, where))).toEqual(read([bytes]));
    });
  });
});
