/**
 * Dirty bitmaps in qcow2 images: `import { decodeQcow2 } from 'dirtybitmap/qcow2'`. Pure: images are reached through a
 * random-access interface, and writes are planned, not done; `dirtybitmap/node` does both with files.
 * @module
 */
export type { BitmapsExtension } from './bitmaps-extension.js';
export type { BitsToStore } from './commit/layout-bits.js';
export type { CommitPlan, Phase, PlannedBitmap, PlannedSync, PlannedWrite, PlanStep } from './commit/plan.js';
export { type CommitOptions, commitSteps } from './commit/plan-commit.js';
export { disableBitmaps } from './commit/switch-header.js';
export { assertCommitted } from './commit/verify.js';
export type { KeptBitmap, NewBitmap, WantedBitmap } from './commit/wanted.js';
export { BITMAP_FLAG, type DirectoryEntry } from './directory.js';
export type { Extension, ExtensionArea } from './extensions.js';
export type { Qcow2Header } from './header.js';
export type { BackingFile, DataFile, Qcow2Bitmap, Qcow2Image } from './image.js';
export { type Loaded, type LoadOptions, type LoadPolicy, loadBitmaps, storeBitmaps } from './load.js';
export {
  addBitmaps,
  bitmapNamed,
  bitsOf,
  keepBitmaps,
  mergeIntoBitmap,
  putBitmaps,
  removeBitmap,
  renameBitmap,
  resetBitmap,
  setRecording,
} from './operations.js';
export { type ByteRange, type RandomAccess, runSteps, runStepsOnBytes, type Steps } from './random-access.js';
export { decodeQcow2, type Qcow2Options, readQcow2 } from './read-qcow2.js';
export { ALL_ONES, ALL_ZEROES, type BitmapTable } from './table.js';
export type { Trust } from './trust.js';
