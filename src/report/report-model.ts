import { toHex } from '../bytes/text.js';
import type { CaptureSummary } from '../capture/capture-reader.js';
import type { BitmapTraffic, Timeline, TimelineRun } from '../capture/timeline.js';
import type { Finding } from '../findings.js';
import type { Severity } from '../rules.js';
import type { ChainModel } from './chain-model.js';
import { type Density, densityOf } from './density.js';
import { bitmapLabel, type DifferenceModel } from './difference-map.js';
import { type ExtentHistogram, extentHistogram } from './extent-histogram.js';
import type { HexView } from './hex-view.js';
import type { Format, InputReport, Qcow2Summary, ReportBitmap } from './input-report.js';

/** A bitmap in a report. Plain data; sizes in bytes; null is what the input does not tell. */
export interface BitmapModel {
  readonly label: string;
  /** The bytes of the names where text cannot hold them. */
  readonly rawNames: string | null;
  readonly granularity: number;
  readonly recording: boolean;
  readonly persistent: boolean;
  /** `complete`, `incomplete`, or the trust state of a bitmap in an image. */
  readonly state: string;
  /** Whether its bits can be believed. */
  readonly good: boolean;
  readonly flags: readonly string[];
  readonly count: number | null;
  /** Up to where it is known. */
  readonly coveredBytes: number;
  /** Whether the disk ends there. */
  readonly diskEnd: boolean;
  readonly wireBytes: number | null;
  readonly chunks: { readonly data: number; readonly zeroes: number } | null;
  readonly density: Density | null;
  readonly histogram: ExtentHistogram | null;
}

/** An input in a report. Plain data. */
export interface InputModel {
  readonly input: string;
  /** Null where it could not be read. */
  readonly format: Format | null;
  readonly bytes: number;
  readonly capture: CaptureSummary | null;
  readonly qcow2: Qcow2Summary | null;
  readonly bitmaps: readonly BitmapModel[];
  /** Names of bitmaps that are not shown, and how many there are in all that are not. */
  readonly otherBitmaps: { readonly labels: readonly string[]; readonly total: number };
  /** Of all bitmaps, shown or not, that have bits that can be believed. */
  readonly dirtyBytes: number;
  /** Bitmaps that have none. */
  readonly lostBitmaps: number;
  readonly counts: Readonly<Record<Severity, number>>;
  readonly findings: readonly Finding[];
  readonly timeline: Timeline | null;
  readonly hex: readonly HexView[];
  /** Places of findings whose bytes are not shown. */
  readonly morePlaces: number;
  readonly chain: ChainModel | null;
}

/** All that a report shows. Plain data: it can go through JSON. */
export interface ReportModel {
  /** Of this package. */
  readonly version: string;
  readonly inputs: readonly InputModel[];
  /** Of two inputs. */
  readonly differences: DifferenceModel | null;
}

/** How much of one input is shown. What is left out is counted. */
export interface ReportBudget {
  readonly bitmaps: number;
  /** Pairs of bitmaps that are compared, of two inputs. */
  readonly pairs: number;
  /** Cells of all maps of the input together. */
  readonly cells: number;
  readonly findings: number;
  readonly hexViews: number;
  readonly runs: number;
}

const ALL: ReportBudget = { bitmaps: 200, pairs: 100, cells: 6144, findings: 300, hexViews: 60, runs: 400 };
const MOST: ReportBudget = { bitmaps: 200, pairs: 100, cells: 6144, findings: 200, hexViews: 30, runs: 200 };
const LEAST: ReportBudget = { bitmaps: 1, pairs: 1, cells: 64, findings: 5, hexViews: 1, runs: 6 };
/** Cells of one map at most: as many as can be told apart. */
const MAX_CELLS = 2048;
const MIN_CELLS = 32;
/** Names of bitmaps that are listed without being shown. */
const MAX_LABELS = 500;

/** What one of several inputs may take, so that a report of many stays as small as one of a few. */
export function budgetOf(inputs: number): ReportBudget {
  const share = (key: keyof ReportBudget): number =>
    Math.max(LEAST[key], Math.min(MOST[key], Math.floor(ALL[key] / inputs)));
  return {
    bitmaps: share('bitmaps'),
    pairs: share('pairs'),
    cells: share('cells'),
    findings: share('findings'),
    hexViews: share('hexViews'),
    runs: share('runs'),
  };
}

/** What is known of an input besides what `info` shows. */
export interface InputExtras {
  readonly timeline?: Timeline | undefined;
  readonly hex?: readonly HexView[];
  readonly chain?: ChainModel | undefined;
}

/** The model of an input that was read. */
export function inputModel(report: InputReport, extras: InputExtras, budget: ReportBudget): InputModel {
  const { input, format, bytes, capture, qcow2, bitmaps, findings } = report;
  const shown = bitmaps.slice(0, budget.bitmaps);
  const rest = bitmaps.slice(budget.bitmaps);
  const cells = Math.min(MAX_CELLS, Math.max(MIN_CELLS, Math.floor(budget.cells / Math.max(1, shown.length))));
  const hex = (extras.hex ?? []).slice(0, budget.hexViews);
  const offsets = findings.list.flatMap(({ offset }) => (offset === undefined ? [] : [offset]));
  const places = new Set(extras.hex === undefined ? [] : offsets);
  return {
    input: input === '-' ? 'standard input' : input,
    ...{ format, bytes, capture: capture ?? null, qcow2: qcow2 ?? null },
    bitmaps: shown.map((bitmap) => bitmapModel(bitmap, cells)),
    otherBitmaps: { labels: rest.slice(0, MAX_LABELS).map(bitmapLabel), total: rest.length },
    dirtyBytes: bitmaps.reduce((sum, { bits }) => sum + (bits?.count() ?? 0), 0),
    lostBitmaps: bitmaps.filter(({ bits }) => bits === undefined).length,
    counts: { ...findings.counts },
    findings: findings.list.slice(0, budget.findings),
    timeline: extras.timeline === undefined ? null : shortTimeline(extras.timeline, budget),
    hex,
    morePlaces: places.size - hex.filter(({ mark }) => mark !== null).length,
    chain: extras.chain ?? null,
  };
}

/** The model of an input that could not be read, with the reason. */
export function unreadModel(input: string, finding: Finding): InputModel {
  return {
    ...{ input, format: null, bytes: 0, capture: null, qcow2: null, bitmaps: [], dirtyBytes: 0 },
    otherBitmaps: { labels: [], total: 0 },
    counts: { error: 1, warning: 0, info: 0 },
    findings: [finding],
    ...{ lostBitmaps: 0, timeline: null, hex: [], morePlaces: 0, chain: null },
  };
}

function bitmapModel(bitmap: ReportBitmap, cells: number): BitmapModel {
  const { node, name, granularity, recording, persistent, complete, trust, flags, bits, coveredBytes } = bitmap;
  const { diskEnd = false, wireBytes, chunks } = bitmap;
  const clean = name.clean && (node?.clean ?? true);
  return {
    label: bitmapLabel(bitmap),
    rawNames: clean ? null : [...(node === undefined ? [] : [toHex(node.bytes)]), toHex(name.bytes)].join('/'),
    ...{ granularity, recording, persistent },
    state: trust ?? (complete ? 'complete' : 'incomplete'),
    good: complete && bits !== undefined,
    flags: flags ?? [],
    count: bits?.count() ?? null,
    ...{ coveredBytes, diskEnd, wireBytes: wireBytes ?? null },
    chunks: chunks === undefined ? null : { data: chunks.data, zeroes: chunks.zeroes },
    density: bits === undefined ? null : densityOf(bits, coveredBytes, cells),
    histogram: bits === undefined ? null : extentHistogram(bits, coveredBytes),
  };
}

/** The timeline with fewer runs, those in the middle left out, and not more bitmaps than are shown. */
function shortTimeline(timeline: Timeline, { runs: most, bitmaps: mostBitmaps }: ReportBudget): Timeline {
  const { runs, leftOut, bitmaps, moreBitmaps } = timeline;
  const shown: readonly BitmapTraffic[] = bitmaps.slice(0, mostBitmaps);
  const traffic = { bitmaps: shown, moreBitmaps: moreBitmaps + bitmaps.length - shown.length };
  if (runs.length <= most) return { ...timeline, ...traffic };
  const after = Math.ceil(most / 2);
  const gone: readonly TimelineRun[] = runs.slice(after, runs.length - (most - after));
  const sum = (pick: (run: TimelineRun) => number): number => gone.reduce((total, run) => total + pick(run), 0);
  return {
    ...timeline,
    ...traffic,
    runs: [...runs.slice(0, after), ...runs.slice(after + gone.length)],
    leftOut: {
      after,
      runs: gone.length + (leftOut?.runs ?? 0),
      items: sum(({ count }) => count) + (leftOut?.items ?? 0),
      bytes: sum(({ bytes }) => bytes) + (leftOut?.bytes ?? 0),
    },
  };
}
