import type { SectionType } from './items.js';

/**
 * Where in a migration something comes: `setup` (START sections), `iteration` (the first PART), `completion` (the first END
 * or FULL), `postcopy` (the destination runs), `trailer` (after the EOF marker).
 */
export type Phase = 'setup' | 'iteration' | 'completion' | 'postcopy' | 'trailer';

/** The phases in the order in which a stream can have them. */
export const PHASES: readonly Phase[] = ['setup', 'iteration', 'completion', 'postcopy', 'trailer'];

/** What a byte of a capture is for. */
export type WireUse = 'ram' | 'bits' | 'chunk-headers' | 'bitmap-sections' | 'devices' | 'package' | 'other';

/** The uses, in the order in which they are shown. */
export const WIRE_USES: readonly WireUse[] = [
  'bits',
  'chunk-headers',
  'bitmap-sections',
  'ram',
  'devices',
  'package',
  'other',
];

/** Items of one kind that follow each other. Plain data; offsets and lengths in bytes of the input. */
export interface TimelineRun {
  readonly kind: 'header' | 'configuration' | 'section' | 'command' | 'end' | 'vmdesc';
  /** Of a section or a command; empty for the others. */
  readonly name: string;
  readonly instance: number;
  readonly sectionType: SectionType | null;
  readonly phase: Phase;
  readonly offset: number;
  readonly bytes: number;
  /** How many items. */
  readonly count: number;
}

/** What one bitmap takes of the stream. Plain data; sizes in bytes. */
export interface BitmapTraffic {
  readonly node: string;
  readonly name: string;
  /** Flags, names, numbers: all of its chunks but their data. */
  readonly headerBytes: number;
  readonly dataBytes: number;
  readonly dataChunks: number;
  readonly zeroChunks: number;
  /** Bytes of bits that did not travel, as they are all zero. */
  readonly elidedBytes: number;
  /** Chunks in each phase. */
  readonly phases: Readonly<Record<Phase, number>>;
}

/** Where a chunk lies in the input. */
export interface ChunkPlace {
  readonly offset: number;
  readonly length: number;
}

/** A capture from its first byte to its last, in short. Plain data. */
export interface Timeline {
  /** Bytes from the first one that was read to the last. */
  readonly bytes: number;
  /** The first runs and, after what was left out, the last ones. */
  readonly runs: readonly TimelineRun[];
  /** What was left out in the middle; undefined where nothing was. */
  readonly leftOut: {
    readonly after: number;
    readonly runs: number;
    readonly items: number;
    readonly bytes: number;
  } | null;
  readonly phases: readonly { readonly phase: Phase; readonly items: number; readonly bytes: number }[];
  readonly uses: Readonly<Record<WireUse, number>>;
  /** In the order in which they come; the first ones of many. */
  readonly bitmaps: readonly BitmapTraffic[];
  /** How many more bitmaps there are. */
  readonly moreBitmaps: number;
  /** The first chunks that say something, and the first of each kind. */
  readonly firstChunks: readonly ChunkPlace[];
}
