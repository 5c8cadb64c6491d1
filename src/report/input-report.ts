import type { Bitmap } from '../bitmap/bitmap.js';
import { hashWords } from '../bitmap/sha256.js';
import { type Name, toHex } from '../bytes/text.js';
import type { CaptureSummary } from '../capture/capture-reader.js';
import type { Finding, Findings } from '../findings.js';
import type { Trust } from '../qcow2/trust.js';

/** What kind of input it is. */
export type Format = 'capture' | 'section' | 'set' | 'nbdinfo' | 'qcow2';

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
  /** Whether the disk ends there, as far as the input tells. */
  readonly diskEnd?: boolean | undefined;
  /** Bytes of its chunks on the wire. */
  readonly wireBytes?: number;
  readonly chunks?: { readonly data: number; readonly zeroes: number };
  /** Of a bitmap in an image: whether its bits can be believed, and its flags as `qemu-img info` calls them. */
  readonly trust?: Trust;
  readonly flags?: readonly string[];
  /** Undefined where the input has none that can be believed. */
  readonly bits: Bitmap | undefined;
}

/** What `info` says of an image, beside its bitmaps. Sizes in bytes. */
export interface Qcow2Summary {
  readonly version: number;
  readonly virtualSize: number;
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly encryption: string;
  readonly extendedL2: boolean;
  /** As the image records it; nobody looks whether it is there. */
  readonly backing: { readonly name: string; readonly format: string | null } | null;
  readonly dataFile: { readonly name: string | null; readonly raw: boolean } | null;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  /** Whether the bitmaps are to be believed (autoclear bit 0). */
  readonly bitmapsValid: boolean;
}

/** An input as it was read. */
export interface InputReport {
  /** Its name as it was given. */
  readonly input: string;
  readonly format: Format;
  /** Bytes of it. */
  readonly bytes: number;
  readonly capture?: CaptureSummary;
  readonly qcow2?: Qcow2Summary;
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
  /** Null where the bits are not there. */
  readonly count: number | null;
  readonly coveredBytes: number;
  readonly wireBytes?: number;
  readonly chunks?: { readonly data: number; readonly zeroes: number };
  readonly trust?: Trust;
  readonly flags?: readonly string[];
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
  readonly qcow2?: Qcow2Summary;
  readonly bitmaps: readonly BitmapDocument[];
  readonly findings: readonly Finding[];
}

/** A hash that takes bytes and gives hexadecimal: `@noble/hashes` in a browser, `node:crypto` on a command line. */
export interface Sha256 {
  /** Takes bytes; called again for those that follow. */
  update(bytes: Uint8Array): unknown;
  /** The hash of all of them, 64 digits. */
  hex(): string;
}

/**
 * The document of `info`.
 * @param sha256 makes a new hash.
 * @param maxHashBytes bytes of words that are hashed in all; what does not fit has no hash (null), and a finding says so.
 */
export function infoDocument(report: InputReport, sha256: () => Sha256, maxHashBytes: number): InfoDocument {
  const { input, format, bytes, capture, qcow2, findings } = report;
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
    ...(qcow2 && { qcow2 }),
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
  const { node, name, granularity, recording, persistent, complete, coveredBytes, wireBytes, chunks } = bitmap;
  const { trust, flags, bits } = bitmap;
  return {
    node: node?.text ?? null,
    ...(node && !node.clean && { nodeHex: toHex(node.bytes) }),
    name: name.text,
    ...(!name.clean && { nameHex: toHex(name.bytes) }),
    granularity,
    recording,
    persistent,
    complete,
    count: bits?.count() ?? null,
    coveredBytes,
    ...(wireBytes !== undefined && { wireBytes }),
    ...(chunks && { chunks: { data: chunks.data, zeroes: chunks.zeroes } }),
    ...(trust && { trust }),
    ...(flags && { flags }),
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
  const { bits } = bitmap;
  if (bits === undefined) return null;
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
  hashWords(bits, granules, hash);
  return hash.hex();
}
