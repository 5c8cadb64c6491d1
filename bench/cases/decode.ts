import type { Bitmap } from '../../src/index.js';
import { asSpeed, assertSame, asTime, type Case, type Context, type Goal, type Measured } from '../case.js';
import { BYTES, bitmapOf, bytesOf, CHUNKS, DISK, GRANULARITY, KiB } from '../data/bitmaps.js';
import { IntoBitmap } from '../data/into-bitmap.js';
import { cut, streamOf } from '../data/streams.js';
import { loadCore } from '../library.js';
import { type Contestant, compare, timed } from '../measure.js';
import { memcpy } from './encode.js';

const GROUP = 'decode';
const AMOUNT = { chunks: CHUNKS, bytes: BYTES };

/** Decodes a dense stream, in pieces, into a bitmap that was filled before; checked. */
async function decoder(dist: string, name: string, pieces: readonly Uint8Array[]): Promise<Contestant> {
  const { Bitmap, SectionParser } = await loadCore(dist);
  const bits = new Bitmap(GRANULARITY, { size: DISK });
  const work = (): void => {
    const parser = new SectionParser(new IntoBitmap(bits));
    for (const piece of pieces) parser.push(piece);
    parser.finish();
  };
  work();
  assertSame(`${name}: decoded`, bits.equals(await bitmapOf(dist, bytesOf('dense'))), true);
  return { name, round: timed(work) };
}

const decodeDense: Case = {
  name: 'decode-dense',
  group: GROUP,
  title: 'decode dense, whole buffer, into a reused bitmap',
  against: 'memcpy of the bitmap',
  goal: { atLeast: 0.7 },
  run: async ({ dist, pace }) => {
    const ours = await decoder(dist, 'SectionParser', [await streamOf(dist, 'dense')]);
    return asSpeed(await compare(ours, [memcpy(bytesOf('dense'))], pace), AMOUNT);
  },
};

/** The same with every rule of a receiver checked. The only policy that takes a bitmap that is there already. */
const decodeDestination: Case = {
  name: 'decode-destination',
  group: GROUP,
  title: 'decode dense by DestinationStream, into a reused bitmap',
  against: 'memcpy of the bitmap',
  run: async ({ dist, pace }) => {
    const { Bitmap, DestinationStream, MemoryGraph } = await loadCore(dist);
    const stream = await streamOf(dist, 'dense');
    const bits: Bitmap = new Bitmap(GRANULARITY, { size: DISK });
    const graph = new MemoryGraph();
    graph.addNode({ name: 'disk0', size: DISK }).create({ name: 'b0', granularity: GRANULARITY, bits });
    const work = (): void => {
      const destination = new DestinationStream(graph, { policy: 'patch-2017' });
      destination.push(stream);
      destination.finish();
    };
    work();
    assertSame('decoded', bits.equals(await bitmapOf(dist, bytesOf('dense'))), true);
    const ours = { name: 'DestinationStream', round: timed(work) };
    return asSpeed(await compare(ours, [memcpy(bytesOf('dense'))], pace), AMOUNT);
  },
};

async function decodePieces({ dist, pace }: Context, length: number): Promise<Measured> {
  const stream = await streamOf(dist, 'dense');
  const pieces = await decoder(dist, 'in pieces', cut(stream, length));
  const whole = await decoder(dist, 'whole', [stream]);
  return { ...asTime(await compare(pieces, [whole], pace), AMOUNT), against: undefined };
}

function piecesCase(name: string, title: string, length: number, goal: Goal): Case {
  const against = 'the whole buffer';
  return { name, group: GROUP, title, against, goal, run: (context) => decodePieces(context, length) };
}

export const DECODE: readonly Case[] = [
  decodeDense,
  decodeDestination,
  piecesCase('decode-64-kib', 'decode dense in pieces of 64 KiB (time)', 64 * KiB, { atMost: 1.3 }),
  piecesCase('decode-1500', 'decode dense in pieces of 1,500 bytes (time)', 1500, { atMost: 1.6 }),
];
