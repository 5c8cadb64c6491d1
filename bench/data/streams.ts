import type { Bitmap, Profile } from '../../src/index.js';
import { bitsChunk, completeChunk, EOS, join, startChunk, zeroesChunk } from '../../test/support/stream-builder.js';
import { assertSame } from '../case.js';
import { loadCore } from '../library.js';
import { bitmapOf, bytesOf, DISK, GRANULARITY, KiB, type Kind } from './bitmaps.js';

const NAMES = { node: 'disk0', bitmap: 'b0' };
/** Sectors that a KiB of the bitmap stands for. */
const SECTORS = (KiB * 8 * GRANULARITY) / 512;

/** Encodes a bitmap again and again; each round hands out the bodies of a START and an END section. */
export type Encode = (window?: Uint8Array) => Generator<Uint8Array, void, void>;

/** An encoder for a bitmap on a disk of `size` bytes. */
export async function encoderOf(dist: string, bits: Bitmap, profile: Profile, size = DISK): Promise<Encode> {
  const { MemoryGraph, Source } = await loadCore(dist);
  const graph = new MemoryGraph();
  const { granularity } = bits;
  graph.addNode({ name: NAMES.node, size }).create({ name: NAMES.bitmap, granularity, bits });
  return (window) => new Source(graph, { profile }).sections(window);
}

/** Makes sources that have only their END section to send: what is left in a migration's completion phase. */
export async function completerOf(dist: string, bits: Bitmap): Promise<() => Generator<Uint8Array, void, void>> {
  const { MemoryGraph, Source } = await loadCore(dist);
  const graph = new MemoryGraph();
  graph.addNode({ name: NAMES.node, size: DISK }).create({ name: NAMES.bitmap, granularity: bits.granularity, bits });
  const window = new Uint8Array(64 * KiB);
  return () => {
    const source = new Source(graph);
    source.setup();
    for (const _ of source.section(window));
    source.complete();
    return source.section(window);
  };
}

/** What an encoder hands out, as a copy. */
export function collect(encode: Encode, window?: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const bytes of encode(window)) pieces.push(bytes.slice());
  return Buffer.concat(pieces);
}

/** Bytes that an encoder hands out. */
export function lengthOf(encode: Encode, window: Uint8Array): number {
  let length = 0;
  for (const bytes of encode(window)) length += bytes.length;
  return length;
}

/** Stops where a stream is not, byte by byte, what another writer makes of these bits as QEMU would. */
export function assertAsQemu(stream: Uint8Array, bytes: Uint8Array): void {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += KiB) {
    const data = bytes.subarray(at, at + KiB);
    const first = (at / KiB) * SECTORS;
    const clear = data.every((byte) => byte === 0);
    chunks.push(clear ? zeroesChunk(first, SECTORS) : bitsChunk(first, SECTORS, data));
  }
  const expected = join(startChunk(NAMES, GRANULARITY), EOS, chunks, completeChunk(), EOS);
  assertSame('the stream', Buffer.compare(stream, expected), 0);
}

/** The bodies of the sections of a bitmap of a kind, one behind the other, as QEMU sends them; checked. */
export async function streamOf(dist: string, kind: Kind): Promise<Uint8Array> {
  const bytes = bytesOf(kind);
  const encode = await encoderOf(dist, await bitmapOf(dist, bytes), 'qemu');
  const stream = new Uint8Array(collect(encode));
  assertAsQemu(stream, bytes);
  return stream;
}

/** A stream in pieces, each a view made beforehand, as a socket would hand them out. */
export function cut(stream: Uint8Array, length: number): Uint8Array[] {
  const count = Math.ceil(stream.length / length);
  return Array.from({ length: count }, (_, at) => stream.subarray(at * length, (at + 1) * length));
}
