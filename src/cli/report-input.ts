import { stat } from 'node:fs/promises';
import type { CaptureOptions } from '../capture/capture-parser.js';
import type { Timeline } from '../capture/timeline.js';
import { TimelineReader } from '../capture/timeline-reader.js';
import { openChain } from '../chain/open-chain.js';
import { chainFiles } from '../io/chain-files.js';
import { readUpTo, type Sink } from '../io/pump.js';
import { openSource } from '../io/source.js';
import { resolveLimits } from '../limits.js';
import { type ChainModel, chainModel } from '../report/chain-model.js';
import { type HexView, planHex, readHexViews, sectionChunks } from '../report/hex-view.js';
import type { InputReport } from '../report/input-report.js';
import type { InputExtras, ReportBudget } from '../report/report-model.js';
import { loadInput } from './load-input.js';
import type { OpenOptions } from './open-input.js';
import type { Terminal } from './terminal.js';

/** An input with all that a report shows of it. */
export interface LoadedForReport {
  readonly report: InputReport;
  readonly extras: InputExtras;
}

/** Bytes kept of what can be read only once. */
const HEAD = 64 * 1024;

/**
 * Reads an input of any kind for a report: with its timeline, and the bytes around its findings.
 * @param chain whether the backing chain of an image is read as well.
 * @throws DirtyBitmapError as `loadInput`.
 */
export async function loadForReport(
  path: string,
  options: OpenOptions,
  { chain, budget }: { readonly chain: boolean; readonly budget: ReportBudget },
  terminal: Terminal,
): Promise<LoadedForReport> {
  let follower: Follower | undefined;
  const also = (capture: CaptureOptions): Follower => {
    follower = new Follower(capture);
    return follower;
  };
  const report = await loadInput(path, { ...options, also }, terminal);
  const timeline = follower?.finish();
  const layers = chain && report.format === 'qcow2' ? await loadChain(path, report, options, budget) : undefined;
  const hex = await hexOf(path, report, { timeline, head: follower, start: options.offset ?? 0 });
  return { report, extras: { timeline, hex, chain: layers } };
}

/** Follows a capture as it is read, and keeps its first bytes: a pipe is read only once. */
class Follower implements Required<Sink> {
  readonly #reader: TimelineReader;
  readonly #offset: number;
  readonly #head = new Uint8Array(HEAD);
  #kept = 0;

  constructor(options: CaptureOptions) {
    this.#reader = new TimelineReader(options);
    this.#offset = options.offset ?? 0;
  }

  get skippable(): number {
    return this.#reader.skippable;
  }

  get stopped(): boolean {
    return this.#reader.stopped;
  }

  push(piece: Uint8Array): void {
    const part = piece.subarray(0, HEAD - this.#kept);
    this.#head.set(part, this.#kept);
    this.#kept += part.length;
    this.#reader.push(piece);
  }

  skipped(count: number): void {
    this.#reader.skipped(count);
  }

  finish(): Timeline {
    return this.#reader.finish();
  }

  /** Bytes of the head from an offset of the input on. */
  bytes(offset: number, length: number): Uint8Array {
    const from = offset - this.#offset;
    return from < 0 ? new Uint8Array(0) : this.#head.subarray(0, this.#kept).slice(from, from + length);
  }
}

/** Whole layers, and what is wrong with those below the top, as findings of the top. */
async function loadChain(
  path: string,
  report: InputReport,
  options: OpenOptions,
  budget: ReportBudget,
): Promise<ChainModel> {
  const limits = resolveLimits(options.limit);
  const opened = await openChain(path, chainFiles, { format: 'qcow2', limits });
  // Seen from its content, as all inputs are here, unless somebody said so.
  const [top, ...below] = opened.layers;
  const seen = top !== undefined && options.format === undefined;
  const chain = seen ? { ...opened, layers: [{ ...top, formatSource: 'assumed' as const }, ...below] } : opened;
  const { findings } = report;
  for (const { code, message } of chain.findings.list) findings.add(code, message);
  for (const layer of chain.layers.slice(1)) {
    for (const { code, message } of layer.findings.list) findings.add(code, `${layer.path}: ${message}`);
  }
  if (chain.error !== undefined) findings.add(chain.error.code, chain.error.message);
  return chainModel(chain, limits, budget.cells);
}

interface HexSources {
  readonly timeline: Timeline | undefined;
  readonly head: Follower | undefined;
  /** Where the input begins in the file, in bytes. */
  readonly start: number;
}

/** The first chunks and the findings, with their bytes: read again where that can be done. */
async function hexOf(
  path: string,
  report: InputReport,
  { timeline, head, start }: HexSources,
): Promise<readonly HexView[]> {
  if (!BINARY.includes(report.format)) return [];
  const source = (await isFile(path)) ? await openSource(path, { blocking: true }) : undefined;
  try {
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      if (source === undefined) return head?.bytes(offset, length) ?? new Uint8Array(0);
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, await readUpTo(source, offset, bytes));
    };
    const chunks =
      report.format === 'section' ? sectionChunks(await read(start, HEAD), start) : (timeline?.firstChunks ?? []);
    return await readHexViews(planHex(chunks, report.findings.list, start), read);
  } finally {
    await source?.close();
  }
}

/** Kinds whose bytes say something beside their text. */
const BINARY: readonly string[] = ['capture', 'section', 'qcow2'];

async function isFile(path: string): Promise<boolean> {
  if (path === '-') return false;
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true;
}
