/**
 * Reports: `import { reportHtml, inputModel } from 'dirtybitmap/report'`. A model of what inputs hold, as plain data, and a
 * page of HTML made of it. Pure: it runs in a browser.
 * @module
 */
export type { BitmapTraffic, ChunkPlace, Phase, Timeline, TimelineRun, WireUse } from '../capture/timeline.js';
export { type TimelineOptions, TimelineReader } from '../capture/timeline-reader.js';
export type { FieldDifference } from '../set/compare-sets.js';
export type { ChainBitmapDocument, ChainDocument, LayerDocument } from './chain-document.js';
export { type ChainBitmapModel, type ChainModel, type ChainStrip, chainModel } from './chain-model.js';
export type { Density } from './density.js';
export {
  type DifferenceLimits,
  type DifferenceMap,
  type DifferenceModel,
  differenceModel,
  type PairModel,
} from './difference-map.js';
export type { ExtentHistogram, HistogramBucket } from './extent-histogram.js';
export type { HexField, HexView } from './hex-view.js';
export { reportHtml } from './html/page.js';
export { findingText, infoText, type Paint } from './info-text.js';
export {
  type BitmapDocument,
  type Format,
  type InfoDocument,
  type InputReport,
  infoDocument,
  type Qcow2Summary,
  type ReportBitmap,
  type Sha256,
} from './input-report.js';
export {
  type BitmapModel,
  budgetOf,
  type InputExtras,
  type InputModel,
  inputModel,
  type ReportBudget,
  type ReportModel,
  unreadModel,
} from './report-model.js';
