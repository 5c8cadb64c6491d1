import { concat } from '../src/bytes/concat.js';
import { encodeChunk, FLAG } from '../src/index.js';

const encoder = new TextEncoder();
/** Granules of one chunk as QEMU cuts them, and the bytes they take. */
const CHUNK_BITS = 8192;
const CHUNK_BYTES = 1024;

/**
 * The body of a section as QEMU would send it for a bitmap at a granularity of 4 KiB: START, a chunk for each KiB of
 * bits, COMPLETE, EOS.
 * @param bits the bitmap's bytes, a multiple of 1024.
 */
export function sectionOf(bits: Uint8Array): Uint8Array {
  const sectors = CHUNK_BITS * 8;
  const names = { node: { bytes: encoder.encode('disk0') }, bitmap: { bytes: encoder.encode('b0') } };
  const flagsWidth = 1;
  const start = FLAG.START | FLAG.DEVICE_NAME | FLAG.BITMAP_NAME;
  const parts = [encodeChunk({ kind: 'start', flags: start, flagsWidth, ...names, granularity: 4096, startFlags: 1 })];
  for (let at = 0; at < bits.length; at += CHUNK_BYTES) {
    const data = bits.subarray(at, at + CHUNK_BYTES);
    const range = { flagsWidth, firstSector: (at / CHUNK_BYTES) * sectors, sectorCount: sectors } as const;
    parts.push(
      data.some((byte) => byte !== 0)
        ? encodeChunk({ kind: 'bits', flags: FLAG.BITS, ...range, data })
        : encodeChunk({ kind: 'zeroes', flags: FLAG.BITS | FLAG.ZEROES, ...range }),
    );
  }
  parts.push(encodeChunk({ kind: 'complete', flags: FLAG.COMPLETE, flagsWidth }));
  parts.push(encodeChunk({ kind: 'bare', flags: FLAG.EOS, flagsWidth }));
  return concat(parts);
}
