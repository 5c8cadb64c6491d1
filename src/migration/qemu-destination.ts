import type { Bitmap } from '../bitmap/bitmap.js';
import type { QemuVersion } from './qemu-version.js';

/** The QEMU that is given a stream, as far as it matters. What is left out is assumed, and the prediction says how. */
export interface QemuDestination {
  readonly version: QemuVersion;
  /** Machine type. By default the stream's. */
  readonly machine?: string | undefined;
  /** Whether it wants a footer after every section (`migration.send-section-footer`). Default true. */
  readonly footers?: boolean | undefined;
  /** Whether it wants a configuration section (`migration.send-configuration`). Default true. */
  readonly configuration?: boolean | undefined;
  /** Whether the channel can carry answers: not one from a file or a pipe. By default it can, once the stream asks. */
  readonly returnPath?: boolean | undefined;
  /** Its block nodes. By default it has every node that the stream names, large enough and without bitmaps. */
  readonly nodes?: readonly QemuNode[] | undefined;
  /** Its migration parameter block-bitmap-mapping. */
  readonly mapping?: readonly QemuNodeMapping[] | undefined;
}

/** A block node of the destination. */
export interface QemuNode {
  /** Its node-name. */
  readonly node: string;
  /** Name of the drive or block backend on top of it. */
  readonly device?: string | undefined;
  /** Bytes of the disk. */
  readonly size: number;
  readonly readOnly?: boolean | undefined;
  /** Whether the image can store bitmaps (qcow2). By default nothing is said about it. */
  readonly canStore?: boolean | undefined;
  /** Bitmaps that the node has before the migration. */
  readonly bitmaps?: readonly QemuOldBitmap[] | undefined;
  /** Bitmaps stored in the image: QEMU loads them when the guest starts. */
  readonly stored?: readonly QemuOldBitmap[] | undefined;
}

/** A bitmap that the destination has before the migration. */
export interface QemuOldBitmap {
  readonly name: string;
  /** Bytes. */
  readonly granularity: number;
  /** Default true. */
  readonly recording?: boolean | undefined;
  /** Default false; a stored one is always persistent. */
  readonly persistent?: boolean | undefined;
  /** Its bits; by default it is clean. Not changed. */
  readonly bits?: Bitmap | undefined;
}

/** An element of block-bitmap-mapping, as QMP has it. */
export interface QemuNodeMapping {
  readonly 'node-name': string;
  readonly alias: string;
  readonly bitmaps: readonly QemuBitmapMapping[];
}

/** A bitmap in block-bitmap-mapping, as QMP has it. */
export interface QemuBitmapMapping {
  readonly name: string;
  readonly alias: string;
  readonly transform?: { readonly persistent?: boolean | undefined } | undefined;
}
