import { readU16, readU32 } from '../bytes/u64.js';

/**
 * Messages from a destination back to its source: a 16-bit number, a 16-bit length, and the payload. The source waits for
 * some: PONG after a PING, and SHUT before it counts a migration as completed. Source: QEMU 7.2, 10.0 and 11.1 at the
 * other end.
 */
export const REPLY = Object.freeze({ SHUT: 1, PONG: 2 });

/** Names of the messages by their numbers. */
const NAMES: Readonly<Record<number, string>> = Object.freeze({
  1: 'SHUT',
  2: 'PONG',
  3: 'REQ_PAGES_ID',
  4: 'REQ_PAGES',
  5: 'RECV_BITMAP',
  6: 'RESUME_ACK',
  7: 'SWITCHOVER_ACK',
});

/** What a destination tells its source. */
export interface Reply {
  readonly id: number;
  /** `PONG` and so on. */
  readonly name: string;
  /** SHUT: 0 where all is well; PONG: what the PING said; undefined for others. */
  readonly value: number | undefined;
}

/** The destination is done: `error` other than 0 makes the source fail its migration. */
export function encodeShut(error: number): Uint8Array {
  return encodeReply(REPLY.SHUT, error);
}

/** The answer to a PING, with its value. */
export function encodePong(value: number): Uint8Array {
  return encodeReply(REPLY.PONG, value);
}

function encodeReply(id: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, 4);
  view.setUint32(4, value);
  return bytes;
}

/** Reads a return path, of any splitting; a payload that nobody looks at is stepped over. */
export class ReplyReader {
  readonly #head = new Uint8Array(8);
  #have = 0;
  #skip = 0;

  /** The messages that are complete now. */
  push(piece: Uint8Array): Reply[] {
    const replies: Reply[] = [];
    for (let at = 0; at < piece.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, piece.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#head[this.#have++] = piece[at++] as number;
      if (this.#have < 4) continue;
      const id = readU16(this.#head, 0);
      const length = readU16(this.#head, 2);
      const valued = (id === REPLY.SHUT || id === REPLY.PONG) && length === 4;
      if (valued && this.#have < 8) continue;
      replies.push({ id, name: NAMES[id] ?? `UNKNOWN_${id}`, value: valued ? readU32(this.#head, 4) : undefined });
      this.#skip = valued ? 0 : length;
      this.#have = 0;
    }
    return replies;
  }
}
