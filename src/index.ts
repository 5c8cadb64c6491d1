/**
 * The core: captures of migration streams, chunks of the dirty-bitmap section, bitmaps. No dependencies, no Node: it
 * runs in a browser.
 * @module
 */
export { Bitmap, type BitmapOptions, type PageRun } from './bitmap/bitmap.js';
export type { Extent, ExtentOptions } from './bitmap/extents.js';
export { isGranularity, MAX_GRANULARITY, MIN_GRANULARITY } from './bitmap/granularity.js';
export type { MemoryBudget } from './bitmap/memory.js';
export { bitmapSha256 } from './bitmap/sha256.js';
export type { Name } from './bytes/text.js';
export { BitmapsOnly } from './capture/bitmaps-only.js';
export { CaptureDecoder, type CaptureEvent, type Place } from './capture/capture-decoder.js';
export {
  CaptureEncoder,
  type CaptureEncoderOptions,
  type EncodeCaptureOptions,
  encodeCapture,
  encodeSection,
} from './capture/capture-encoder.js';
export { type CaptureHandler, type CaptureOptions, CaptureParser } from './capture/capture-parser.js';
export {
  CaptureReader,
  type CaptureReaderOptions,
  type CaptureSummary,
  type SectionSummary,
} from './capture/capture-reader.js';
export type { ChannelKind } from './capture/channel-kind.js';
export type { SpliceChanges, SpliceDone } from './capture/chunk-edits.js';
export { IncomingMigration, type MigrationPhase } from './capture/incoming-migration.js';
export type { Command, Configuration, Section, SectionType } from './capture/items.js';
export type { PassingMigration } from './capture/passing-migration.js';
export { QemuLoader } from './capture/qemu-loader.js';
export { type Reply, ReplyReader } from './capture/return-path.js';
export {
  type SpliceOptions,
  type SplicePlan,
  SplicePlanner,
  spliceCapture,
} from './capture/splice.js';
export type { Insert, SpliceEdit } from './capture/splice-edits.js';
export type { StreamChange, StreamChanges } from './capture/stream-editor.js';
export { CaptureDecoderStream, decodeCapture } from './capture/streams.js';
export { encodeTraceItem, type TraceChunk, type TraceItem, type TraceOptions, Tracer } from './capture/trace.js';
export { parseTraceLine, traceLine } from './capture/trace-json.js';
export { transcriptLine } from './capture/transcript.js';
export { type DeviceSize, locateVmdesc, parseVmdesc, type Vmdesc, type VmdescPlace } from './capture/vmdesc.js';
export type { BareChunk, BitsChunk, Chunk, ChunkBase, CompleteChunk, StartChunk, ZeroesChunk } from './chunk/chunk.js';
export type { BadChunkEvent, ChunkEvent } from './chunk/chunk-collector.js';
export { ChunkCursor, type ChunkKind } from './chunk/chunk-cursor.js';
export type { ChunkHandler, ChunkParser, ChunkParserState } from './chunk/chunk-parser.js';
export { type DecodeChunkOptions, decodeChunk } from './chunk/decode-chunk.js';
export { DEVIATIONS, type Deviation, type Refusal } from './chunk/deviation.js';
export { type ChunkInput, encodeChunk } from './chunk/encode-chunk.js';
export { decodeFlags, FLAG, type Flags, type FlagsWidth } from './chunk/flags.js';
export type { NameMemory, NameMemoryState, Target } from './chunk/name-memory.js';
export { SectionDecoder, type SectionOptions, SectionParser } from './chunk/section-decoder.js';
export { DirtyBitmapError, type ErrorDetails, isDirtyBitmapError } from './errors.js';
export type { Finding, Findings, FindingsSnapshot } from './findings.js';
export { DEFAULT_LIMITS, type Limits } from './limits.js';
export { BlockBitmapMapping, type MappedBitmap, type MappedNode } from './migration/block-bitmap-mapping.js';
export type { BlockBackend, BlockGraph, BlockNode } from './migration/block-graph.js';
export type { Profile } from './migration/cutter.js';
export {
  Destination,
  type DestinationOptions,
  type DestinationPolicy,
  type DestinationSnapshot,
} from './migration/destination.js';
export { DestinationStream, type StreamSnapshot } from './migration/destination-stream.js';
export {
  type DestinationState,
  FAULT_EFFECTS,
  type FaultEffect,
  type IncomingState,
} from './migration/destination-transitions.js';
export type { Fault } from './migration/faults.js';
export type { GatheredBitmap } from './migration/gatherer.js';
export {
  type BitmapSnapshot,
  type GraphSnapshot,
  type NodeSnapshot,
  restoreGraph,
  snapshotGraph,
} from './migration/graph-snapshot.js';
export type { Incoming } from './migration/incoming-bitmap.js';
export type { DataProgress, EntrySnapshot, IncomingSnapshot } from './migration/incoming-chunks.js';
export { MemoryGraph, MemoryNode, type NodeCreation, type NodeInfo } from './migration/memory-graph.js';
export type {
  QemuBitmapMapping,
  QemuDestination,
  QemuNode,
  QemuNodeMapping,
  QemuOldBitmap,
} from './migration/qemu-destination.js';
export type { QemuBitmap, QemuPrediction, QemuVerdict } from './migration/qemu-prediction.js';
export type { QemuEffect } from './migration/qemu-reason-text.js';
export type { QemuReason } from './migration/qemu-reasons.js';
export { QEMU_VERSIONS, type QemuVersion } from './migration/qemu-version.js';
export { MIN_WINDOW, Source, type SourceOptions, type SourcePending } from './migration/source.js';
export {
  type LeftOut,
  type LeftOutReason,
  type PlannedBitmap,
  type PlanOptions,
  type PlanRefusal,
  planSource,
  type SourcePlan,
} from './migration/source-plan.js';
export type { SourceState } from './migration/source-transitions.js';
export { type BitmapCreation, type BitmapInfo, TrackedBitmap } from './migration/tracked-bitmap.js';
export { type Code, RULES, type Severity } from './rules.js';
export type { BitmapSet, SetBitmap, SetNode } from './set/bitmap-set.js';
export { type MergedBitmap, type MergedSets, mergeSets } from './set/merge-sets.js';
export { type NbdinfoOptions, parseNbdinfo } from './set/nbdinfo.js';
export type { NewNames } from './set/rename-set.js';
export { formatSetJson, parseSetJson } from './set/set-json.js';
