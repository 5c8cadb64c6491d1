import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Absent, asSpeed, assertSame, type Case, type Context, type Goal, type Measured } from '../case.js';
import { BITS, BYTES, bitmapOf, bytesOf, CHUNKS, DISK, KiB, type Kind } from '../data/bitmaps.js';
import { Fifo } from '../data/fifo.js';
import { completerOf } from '../data/streams.js';
import { loadCore, loadNode } from '../library.js';
import { compare, type Pace } from '../measure.js';
import { type Disk, findQemu, QemuPeer } from '../peers/qemu.js';

const AMOUNT = { chunks: CHUNKS, bytes: BYTES };

/** A capture with a bitmap of a kind, and what a QEMU must find in it. */
async function captureOf(dist: string, kind: Kind): Promise<{ capture: Uint8Array; disk: Disk }> {
  const { bitmapSha256, CaptureEncoder, MemoryGraph, Source } = await loadCore(dist);
  const bits = await bitmapOf(dist, bytesOf(kind));
  const graph = new MemoryGraph();
  graph.addNode({ name: 'disk0', size: DISK }).create({ name: 'b0', granularity: bits.granularity, bits });
  const pieces: Uint8Array[] = [];
  for (const piece of new CaptureEncoder(new Source(graph)).pieces()) pieces.push(piece.slice());
  const disk = { node: 'disk0', bitmap: 'b0', size: DISK, sha256: bitmapSha256(bits, BITS) };
  return { capture: Buffer.concat(pieces), disk };
}

/** Each round of QEMU takes a while: the time box is wider. */
function patient(pace: Pace): Pace {
  return { ...pace, seconds: 2 * pace.seconds, warmUp: 3 };
}

async function out({ dist, folder, pace }: Context, kind: Kind): Promise<Measured | Absent> {
  const program = findQemu();
  if (program === undefined) return { absent: 'qemu-system-x86_64 is not installed' };
  const complete = await completerOf(dist, await bitmapOf(dist, bytesOf(kind)));
  const fifo = new Fifo(folder);
  const send = (): Promise<number> =>
    fifo.toCat((fd) => {
      const section = complete();
      const began = performance.now();
      for (const bytes of section) {
        for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      }
      return performance.now() - began;
    });
  const { capture, disk } = await captureOf(dist, kind);
  const qemu = await QemuPeer.withBitmap(program, folder, capture, disk);
  try {
    const others = [{ name: `QEMU ${program.version}`, round: () => qemu.send() }];
    return asSpeed(await compare({ name: 'Source', round: send }, others, patient(pace)), AMOUNT);
  } finally {
    await qemu.stop();
  }
}

/** How a program reads a pipe. */
type Read = (path: string, disk: Disk) => number | Promise<number>;

async function incoming(
  { dist, folder, pace }: Context,
  kind: Kind,
  reading: (dist: string) => Promise<Read>,
): Promise<Measured | Absent> {
  const program = findQemu();
  if (program === undefined) return { absent: 'qemu-system-x86_64 is not installed' };
  const { capture, disk } = await captureOf(dist, kind);
  const file = join(folder, 'capture.bin');
  writeFileSync(file, capture);
  const fifo = new Fifo(folder);
  const read = await reading(dist);
  const ours = { name: 'dirtybitmap', round: () => fifo.fromCat(file, (path) => read(path, disk)) };
  const others = [{ name: `QEMU ${program.version}`, round: () => QemuPeer.load(program, folder, file, disk) }];
  return asSpeed(await compare(ours, others, patient(pace)), AMOUNT);
}

/** As the README shows it. */
async function byReadCapture(dist: string): Promise<Read> {
  const { readCapture } = await loadNode(dist);
  const { bitmapSha256 } = await loadCore(dist);
  return async (path, disk) => {
    const began = performance.now();
    const { bitmaps } = await readCapture(path);
    const took = performance.now() - began;
    assertSame('SHA-256', bitmaps[0] && bitmapSha256(bitmaps[0].bits, BITS), disk.sha256);
    return took;
  };
}

/** Pushing what a blocking read gives. */
async function byPush(dist: string): Promise<Read> {
  const { bitmapSha256, CaptureReader } = await loadCore(dist);
  return (path, disk) => {
    const began = performance.now();
    const reader = new CaptureReader();
    const piece = new Uint8Array(64 * KiB);
    const fd = openSync(path, 'r');
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece)) {
      reader.push(piece.subarray(0, length));
    }
    closeSync(fd);
    reader.finish();
    const took = performance.now() - began;
    const [bitmap] = reader.bitmaps;
    assertSame('SHA-256', bitmap && bitmapSha256(bitmap.bits, BITS), disk.sha256);
    return took;
  };
}

function outCase(name: string, kind: Kind, goal: Goal): Case {
  const title = `out through a pipe to cat: ${kind}`;
  return { name, group: 'pipe', title, against: "QEMU's completion phase", goal, run: (context) => out(context, kind) };
}

function inCase(name: string, kind: Kind, goal: Goal | undefined, reading: (dist: string) => Promise<Read>): Case {
  const title = `in from a pipe by ${reading === byPush ? 'CaptureReader.push' : 'readCapture'}: ${kind}`;
  const base = { name, group: 'pipe', title, against: 'QEMU loading the same stream' };
  return { ...base, ...(goal && { goal }), run: (context) => incoming(context, kind, reading) };
}

export const PIPE: readonly Case[] = [
  outCase('pipe-out-dense', 'dense', { atLeast: 1.2 }),
  outCase('pipe-out-0.01', '0.01 %', { atLeast: 2 }),
  outCase('pipe-out-268-bits', '268 bits', { atLeast: 30 }),
  outCase('pipe-out-empty', 'empty', { atLeast: 50 }),
  inCase('pipe-in-dense', 'dense', { atLeast: 1.8 }, byReadCapture),
  inCase('pipe-in-0.01', '0.01 %', { atLeast: 1.1 }, byReadCapture),
  inCase('pipe-in-268-bits', '268 bits', { atLeast: 6 }, byReadCapture),
  inCase('pipe-in-dense-push', 'dense', undefined, byPush),
  inCase('pipe-in-0.01-push', '0.01 %', undefined, byPush),
  inCase('pipe-in-268-bits-push', '268 bits', undefined, byPush),
];
