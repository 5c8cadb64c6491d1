import type { Bitmap } from '../bitmap/bitmap.js';
import type { HostBitmap } from './qemu-host.js';
import type { QemuReason } from './qemu-reasons.js';
import type { QemuVersion } from './qemu-version.js';

/**
 * What becomes of a migration. `cancel`: it completes, and bitmaps are lost without anybody being told but on stderr.
 * `abort`: the destination's process dies. `setup-refused`: it cannot be set up as described.
 */
export type QemuVerdict = 'load' | 'cancel' | 'fail' | 'abort' | 'setup-refused';

/** A bitmap of the destination afterwards, as QMP shows it. */
export interface QemuBitmap {
  readonly node: string;
  readonly name: string;
  /** Bytes. */
  readonly granularity: number;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  /** In bytes; 0 while it is not complete, and not brought up to date by bits that come after that. */
  readonly count: number;
  /** Whether it came with this migration. */
  readonly arrived: boolean;
  /** The bits, those after the last granule included, which QEMU keeps. Not for changing. */
  readonly bits: Bitmap;
  /** Bits in its words: what `x-debug-block-dirty-bitmap-sha256` hashes. A multiple of 64. */
  readonly wordBits: number;
}

/** What a QEMU would make of a stream. */
export interface QemuPrediction {
  readonly version: QemuVersion;
  readonly verdict: QemuVerdict;
  /** Why, in the order of the stream. Empty where all goes well. */
  readonly reasons: readonly QemuReason[];
  /** The bitmaps of the destination afterwards. Empty where its process is gone. */
  readonly bitmaps: readonly QemuBitmap[];
  /** Offset, in bytes, from which the input could not be followed here: the verdict holds only if QEMU loads the rest. */
  readonly unreadFrom: number | undefined;
  /** What the verdict rests on and neither the stream nor the description of the destination says, a sentence each. */
  readonly assumptions: readonly string[];
}

/** A bitmap as QMP shows it. */
export function describeBitmap(bitmap: HostBitmap, started: boolean, busyWhileDisabled: boolean): QemuBitmap {
  const { node, name, granularity, persistent, count, arrived, bits, recordingWanted, finished, late } = bitmap;
  return {
    node: node.name.text,
    name: name.text,
    granularity,
    recording: recordingWanted && (!arrived || (started && !late)),
    busy: !finished && (recordingWanted || busyWhileDisabled),
    persistent,
    count,
    arrived,
    bits,
    wordBits: Math.ceil(bitmap.granules / 64) * 64,
  };
}
