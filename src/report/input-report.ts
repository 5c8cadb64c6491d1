import type { Bitmap } from '../bitmap/bitmap.js';
import { hashWords } from '../bitmap/sha256.js';
import { type Name, toHex } from '../bytes/text.js';
import type { CaptureSummary } from '../capture/capture-reader.js';
import type { Finding, Findings } from '../findings.js';

/** What kind of input it is. */
export type Format = 'capture' | 'section' | 'set' | 'nbdinfo';

/** A bitmap of an input, whatever the input's kind. What a kind does not know is undefined. */
export interface ReportBitmap {
  /** Node name, device name or alias; undefined where the input has no nodes. */
  readonly node: Name | undefined;
  readonly name: Name;
  /** Bytes. */
  readonly granularity: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  readonly complete: boolean;
  /** End of what is known, in bytes of the disk. */
  readonly coveredBytes: number;
  /** Bytes of its chunks on the wire. */
  readonly wireBytes?: number;
  readonly chunks?: { readonly data: number; readonly zeroes: number };
  readonly bits: Bitmap;
}

/** An input as it was read. */
export interface InputReport {
  /** Its name as it was given. */
  readonly input: string;
  readonly format: Format;
  /** Bytes of it. */
  readonly bytes: number;
  readonly capture?: CaptureSummary;
  readonly bitmaps: readonly ReportBitmap[];
  readonly findings: Findings;
}

/** One entry of `bitmaps` in the JSON of `info`. */
export interface BitmapDocument {
  readonly node: string | null;
  readonly nodeHex?: string;
  readonly name: string;
  readonly nameHex?: string;
  readonly granularity: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  readonly complete: boolean;
  readonly count: number;
  readonly coveredBytes: number;
  readonly wireBytes?: number;
  readonly chunks?: { readonly data: number; readonly zeroes: number };
  readonly sha256: string | null;
}

/** The JSON document of `info --json`. Source: design.md, the contract. */
export interface InfoDocument {
  readonly input: string;
  readonly format: Format;
  readonly bytes: number;
  readonly capture?: {
    readonly version: number | null;
    readonly machine: string | null;
    readonly capabilities: readonly string[];
    readonly postcopy: boolean;
    readonly complete: boolean;
    readonly footers: boolean | null;
    readonly sections: CaptureSummary['sections'];
    readonly commands: readonly string[];
  };
  readonly bitmaps: readonly BitmapDocument[];
  readonly findings: readonly Finding[];
}

/** A hash that takes bytes and gives hexadecimal: `@noble/hashes` in a browser, `node:crypto` on a command line. */
export interface Sha256 {
  update(bytes: Uint8Array): unknown;
  hex(): string;
}

/**
 * The document of `info`.
 * @param sha256 makes a new hash.
 * @param maxHashBytes bytes of words that are hashed in all; what does not fit has no hash (null), and a finding says so.
 */
export function infoDocument(report: InputReport, sha256: () => Sha256, maxHashBytes: number): InfoDocument {
  const { input, format, bytes, capture, findings } = report;
  const budget = { left: maxHashBytes };
  const bitmaps = report.bitmaps.map((bitmap) => bitmapDocument(bitmap, sha256, budget, findings));
  return {
    input,
    format,
    bytes,
    ...(capture && {
      capture: {
        version: capture.version ?? null,
        machine: capture.machine ?? null,
        capabilities: capture.capabilities,
        postcopy: capture.postcopy,
        complete: capture.complete,
        footers: capture.footers ?? null,
        sections: capture.sections,
        commands: capture.commands,
      },
    }),
    bitmaps,
    findings: findings.list,
  };
}

function bitmapDocument(
  bitmap: ReportBitmap,
  sha256: () => Sha256,
  budget: { left: number },
  findings: Findings,
): BitmapDocument {
  const { node, name, granularity, recording, persistent, complete, coveredBytes, wireBytes, chunks, bits } = bitmap;
  return {
    node: node?.text ?? null,
    ...(node && !node.clean && { nodeHex: toHex(node.bytes) }),
    name: name.text,
    ...(!name.clean && { nameHex: toHex(name.bytes) }),
    granularity,
    recording,
    persistent,
    complete,
    count: bits.count(),
    coveredBytes,
    ...(wireBytes !== undefined && { wireBytes }),
    ...(chunks && { chunks: { data: chunks.data, zeroes: chunks.zeroes } }),
    sha256: hashOf(bitmap, sha256, budget, findings),
  };
}

/** SHA-256 of the words that cover the bitmap, as QEMU's `x-debug-block-dirty-bitmap-sha256`. */
function hashOf(
  bitmap: ReportBitmap,
  sha256: () => Sha256,
  budget: { left: number },
  findings: Findings,
): string | null {
  // QEMU has one word even for a disk of no bytes.
  const granules = Math.max(1, Math.ceil(bitmap.coveredBytes / bitmap.granularity));
  const bytes = Math.ceil(granules / 64) * 8;
  if (bytes > budget.left) {
    const label = `${bitmap.node?.text ?? ''}/${bitmap.name.text}`;
    const message = `bitmap ${JSON.stringify(label)} has ${bytes} bytes of words, more than is left of maxHashBytes (${budget.left})`;
    findings.add('sha256-skipped', message);
    return null;
  }
  budget.left -= bytes;
  const hash = sha256();
  hashWords(bitmap.bits, granules, hash);
  return hash.hex();
}
