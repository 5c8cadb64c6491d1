import { nameFromText } from '../bytes/text.js';
import type { Limits } from '../limits.js';
import { type BitmapSet, knownEnd, type SetBitmap, type SetNode } from '../set/bitmap-set.js';
import { parseNbdinfo } from '../set/nbdinfo.js';
import { parseSetJson } from '../set/set-json.js';
import type { ReportBitmap } from './input-report.js';

/**
 * A document of either kind as a bitmap set; of nbdinfo one bitmap without names, of a node whose size is the map's.
 * @throws DirtyBitmapError `set-invalid`, `limit`.
 */
export async function parseDocument(
  document: Uint8Array,
  format: 'set' | 'nbdinfo',
  limits: Limits,
): Promise<BitmapSet> {
  if (format === 'set') return await parseSet(document, limits);
  const bitmap = parseNbdinfo(document, { limits });
  return { nodes: [{ node: nameFromText(''), size: bitmap.bits.size, bitmaps: [bitmap] }] };
}

/**
 * A bitmap set, JSON or MessagePack.
 * @throws DirtyBitmapError `set-invalid`, `limit`.
 */
async function parseSet(document: Uint8Array, limits: Limits): Promise<BitmapSet> {
  // No JSON begins with a byte above ASCII, and no MessagePack map with one below.
  if ((document[0] ?? 0) < 0x80) return parseSetJson(document, limits);
  const { decodeSetMsgpack } = await import('../msgpack/set.js');
  return decodeSetMsgpack(document, limits);
}

/** The bitmaps of a document as `info` shows them; a map of nbdinfo tells of no node. */
export function documentBitmaps(set: BitmapSet, format: 'set' | 'nbdinfo'): readonly ReportBitmap[] {
  return set.nodes.flatMap((node) => node.bitmaps.map((bitmap) => reportBitmap(node, bitmap, format === 'set')));
}

function reportBitmap(node: SetNode, bitmap: SetBitmap, named: boolean): ReportBitmap {
  const { name, recording, persistent, bits } = bitmap;
  return {
    node: named ? node.node : undefined,
    name,
    granularity: bits.granularity,
    recording,
    persistent,
    complete: true,
    coveredBytes: knownEnd(node, bitmap) ?? dirtyEnd(bitmap),
    diskEnd: bitmap.diskEnd === true || node.size !== undefined,
    bits,
  };
}

/** End of the last dirty granule, in bytes: all that is known where a document tells no size. */
function dirtyEnd({ bits }: SetBitmap): number {
  let end = 0;
  bits.forEachExtent((offset, length) => {
    end = offset + length;
  });
  return end;
}
