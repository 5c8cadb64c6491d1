import { SectionDecoder } from '../../src/chunk/section-decoder.js';
import { join, type Part, str8, u32, u64 } from '../support/stream-builder.js';

/** A chunk of which every field may be anything: what mutations change. */
export interface LooseChunk {
  /** As one byte; more are for wide forms. */
  flags: readonly number[];
  node: Uint8Array | undefined;
  bitmap: Uint8Array | undefined;
  /** Of a START: granularity in bytes, and its flags. */
  granularity: number;
  startFlags: number;
  /** Of BITS: in sectors. */
  first: bigint;
  count: number;
  /** What BITS says of the length of its data, where that is not the truth. */
  length: bigint | undefined;
  data: Uint8Array | undefined;
  kind: 'start' | 'complete' | 'bits' | 'bare';
}

/** The chunks of section bodies that we wrote. */
export function looseChunks(body: Uint8Array): LooseChunk[] {
  const decoder = new SectionDecoder();
  const chunks: LooseChunk[] = [];
  for (const event of decoder.push(body)) {
    if (event.type !== 'chunk') throw new Error(event.message);
    const { chunk } = event;
    const range = chunk.kind === 'bits' || chunk.kind === 'zeroes' ? chunk : undefined;
    chunks.push({
      flags: [chunk.flags],
      node: chunk.node?.bytes,
      bitmap: chunk.bitmap?.bytes,
      granularity: chunk.kind === 'start' ? chunk.granularity : 65_536,
      startFlags: chunk.kind === 'start' ? chunk.startFlags : 1,
      first: BigInt(range?.firstSector ?? 0),
      count: range?.sectorCount ?? 8192,
      length: undefined,
      data: chunk.kind === 'bits' ? chunk.data.slice() : undefined,
      kind: chunk.kind === 'zeroes' ? 'bits' : chunk.kind,
    });
  }
  return chunks;
}

/** The bytes of a chunk, as its flags and fields say, sense or not. */
export function writeLoose(chunk: LooseChunk): Uint8Array {
  const { flags, node, bitmap, kind, data } = chunk;
  const names: Part[] = [];
  if (node !== undefined) names.push(str8(node.subarray(0, 255)));
  if (bitmap !== undefined) names.push(str8(bitmap.subarray(0, 255)));
  const rest: Part[] = [];
  if (kind === 'start') rest.push(u32(chunk.granularity), chunk.startFlags);
  if (kind === 'bits') rest.push(u64(chunk.first), u32(chunk.count));
  if (kind === 'bits' && data !== undefined) rest.push(u64(chunk.length ?? data.length), data);
  return join([...flags], names, rest);
}
