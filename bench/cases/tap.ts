import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  configuration,
  EOF,
  footer,
  join as joined,
  part,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  str8,
  u32,
  u64,
} from '../../test/support/stream-builder.js';
import { asSpeed, assertSame, type Case, type Context, type Measured } from '../case.js';
import { MiB } from '../data/bitmaps.js';
import { compare } from '../measure.js';

/** Records of a piece, and pieces of a stream: about 256 MiB of RAM. */
const RECORDS = 255;
const PIECES = 256;
const PAGE = 4096;
const PROGRAM = fileURLToPath(new URL('../programs/relay.mjs', import.meta.url));

/** A stream of almost nothing but RAM pages: what begins it, what is repeated, what ends it. */
function ramStream(): { readonly head: Uint8Array; readonly pages: Uint8Array; readonly tail: Uint8Array } {
  const size = u64(MiB * MiB);
  const list = [u64(MiB * MiB + 0x04), str8('pc.ram'), size, RAM_EOS];
  const named = [u64(0x08), str8('pc.ram'), new Uint8Array(PAGE)];
  const record = joined(u64(0x28), new Uint8Array(PAGE).fill(0x5a));
  return {
    head: qevm(configuration('pc-i440fx-7.2'), start(RAM_ID, 'ram', list), [0x02, u32(RAM_ID), named]),
    pages: joined(...Array.from({ length: RECORDS }, () => record)),
    tail: joined(RAM_EOS, footer(RAM_ID), part(RAM_ID, RAM_EOS), EOF),
  };
}

/** Takes what comes, and counts it. */
async function sink(path: string): Promise<{ readonly server: Server; bytes: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (piece) => {
      taken.bytes += piece.length;
    });
    socket.on('end', () => socket.end());
  });
  const taken = { server, bytes: 0 };
  server.listen(path);
  await once(server, 'listening');
  return taken;
}

async function throughput({ dist, folder, pace }: Context): Promise<Measured> {
  const to = join(folder, 'to.sock');
  const taken = await sink(to);
  const { head, pages, tail } = ramStream();
  const bytes = head.length + PIECES * pages.length + tail.length;
  const children: ReturnType<typeof fork>[] = [];
  const contestant = async (kind: 'plain' | 'tap'): Promise<{ name: string; round: () => Promise<number> }> => {
    const path = join(folder, `${kind}.sock`);
    const child = fork(PROGRAM, [dist, kind, path, to], { execArgv: [] });
    children.push(child);
    await once(child, 'message');
    const round = async (): Promise<number> => {
      taken.bytes = 0;
      const began = performance.now();
      const socket = createConnection({ path, allowHalfOpen: true });
      socket.write(head);
      for (let at = 0; at < PIECES; at++) if (!socket.write(pages)) await once(socket, 'drain');
      socket.end(tail).resume();
      await once(socket, 'close');
      const took = performance.now() - began;
      assertSame('bytes', taken.bytes, bytes);
      return took;
    };
    return { name: kind === 'tap' ? 'tapMigration' : 'pipe() both ways', round };
  };
  try {
    const plain = await contestant('plain');
    const comparison = await compare(await contestant('tap'), [plain], { ...pace, warmUp: 2 });
    const rate = bytes / 1e6 / comparison.ours;
    return { ...asSpeed(comparison), note: `${rate.toFixed(2)} GB a second` };
  } finally {
    for (const child of children) child.disconnect();
    taken.server.close();
  }
}

export const TAP: readonly Case[] = [
  {
    name: 'tap',
    group: 'tap',
    title: 'a stream of RAM pages through tapMigration, in a process of its own',
    against: 'a relay of plain sockets in another',
    goal: { atLeast: 0.8 },
    run: throughput,
  },
];
