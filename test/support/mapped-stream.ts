import {
  B0,
  BITMAP_ID,
  bitmapChunks,
  capabilities,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  join,
  type Part,
  part,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  startChunk,
  str8,
  u32,
  u64,
} from './stream-builder.js';

/** Bytes. */
export const PAGE = 4096;
/** A configuration section. */
export const MAPPED: Uint8Array = configuration('none', capabilities('mapped-ram'));

/** A block of RAM. */
export interface Block {
  readonly name: string;
  readonly pages: number;
  /** A block that is shared and ignored has no pages in the file. */
  readonly ignored?: boolean;
  /** Where its pages are said to lie, where not behind the header. */
  readonly pagesOffset?: number;
  readonly version?: number;
}

/** A stream with mapped RAM, then a bitmap. `origin`: where the stream begins in its file. */
export function mappedStream(
  blocks: readonly Block[],
  { head = MAPPED, origin = 0, address = [] as Part } = {},
): Uint8Array {
  const total = blocks.reduce((sum, { pages }) => sum + pages * PAGE, 0);
  let bytes = qevm(head, 0x01, u32(RAM_ID), str8('ram'), u32(0), u32(4), u64(total + 0x04));
  for (const { name, pages, ignored = false, version = 1, pagesOffset: told } of blocks) {
    const entry = join(str8(name), u64(pages * PAGE), address);
    const bitmap = origin + bytes.length + entry.length + 28;
    const at = told ?? (ignored ? 0 : roundUp(bitmap + 8 * Math.ceil(pages / 64)));
    const header = join(u32(version), u64(PAGE), u64(ignored ? 0 : bitmap), u64(at));
    const gap = told !== undefined || ignored ? 0 : at + pages * PAGE - bitmap;
    // What lies in the gap must not matter.
    bytes = join(bytes, entry, header, fill(gap, 0x7e));
  }
  return join(
    bytes,
    [RAM_EOS, 0x7e, u32(RAM_ID)],
    start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]),
    [part(RAM_ID, RAM_EOS), end(RAM_ID, RAM_EOS), end(BITMAP_ID, [bitmapChunks(), EOS])],
    EOF,
  );
}

/** QEMU rounds to 1 MiB; less makes smaller tests. */
const roundUp = (offset: number): number => Math.ceil(offset / PAGE) * PAGE;
