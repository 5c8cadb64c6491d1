/**
 * QMP without sockets: `import { applyPlan } from 'dirtybitmap/qmp'`. Commands and their types, a session over bytes, and
 * plans that are applied through whatever does commands; `dirtybitmap/node` has a client that does.
 * @module
 */
export { type Applied, type ApplyOptions, type ApplyResult, applyPlan } from './apply-plan.js';
export type { BitmapOutlook, BitmapVerdict } from './bitmap-outlook.js';
export { coarserCommands, type Replacement } from './coarser-bitmap.js';
export {
  type BitmapAdd,
  type BitmapRef,
  type BlockdevOptions,
  type MigrationCapability,
  type MigrationSettings,
  type MigrationStatus,
  type QmpCommand,
  type QmpCommands,
  type QmpExecutor,
  qmpCommand,
  runCommand,
} from './commands.js';
export { type AskedAgain, type MigrationEvent, MigrationObserver } from './migration-observer.js';
export { type MigrationOutlook, migrationOutlook } from './migration-outlook.js';
export { type MigrationAnswers, type MigrationSide, parseMigrationSide } from './migration-side.js';
export type { MigrationParameters, MigrationProgress, QemuRelease, RamProgress } from './migration-state.js';
export { queryMigrationBits, queryMigrationSide } from './query-migration-side.js';
export { queryState } from './query-state.js';
export { reopenOptions } from './reopen-options.js';
export {
  type QmpEvent,
  type QmpGreeting,
  type QmpOutput,
  type QmpReply,
  QmpSession,
  type QmpState,
} from './session.js';
export type { StallOutlook, StallVerdict } from './stall.js';
export type { Cure } from './stall-cures.js';
export type { StoredBitmap } from './stored-bitmaps.js';
export type { VerifiedBitmap } from './verified-bitmap.js';
export { type MigrationVerification, verifyMigration } from './verify-migration.js';
export { type Shown, type Verification, verifyPlan } from './verify-plan.js';
