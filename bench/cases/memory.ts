import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case, Context, Measured } from '../case.js';
import { BYTES, bitmapOf, DISK, GiB } from '../data/bitmaps.js';
import { writeCapture } from '../data/captures.js';
import { collect, encoderOf } from '../data/streams.js';
import { commandLine } from '../library.js';
import { runProcess } from '../processes.js';
import { spreadOf } from '../statistics.js';
import { assertInfo } from './capture.js';

const GROUP = 'memory';
const ROUNDS = 5;

function programOf(name: string): string {
  return fileURLToPath(new URL(`../programs/${name}`, import.meta.url));
}

/** Bytes of memory that a Node process has at most. */
function peak(...args: string[]): number {
  const { said } = runProcess(process.execPath, ['--import', programOf('report-memory.mjs'), ...args]);
  return Number(said) * 1024;
}

/** Millions of bytes that one has more than the other, less what it may have. */
function more(ours: () => number, idle: () => number, allowed = 0): Measured {
  const values = Array.from({ length: ROUNDS }, () => (ours() - idle() - allowed) / 1e6);
  return { value: spreadOf(values) };
}

async function info({ dist, folder }: Context): Promise<Measured> {
  const path = join(folder, 'capture.bin');
  assertInfo(dist, path, await writeCapture(dist, path, 4 * GiB));
  const command = commandLine(dist);
  return more(
    () => peak(command, 'info', path),
    () => peak('-e', '0'),
  );
}

async function decode({ dist, folder }: Context): Promise<Measured> {
  const path = join(folder, 'stream.bin');
  const bits = await bitmapOf(dist, new Uint8Array(BYTES).fill(0xff));
  if (bits.count() !== DISK) throw new Error('not all is dirty');
  writeFileSync(path, collect(await encoderOf(dist, bits, 'qemu')));
  const program = programOf('stream-decode.mjs');
  return more(
    () => peak(program, dist, path),
    () => peak(program, dist),
    bits.allocatedBytes,
  );
}

export const MEMORY: readonly Case[] = [
  {
    name: 'memory-info',
    group: GROUP,
    title: 'peak RSS of info on a capture with 4 GiB of RAM pages',
    against: 'an idle Node',
    goal: { atMost: 64 },
    unit: 'MB',
    run: info,
  },
  {
    name: 'memory-decode',
    group: GROUP,
    title: 'peak RSS of decoding 34 MB in pieces of 64 KiB, beside the bitmap',
    against: 'an idle Node with the library loaded',
    goal: { atMost: 2 },
    unit: 'MB',
    run: decode,
  },
];
