import { DirtyBitmapError } from './errors.js';

/** Caps on untrusted input, checked before anything is allocated or waited for. */
export interface Limits {
  /** Bytes of one BITS buffer. QEMU 5.1 and later refuse more than 10240. */
  readonly maxBitsBytes: number;
  /** Bytes that all bitmaps of one input may occupy in memory. */
  readonly maxBitmapMemory: number;
  /** Bitmaps in one input. */
  readonly maxBitmaps: number;
  /** Separate ranges remembered per bitmap to find gaps and overlaps. */
  readonly maxRanges: number;
  /** Different section ids in one stream. */
  readonly maxSections: number;
  /** Bytes of a device section that is searched for its end. */
  readonly maxDeviceBytes: number;
  /** Bytes of the vmdesc JSON. */
  readonly maxVmdescBytes: number;
  /** RAM blocks in the block list. */
  readonly maxRamBlocks: number;
  /** Findings kept; further ones are only counted. */
  readonly maxFindings: number;
  /** Bytes of words that are hashed for one input. */
  readonly maxHashBytes: number;
  /** Extents listed for one bitmap. */
  readonly maxExtents: number;
  /** Bytes of a bitmap set document. */
  readonly maxDocumentBytes: number;
  // QMP
  /** Bytes of one message of QEMU. */
  readonly maxQmpBytes: number;
  /** Commands that wait for an answer, at once. */
  readonly maxQmpCommands: number;
  // qcow2 images
  /** Bytes of the tables of all bitmaps of an image. */
  readonly maxBitmapTableBytes: number;
  /** Bytes of bits that are stored in an image, zeroes among them. */
  readonly maxStoredBitsBytes: number;
  /** Bytes of L1, L2, refcount and snapshot tables that are read to prove that nothing else uses a bitmap's clusters. */
  readonly maxReferenceBytes: number;
  // Backing chains
  /** Layers of a chain. */
  readonly maxChainDepth: number;
}

const MiB = 1024 * 1024;

/** The defaults: generous for real input, safe for hostile input. */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  maxBitsBytes: 10_240,
  maxBitmapMemory: 1024 * MiB,
  maxBitmaps: 65_536,
  maxRanges: 16_384,
  maxSections: 65_536,
  maxDeviceBytes: 64 * MiB,
  maxVmdescBytes: 256 * MiB,
  maxRamBlocks: 65_536,
  maxFindings: 1_000,
  maxHashBytes: 1024 * MiB,
  maxExtents: 16 * MiB,
  maxDocumentBytes: 512 * MiB,
  maxQmpBytes: 64 * MiB,
  maxQmpCommands: 1024,
  maxBitmapTableBytes: 32 * MiB,
  maxStoredBitsBytes: 4096 * MiB,
  maxReferenceBytes: 4096 * MiB,
  maxChainDepth: 200,
});

/**
 * The defaults with the caller's changes.
 * @throws DirtyBitmapError `argument` when a limit is not a whole number of at least 0 and at most 2^53-1.
 */
export function resolveLimits(changes: Partial<Limits> = {}): Limits {
  const limits = { ...DEFAULT_LIMITS, ...changes };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new DirtyBitmapError('argument', `limit ${name}: expected a whole number from 0 to 2^53-1, found ${value}`);
    }
  }
  return limits;
}
