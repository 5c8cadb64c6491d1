import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { ReadableStream, WritableStream } from 'node:stream/web';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from '../../src/io/address.js';
import { connectTo } from '../../src/io/connect.js';
import type { WebConnection } from '../../src/io/connection.js';
import { Listener } from '../../src/io/listen.js';

let count = 0;

/** The two ends of a connection over a unix socket in a folder: the one that listened, the one that connected. */
export async function connected(folder: string): Promise<readonly [Socket, Socket]> {
  const address = parseAddress(`unix:${join(folder, `wire${count++}.sock`)}`);
  const listener = await Listener.open(address);
  const client = await connectTo(address, { allowHalfOpen: true });
  const server = await listener.accept();
  await listener.close();
  client.on('error', () => {});
  return [server, client];
}

/** Waits until a socket is there, or the work that was to make it is over. */
export async function whenThere(path: string, work: Promise<unknown>): Promise<void> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  work.then(end, end);
  while (!existsSync(path) && !over) await sleep(5);
}

/** Writes bytes in pieces of a length, giving way after each. */
export async function dribble(socket: Socket, bytes: Uint8Array, length = 1): Promise<void> {
  for (let at = 0; at < bytes.length; at += length) {
    if (socket.destroyed) return;
    socket.write(bytes.slice(at, at + length));
    await setImmediate();
  }
}

/** A socket as WHATWG streams. Not `Duplex.toWeb`, which keeps the end of one direction back until the other ends too. */
export function webOf(socket: Socket): WebConnection {
  // The other direction may go on after the end of this one.
  const pieces = socket.iterator({ destroyOnReturn: false });
  return {
    readable: new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { value, done } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(new Uint8Array(value));
      },
      cancel: () => void socket.destroy(),
    }),
    writable: new WritableStream<Uint8Array>({
      write: (piece) => new Promise((resolve) => void socket.write(piece, () => resolve())),
      close: () => void socket.end(),
    }),
  };
}
