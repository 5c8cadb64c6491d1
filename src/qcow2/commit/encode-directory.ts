import { ByteWriter } from '../../bytes/byte-writer.js';
import type { Name } from '../../bytes/text.js';

/** An entry of the directory that is written. */
export interface EntryToWrite {
  readonly name: Name;
  readonly tableOffset: number;
  /** Words of the table. */
  readonly tableEntries: number;
  readonly flags: number;
  readonly granularityBits: number;
}

const TYPE_DIRTY_TRACKING = 1;

/** The directory: entries one behind the other, each padded to 8 bytes. Source: qcow2-bitmaps.md section 4. */
export function encodeDirectory(entries: readonly EntryToWrite[]): Uint8Array {
  const out = new ByteWriter();
  for (const { name, tableOffset, tableEntries, flags, granularityBits } of entries) {
    out.u64(tableOffset);
    out.u32(tableEntries);
    out.u32(flags);
    out.u8(TYPE_DIRTY_TRACKING);
    out.u8(granularityBits);
    out.u16(name.bytes.length);
    out.u32(0);
    out.bytes(name.bytes);
    while (out.length % 8 !== 0) out.u8(0);
  }
  return out.finish();
}
