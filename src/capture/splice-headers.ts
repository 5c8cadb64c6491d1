import { ByteWriter } from '../bytes/byte-writer.js';
import { type Name, quoted } from '../bytes/text.js';
import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import { FLAG, writeFlags } from '../chunk/flags.js';
import { DirtyBitmapError } from '../errors.js';
import type { PutBitmap } from './bitmap-chunks.js';

/** Names that a chunk's header says, where it says them. */
export interface SaidNames {
  readonly node: Name | undefined;
  readonly bitmap: Name | undefined;
}

/** The header of a chunk with these names, its flags as wide as they were; what START says may be that of another bitmap. */
export function headerWith(cursor: ChunkCursor, { node, bitmap }: SaidNames, put?: PutBitmap): Uint8Array {
  const out = new ByteWriter(640);
  const named = (node === undefined ? 0 : FLAG.DEVICE_NAME) | (bitmap === undefined ? 0 : FLAG.BITMAP_NAME);
  writeFlags(out, (cursor.flags & ~(FLAG.DEVICE_NAME | FLAG.BITMAP_NAME)) | named, cursor.flagsWidth);
  if (node !== undefined) out.str8(node.bytes);
  if (bitmap !== undefined) out.str8(bitmap.bytes);
  writeFields(out, cursor, put);
  return out.finish();
}

/** @throws DirtyBitmapError `name-empty`, `name-too-long`, `name-nul` for what no chunk can say. */
export function assertWire(what: 'node' | 'bitmap', name: Name): void {
  const { length } = name.bytes;
  if (length >= 1 && length <= 255 && !name.bytes.includes(0)) return;
  const code = length === 0 ? 'name-empty' : length > 255 ? 'name-too-long' : 'name-nul';
  const message = `${what} name ${quoted(name.text)}: expected 1 to 255 bytes without NUL; give it another name`;
  throw new DirtyBitmapError(code, message);
}

/** The fields of a header after its names. */
function writeFields(out: ByteWriter, cursor: ChunkCursor, put: PutBitmap | undefined): void {
  if (cursor.kind === 'start') {
    out.u32(put?.granularity ?? cursor.granularity);
    out.u8(put?.startFlags ?? cursor.startFlags);
  } else if (cursor.kind === 'bits' || cursor.kind === 'zeroes') {
    out.u32(cursor.firstSectorHigh);
    out.u32(cursor.firstSectorLow);
    out.u32(cursor.sectorCount);
    if (cursor.kind === 'bits') out.u64(cursor.size);
  }
}
