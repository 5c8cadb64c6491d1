import type { Bitmap } from '../bitmap/bitmap.js';
import type { Name } from '../bytes/text.js';

/** A named bitmap of a node. */
export interface SetBitmap {
  /** Empty where the source does not tell (nbdinfo). */
  readonly name: Name;
  /** Whether QEMU records writes in it (QMP `recording`). */
  readonly recording: boolean;
  /** Whether it is kept in the image (QMP `persistent`). */
  readonly persistent: boolean;
  /**
   * Up to where its state is known, in bytes of the disk, where that is not the node's size: a stream does not tell the
   * size, only how far its ranges reach. Nothing is dirty behind the granule that holds this end.
   */
  readonly coveredBytes?: number | undefined;
  /** Whether the disk ends there, as far as a stream can tell: see `SentEnd`. */
  readonly diskEnd?: boolean | undefined;
  /** The bits, and the granularity in bytes. */
  readonly bits: Bitmap;
}

/** A node and its bitmaps. */
export interface SetNode {
  /** Node name, device name or alias. */
  readonly node: Name;
  /** Bytes of the disk; undefined where the source does not tell (a migration stream does not). */
  readonly size: number | undefined;
  readonly bitmaps: readonly SetBitmap[];
}

/** The document in the middle: what every codec and adapter reads into and writes from. */
export interface BitmapSet {
  readonly nodes: readonly SetNode[];
}

/**
 * Up to where the state of a bitmap is known, in bytes of the disk: what was covered, at most the node's size (a stream
 * covers whole sectors, so it may reach a little further). Undefined where neither is told.
 */
export function knownEnd(node: Pick<SetNode, 'size'>, bitmap: Pick<SetBitmap, 'coveredBytes'>): number | undefined {
  if (node.size === undefined) return bitmap.coveredBytes;
  return Math.min(node.size, bitmap.coveredBytes ?? node.size);
}
