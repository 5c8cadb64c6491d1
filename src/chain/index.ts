/**
 * Backing chains, and the plans that merge bitmaps along them: `import { planMerge } from 'dirtybitmap/chain'`. Pure: a
 * chain is opened through an interface, and plans are data; `dirtybitmap/node` opens files.
 * @module
 */
export type { Action, BitmapPlan, BitmapSource, PlanProblem, Skipped } from './actions.js';
export { parseBackingString } from './backing-string.js';
export { type ChainBitmap, chainBitmap } from './chain-bitmap.js';
export { type CacheEvent, type CacheNote, ChainCache } from './chain-cache.js';
export type { BrokenLink, Chain, FormatSource, Layer, LayerDataFile } from './layer.js';
export type { AbsentLayer, LayerOpener, OpenedLayer } from './layer-opener.js';
export { type LiveChain, type LiveLayer, liveChain } from './live-chain.js';
export {
  type LinkSource,
  type LiveAnswers,
  type LiveBitmap,
  type LiveNode,
  type LiveState,
  type NodeLink,
  parseLiveState,
} from './live-nodes.js';
export type { BackingLocation, HostLocation, NetworkLocation, Slice } from './location.js';
export type { NodeBitmap, NodeFacts, Nodes } from './node-bitmaps.js';
export { type OpenChainOptions, openChain } from './open-chain.js';
export { operationChain } from './operation-chain.js';
export { type ParsedNodes, parseNodes } from './parse-nodes.js';
export { planDelete } from './plan-delete.js';
export { type MergeArguments, planMerge, WRITE_BITMAP } from './plan-merge.js';
export { mergeArguments, type Operation, type OperationPlan, planBefore, planOperation } from './plan-operation.js';
export { planSnapshot } from './plan-snapshot.js';
export { commitBackingName, type NamedLayer } from './relative-name.js';
export { type Invalid, type Invalidity, invalidity } from './validity.js';
