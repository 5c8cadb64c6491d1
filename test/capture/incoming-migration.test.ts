import { describe, expect, it } from 'vitest';
import { IncomingMigration } from '../../src/capture/incoming-migration.js';
import { type Reply, ReplyReader } from '../../src/capture/return-path.js';
import { chopEverywhere } from '../support/chop.js';
import { command, configuration, EOF, join, qevm, u16, u32 } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';

const OPEN = command(1);
const ping = (value: number): Uint8Array => command(2, u32(value));

/** What is sent back for a stream that comes in these pieces. */
function answersTo(pieces: readonly Uint8Array[]): { incoming: IncomingMigration; replies: Reply[] } {
  const incoming = new IncomingMigration();
  const reader = new ReplyReader();
  const replies: Reply[] = [];
  for (const piece of pieces) for (const answer of incoming.push(piece)) replies.push(...reader.push(answer));
  for (const answer of incoming.done()) replies.push(...reader.push(answer));
  return { incoming, replies };
}

const pong = (value: number): Reply => ({ id: 2, name: 'PONG', value });
const SHUT: Reply = { id: 1, name: 'SHUT', value: 0 };

describe('IncomingMigration', () => {
  it('answers nothing where the source does not listen', () => {
    const { replies, incoming } = answersTo([qevm(configuration(), ping(1), EOF)]);
    expect(replies).toEqual([]);
    expect(incoming.returnPath).toBe(false);
  });

  it('answers each PING, and says once that it is done', () => {
    const { replies, incoming } = answersTo([qevm(configuration(), OPEN, ping(1), ping(7), EOF)]);
    expect(replies).toEqual([pong(1), pong(7), SHUT]);
    expect(incoming.done()).toEqual([]);
  });

  it('says that it failed, at which QEMU fails the migration', () => {
    const incoming = new IncomingMigration();
    incoming.push(qevm(configuration(), OPEN, EOF));
    expect(incoming.done(1)).toEqual([join(u16(1), u16(4), u32(1))]);
  });

  it('answers the PINGs at the end of a package, however the stream is cut, as QEMU 11.1 waits for', () => {
    const packaged = join(command(4), new Uint8Array(300).fill(8), ping(3), ping(0x42), command(5));
    const stream = qevm(configuration(), OPEN, ping(1), command(7, u32(packaged.length)), packaged, ping(4), EOF);
    for (const pieces of chopEverywhere(stream)) {
      expect(answersTo(pieces).replies).toEqual([pong(1), pong(3), pong(0x42), pong(4), SHUT]);
    }
  });

  it('takes no PING for one that does not stand right before RUN', () => {
    const packaged = join(command(4), ping(9), new Uint8Array(40), command(5));
    const stream = qevm(configuration(), OPEN, command(7, u32(packaged.length)), packaged, EOF);
    expect(answersTo([stream]).replies).toEqual([SHUT]);
  });

  it('knows a postcopy that would fetch RAM from a guest', () => {
    const bare = answersTo([qevm(configuration(), command(3))]).incoming;
    expect(bare.postcopyRam).toBe(false);
    const ram = answersTo([qevm(configuration(), command(3, new Uint8Array(16)))]).incoming;
    expect(ram.postcopyRam).toBe(true);
  });

  it.each([
    ['captures/small-qcow2-persistent.bin', ['setup', 'precopy', 'switchover', 'complete']],
    ['captures/pc-postcopy.bin', ['setup', 'precopy', 'switchover', 'postcopy', 'complete']],
  ])('of %s goes through its phases', (file, phases) => {
    const incoming = new IncomingMigration();
    const seen: string[] = [];
    for (const byte of readStream(vectorOf(file))) {
      incoming.push(Uint8Array.of(byte));
      if (seen.at(-1) !== incoming.phase) seen.push(incoming.phase);
    }
    expect(seen).toEqual(phases);
    expect(incoming.reader.bitmaps.every(({ complete }) => complete)).toBe(true);
  });
});

describe('ReplyReader', () => {
  it('reads messages of any splitting, and steps over payloads that mean nothing here', () => {
    const pages = join(u16(3), u16(20), new Uint8Array(20));
    const bytes = join(u16(2), u16(4), u32(1), pages, u16(9), u16(0), u16(1), u16(4), u32(5));
    const replies = [
      pong(1),
      { id: 3, name: 'REQ_PAGES_ID', value: undefined },
      { id: 9, name: 'UNKNOWN_9', value: undefined },
      { id: 1, name: 'SHUT', value: 5 },
    ];
    for (const pieces of chopEverywhere(bytes)) {
      const reader = new ReplyReader();
      expect(pieces.flatMap((piece) => reader.push(piece))).toEqual(replies);
    }
  });
});
