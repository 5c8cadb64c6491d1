import { Findings } from '../findings.js';
import { type PumpOptions, pump } from '../io/pump.js';
import type { Source } from '../io/source.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { InputReport, ReportBitmap } from '../report/input-report.js';
import { type BitmapSet, knownEnd, type SetBitmap } from '../set/bitmap-set.js';
import { checkLength } from '../set/document-bytes.js';
import { parseNbdinfo } from '../set/nbdinfo.js';
import { parseSetJson } from '../set/set-json.js';

/** How a document is read: from where, and with which limits. */
export interface DocumentReading extends PumpOptions {
  readonly limits?: Partial<Limits>;
}

/** Bytes to begin with where the length is not known. */
const FIRST = 64 * 1024;

/**
 * Reads a bitmap set (JSON or MessagePack) or a map of nbdinfo as a whole.
 * @throws DirtyBitmapError `set-invalid`; `limit` for a document over `maxDocumentBytes`, before it is read where its
 * size is known; `file-access`.
 */
export async function loadDocument(
  input: string,
  source: Source,
  format: 'set' | 'nbdinfo',
  reading: DocumentReading,
): Promise<InputReport> {
  const limits = resolveLimits(reading.limits);
  const document = await readDocument(source, reading, limits);
  const bitmaps =
    format === 'nbdinfo'
      ? [reportBitmap(undefined, parseNbdinfo(document, { limits }))]
      : setBitmaps(await parseSet(document, limits));
  const bytes = (reading.offset ?? 0) + document.length;
  return { input, format, bytes, bitmaps, findings: new Findings(limits.maxFindings) };
}

/**
 * All bytes of a document.
 * @throws DirtyBitmapError `limit` over `maxDocumentBytes`; `file-access`.
 */
export async function readDocument(source: Source, reading: DocumentReading, limits: Limits): Promise<Uint8Array> {
  const known = source.size === undefined ? undefined : source.size - (reading.offset ?? 0);
  if (known !== undefined) checkLength(known, limits);
  // A file may grow while it is read, and some (in /proc) say 0: its size is only where to begin.
  let document = new Uint8Array(known || FIRST);
  let length = 0;
  const push = (piece: Uint8Array): void => {
    const needed = length + piece.length;
    checkLength(needed, limits);
    if (needed > document.length) {
      const longer = new Uint8Array(Math.min(limits.maxDocumentBytes, Math.max(needed, document.length * 2)));
      longer.set(document.subarray(0, length));
      document = longer;
    }
    document.set(piece, length);
    length = needed;
  };
  await pump(source, { push }, reading);
  return document.subarray(0, length);
}

/**
 * A bitmap set, JSON or MessagePack.
 * @throws DirtyBitmapError `set-invalid`, `limit`.
 */
export async function parseSet(document: Uint8Array, limits: Limits): Promise<BitmapSet> {
  // No JSON begins with a byte above ASCII, and no MessagePack map with one below.
  if ((document[0] ?? 0) < 0x80) return parseSetJson(document, limits);
  const { decodeSetMsgpack } = await import('../msgpack/set.js');
  return decodeSetMsgpack(document, limits);
}

function setBitmaps(set: BitmapSet): readonly ReportBitmap[] {
  return set.nodes.flatMap((node) => node.bitmaps.map((bitmap) => reportBitmap(node, bitmap)));
}

function reportBitmap(node: BitmapSet['nodes'][number] | undefined, bitmap: SetBitmap): ReportBitmap {
  const { name, recording, persistent, bits } = bitmap;
  return {
    node: node?.node,
    name,
    granularity: bits.granularity,
    recording,
    persistent,
    complete: true,
    coveredBytes: knownEnd(node ?? { size: bits.size }, bitmap) ?? dirtyEnd(bitmap),
    diskEnd: bitmap.diskEnd === true || (node === undefined ? bits.size : node.size) !== undefined,
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
