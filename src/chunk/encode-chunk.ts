import { ByteWriter } from '../bytes/byte-writer.js';
import { DirtyBitmapError } from '../errors.js';
import type { Chunk } from './chunk.js';
import { FLAG, writeFlags } from './flags.js';

/** What is needed to write a chunk: a decoded chunk without what only reading knows. */
export type ChunkInput = Chunk extends infer C
  ? C extends Chunk
    ? Omit<C, 'offset' | 'length' | 'deviations' | 'eos' | 'node' | 'bitmap'> & {
        readonly node?: { readonly bytes: Uint8Array } | undefined;
        readonly bitmap?: { readonly bytes: Uint8Array } | undefined;
      }
    : never
  : never;

/**
 * The bytes of a chunk. Flags are written as they stand in `flags` and `flagsWidth`, so that what `decodeChunk` read
 * comes out byte for byte, deviations included.
 * @throws DirtyBitmapError `argument` where the flags do not fit the kind, the names or the width, or a number does not
 * fit its field.
 */
export function encodeChunk(chunk: ChunkInput): Uint8Array {
  const out = new ByteWriter(chunk.kind === 'bits' ? chunk.data.length + 640 : 640);
  writeChunk(out, chunk);
  return out.finish();
}

/** Appends a chunk; else as {@link encodeChunk}. */
export function writeChunk(out: ByteWriter, chunk: ChunkInput): void {
  const { flags } = chunk;
  const kind = kindOf(flags);
  if (kind !== chunk.kind) {
    throw new DirtyBitmapError(
      'argument',
      `flags 0x${flags.toString(16)} are of a ${kind} chunk, not of ${chunk.kind}`,
    );
  }
  checkName('node', flags & FLAG.DEVICE_NAME, chunk.node);
  checkName('bitmap', flags & FLAG.BITMAP_NAME, chunk.bitmap);
  writeFlags(out, flags, chunk.flagsWidth);
  if (chunk.node !== undefined) out.str8(chunk.node.bytes);
  if (chunk.bitmap !== undefined) out.str8(chunk.bitmap.bytes);
  if (chunk.kind === 'start') {
    out.u32(chunk.granularity);
    out.u8(chunk.startFlags);
  } else if (chunk.kind === 'bits' || chunk.kind === 'zeroes') {
    out.u64(chunk.firstSector);
    out.u32(chunk.sectorCount);
    if (chunk.kind === 'bits') {
      out.u64(chunk.data.length);
      out.bytes(chunk.data);
    }
  }
}

/** The kind that flags mean, tested in QEMU's order. */
function kindOf(flags: number): Chunk['kind'] {
  if ((flags & FLAG.START) !== 0) return 'start';
  if ((flags & FLAG.COMPLETE) !== 0) return 'complete';
  if ((flags & FLAG.BITS) === 0) return 'bare';
  return (flags & FLAG.ZEROES) === 0 ? 'bits' : 'zeroes';
}

function checkName(what: string, flag: number, name: { readonly bytes: Uint8Array } | undefined): void {
  if ((flag !== 0) !== (name !== undefined)) {
    throw new DirtyBitmapError('argument', `the flags and the chunk disagree on whether there is a ${what} name`);
  }
}
