import type { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { Qcow2Bitmap } from '../qcow2/image.js';
import type { BackingLocation } from './location.js';

/**
 * Who says what format a layer is of: the caller (`declared`), the overlay (`recorded`), or nobody (`assumed`: raw for the
 * top, and what a backing file looks like where that refers to no other file).
 */
export type FormatSource = 'declared' | 'recorded' | 'assumed';

/** The file with the guest's data of an image that keeps them elsewhere. Its content is not read. */
export interface LayerDataFile {
  /** As the image records it; undefined where it does not, and whoever opens the image has to name it. */
  readonly raw: string | undefined;
  /** Where it was looked for; undefined where it was not, as it is not on this host. */
  readonly path: string | undefined;
  /** Whether it is there; undefined where it was not looked for. */
  readonly exists: boolean | undefined;
}

/** A layer of a chain. Sizes are in bytes. */
export interface Layer {
  /** The path that was opened: joined to the directory of the overlay. Of a layer elsewhere, the path it has there. */
  readonly path: string;
  /** Where a layer is that was not opened; undefined for those that were. */
  readonly location: BackingLocation | undefined;
  /** `qcow2`, `raw`, ...; undefined for a layer that was not opened and whose format is not recorded. */
  readonly format: string | undefined;
  readonly formatSource: FormatSource | undefined;
  /** How this layer names its backing file; undefined where it has none, or was not read. */
  readonly backingRaw: string | undefined;
  /** How the overlay names this layer, where that is a relative name. */
  readonly relPath: string | undefined;
  /** Bytes of the disk, as the image says; a raw one does not: its disk is the file. */
  readonly virtualSize: number | undefined;
  /** Bytes of the file, or of the slice of it; undefined where it was not opened. */
  readonly fileSize: number | undefined;
  readonly dataFile: LayerDataFile | undefined;
  /** Whether a program has it open for writing; undefined where nobody knows. */
  readonly writerPresent: boolean | undefined;
  /** With their trust; none where the format has none or is not read. */
  readonly bitmaps: readonly Qcow2Bitmap[];
  /** What is wrong with the image. */
  readonly findings: Findings;
}

/** The link at which reading a chain ended with an error. */
export interface BrokenLink {
  /** The overlay that names the layer; undefined for the top. */
  readonly overlay: string | undefined;
  /** How it names it. */
  readonly backingRaw: string | undefined;
  /** The path that this means; undefined where it means none. */
  readonly path: string | undefined;
  /** Of a loop: the paths along it, the first one again at the end. */
  readonly cycle: readonly string[] | undefined;
}

/** A backing chain. */
export interface Chain {
  /** The active layer first: all that could be read. */
  readonly layers: readonly Layer[];
  /** `terminated`: the last layer has no backing file. `unknown`: it was not read. `error`: see there. */
  readonly end: 'terminated' | 'unknown' | 'error';
  /** Why there is no further layer, for a person. */
  readonly endReason: string;
  /** What ended the reading before the end of the chain. */
  readonly error: DirtyBitmapError | undefined;
  /** Where that was. */
  readonly brokenAt: BrokenLink | undefined;
  /** What is wrong with the chain as a whole. */
  readonly findings: Findings;
}

/** Bytes of a layer's disk: of a raw one, those of the file. Undefined where nobody knows. */
export function diskSize({ virtualSize, format, fileSize }: Layer): number | undefined {
  return format === 'raw' ? fileSize : virtualSize;
}
