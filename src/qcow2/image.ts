import type { Bitmap } from '../bitmap/bitmap.js';
import type { Name } from '../bytes/text.js';
import type { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { BitmapsExtension } from './bitmaps-extension.js';
import type { DirectoryEntry } from './directory.js';
import type { ExtensionArea } from './extensions.js';
import type { Qcow2Header } from './header.js';
import type { BitmapTable } from './table.js';
import type { Trust } from './trust.js';

/** The backing file as the image records it; nobody looks whether it is there. */
export interface BackingFile {
  readonly name: Name;
  /** `qcow2`, `raw`, ...; undefined where it is not recorded. */
  readonly format: Name | undefined;
}

/** The file that holds the guest's data, where it is not the image itself. Bitmaps are in the image all the same. */
export interface DataFile {
  /** Undefined where it is not recorded, and whoever opens the image has to name it. */
  readonly name: Name | undefined;
  /** Whether the file can be read as a raw image. */
  readonly raw: boolean;
}

/** A bitmap in an image. */
export interface Qcow2Bitmap {
  readonly name: Name;
  /** In bytes. */
  readonly granularity: number;
  /** Whether its bits can be believed; see {@link Trust}. */
  readonly trust: Trust;
  /** Whether QEMU records the guest's writes in it (flag AUTO). */
  readonly auto: boolean;
  /** Whether a writer had it open, and has not written it back (flag IN_USE). */
  readonly inUse: boolean;
  /** What the directory says of it. */
  readonly entry: DirectoryEntry;
  /** Its table; undefined where that is broken, or void. */
  readonly table: BitmapTable | undefined;
  /** Why its bits are refused; undefined where nothing is wrong with it. Also one of the findings. */
  readonly fault: DirtyBitmapError | undefined;
  /** The bits: only where {@link trust} is `enabled` or `disabled`. */
  readonly bits: Bitmap | undefined;
}

/** An image, as far as its bitmaps are concerned. */
export interface Qcow2Image {
  /** Bytes of the file. */
  readonly fileSize: number;
  readonly header: Qcow2Header;
  readonly extensions: ExtensionArea;
  readonly backing: BackingFile | undefined;
  readonly dataFile: DataFile | undefined;
  /** Undefined where there is none, or where it is stale and makes no sense. */
  readonly bitmapsExtension: BitmapsExtension | undefined;
  /** In the order of the directory. */
  readonly bitmaps: readonly Qcow2Bitmap[];
  /** What an operator should know. Where there are errors, bits were refused. */
  readonly findings: Findings;
}
