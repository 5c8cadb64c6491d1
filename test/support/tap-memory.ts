import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as build from './stream-builder.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const RECORDS = 255;
const PAGE = 4096;

/** What a `tap` took for a stream. */
export interface TapMemory {
  /** Bytes of memory at most. */
  readonly peak: number;
  readonly code: number;
  readonly stdout: string;
}

/** Sends so many bytes of RAM through a `tap` of the built package, with a bitmap behind them. */
export async function tapMemory(folder: string, ram: number, ...options: string[]): Promise<TapMemory> {
  const [listen, connect] = [join(folder, 'tap.sock'), join(folder, 'to.sock')];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('end', () => socket.end()).resume();
  }).listen(connect);
  const args = [MAIN, 'tap', '--listen', `unix:${listen}`, '--connect', `unix:${connect}`, '--json', ...options];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  const said = async (text: string): Promise<void> => {
    while (!stderr.includes(text)) stderr += String((await once(child.stderr, 'data'))[0]);
  };
  try {
    await said('waits at');
    const socket = createConnection({ path: listen, allowHalfOpen: true });
    await writeRam(socket, ram);
    // All has gone through.
    await said('switchover: ');
    const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024;
    child.stderr.resume();
    socket.resume().end(Uint8Array.of(build.EOF));
    const [code] = await exited;
    return { peak, code, stdout };
  } finally {
    child.kill();
    server.close();
  }
}

async function writeRam(socket: Socket, ram: number): Promise<void> {
  const size = 2 ** 40;
  const list = [build.u64(size + 0x04), build.str8('pc.ram'), build.u64(size), build.RAM_EOS];
  const head = [
    build.configuration('pc-i440fx-7.2'),
    build.start(build.RAM_ID, 'ram', list),
    build.start(build.BITMAP_ID, 'dirty-bitmap', [build.startChunk(build.B0), build.EOS]),
    [0x02, build.u32(build.RAM_ID), build.u64(0x08), build.str8('pc.ram'), build.fill(PAGE)],
  ];
  socket.write(build.qevm(...head));
  const record = build.join(build.u64(0x28), build.fill(PAGE, 0x5a));
  const records = build.join(...Array.from({ length: RECORDS }, () => record));
  for (let sent = 0; sent < ram; sent += RECORDS * PAGE) {
    if (!socket.write(records)) await once(socket, 'drain');
  }
  const bitmap = build.end(build.BITMAP_ID, [build.bitmapChunks(), build.EOS]);
  socket.write(build.join(build.RAM_EOS, build.footer(build.RAM_ID), bitmap));
}
