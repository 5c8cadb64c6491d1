import { granulesIn, MAX_GRANULARITY } from '../bitmap/granularity.js';
import type { PlannedBitmap } from '../migration/source-plan.js';
import { coarserCommands, type Replacement } from './coarser-bitmap.js';
import { type QmpCommand, qmpCommand } from './commands.js';
import type { MigrationSide } from './migration-side.js';
import { inProgress } from './migration-state.js';

/** What helps against a migration that comes to no end. */
export interface Cure {
  readonly kind: 'switchover-bandwidth' | 'postcopy' | 'downtime-limit' | 'granularity';
  /** When the commands are to be sent: before `migrate`, or after it. */
  readonly when: 'before' | 'running';
  /** What they do, and what they cost. */
  readonly what: string;
  /** For the source, in this order. */
  readonly commands: readonly QmpCommand[];
}

/** `downtime-limit` is at most this, in milliseconds. Source: QEMU's MAX_MIGRATE_DOWNTIME. */
const MAX_DOWNTIME = 2_000_000;
/** Bytes per second that QEMU measures of an idle guest: 5 Mbit/s. Source: needs.md item 5. */
const IDLE_BANDWIDTH = 625_000;
/** Granules per millisecond of `downtime-limit` that end in every version: half of what stalls on 11.1. */
const SAFE = 524_288 / 300;
/** A granularity above this may loop for ever on a large disk; in bytes. */
const MAX_SAFE_GRANULARITY = 128 * 2 ** 20;

/** What two nodes mean in postcopy. Source: versions.md, defects (11.1 is fixed; between is not known). */
export const TWO_NODES = 'a destination of QEMU 7.0 to 10.x aborts, as the bitmaps are of several nodes';

/** Whether bitmaps are of more than one node. */
export function severalNodes(bitmaps: readonly PlannedBitmap[]): boolean {
  return bitmaps.some(({ node }) => node !== bitmaps[0]?.node);
}

/** A guest that may stand still for longer than this, in milliseconds, is worth a warning. */
const LONG_DOWNTIME = 10_000;

/** The cures, with their commands, the best first. */
export function curesOf(source: MigrationSide, bitmaps: readonly PlannedBitmap[], granules: number): Cure[] {
  const running = inProgress(source.migration.status);
  const limit = downtime(source, granules, running);
  const long = limit !== undefined && limit.milliseconds > LONG_DOWNTIME;
  const all = [
    switchoverBandwidth(source, granules, running),
    postcopy(bitmaps),
    long ? undefined : limit?.cure,
    coarser(source, bitmaps, running),
    long ? limit.cure : undefined,
  ];
  return all.filter((cure) => cure !== undefined);
}

/**
 * QEMU counts with this bandwidth instead of what it measures, so it ends for certain once RAM is down to as many bytes as
 * there are granules. Tried on 10.0 and 11.1.
 */
function switchoverBandwidth(
  { parameters: { switchoverBandwidth: known, downtimeLimit } }: MigrationSide,
  granules: number,
  running: boolean,
): Cure | undefined {
  if (known === undefined || downtimeLimit === 0) return undefined;
  // Whole megabytes: it is read by people.
  const bandwidth = (Math.floor((2 * granules) / downtimeLimit / 1000) + 1) * 1e6;
  const what = `let QEMU count with ${bandwidth} bytes per second for the end instead of what it measures, which is then certain (with up to ${granules} bytes of RAM left to send while the guest stands still)`;
  const commands = [qmpCommand('migrate-set-parameters', { 'avail-switchover-bandwidth': bandwidth })];
  return { kind: 'switchover-bandwidth', when: running ? 'running' : 'before', what, commands };
}

function postcopy(bitmaps: readonly PlannedBitmap[]): Cure {
  const warning = severalNodes(bitmaps) ? `; but ${TWO_NODES}` : '';
  const what = `go over to the destination, which gets the bitmaps then${warning}`;
  return { kind: 'postcopy', when: 'running', what, commands: [qmpCommand('migrate-start-postcopy')] };
}

function downtime(
  { parameters, migration }: MigrationSide,
  granules: number,
  running: boolean,
): { readonly cure: Cure; readonly milliseconds: number } | undefined {
  // Where the bandwidth is told, its cure needs no guess.
  if (parameters.switchoverBandwidth) return undefined;
  const { maxBandwidth } = parameters;
  // What is measured goes up and down.
  const measured = (running && migration.ram?.bandwidth) || Number.POSITIVE_INFINITY;
  const bandwidth = Math.min(IDLE_BANDWIDTH, maxBandwidth || Number.POSITIVE_INFINITY, measured / 2);
  const limit = (Math.floor(granules / bandwidth) + 1) * 1000;
  if (limit <= parameters.downtimeLimit || limit > MAX_DOWNTIME) return undefined;
  const late = running
    ? 'set late it does not always help: else cancel, and start again with it'
    : 'set late it does not always help';
  const long = limit > LONG_DOWNTIME ? `; WARNING: the guest may stand still for all of these ${limit / 1000} s` : '';
  const what = `allow ${limit} ms of downtime, also to a busy RAM (${late})${long}`;
  const commands = [qmpCommand('migrate-set-parameters', { 'downtime-limit': limit })];
  return {
    milliseconds: limit,
    cure: { kind: 'downtime-limit', when: running ? 'running' : 'before', what, commands },
  };
}

/** Those with the most granules are made coarser until all fit. */
function coarser(
  { parameters, told }: MigrationSide,
  bitmaps: readonly PlannedBitmap[],
  running: boolean,
): Cure | undefined {
  const { maxBandwidth, downtimeLimit, switchoverBandwidth = 0 } = parameters;
  const rate =
    switchoverBandwidth > 0
      ? switchoverBandwidth / 1000 / 2
      : maxBandwidth === 0
        ? SAFE
        : Math.min(SAFE, maxBandwidth / 1000 / 2);
  let most = bitmaps.reduce((all, { granules }) => Math.max(all, granules), 0);
  while (
    sumOf(bitmaps.map((planned) => granulesIn(planned.node.size, granularityFor(planned, most)))) >
    rate * downtimeLimit
  ) {
    most = Math.floor(most / 2);
    if (most === 0) return undefined;
  }
  if (bitmaps.some((planned) => granularityFor(planned, most) > MAX_SAFE_GRANULARITY)) return undefined;
  const replaced: Replacement[] = [];
  for (const planned of bitmaps) {
    const { node, bitmap } = planned;
    const granularity = granularityFor(planned, most);
    const name = told.get(bitmap)?.name;
    if (granularity === planned.granularity || name === undefined) continue;
    const { recording, persistent } = bitmap;
    const taken = node.bitmaps.map((other) => other.name?.text ?? '');
    replaced.push({ node: node.name, name, granularity, recording, persistent, taken });
  }
  const list = replaced.map(({ node, name, granularity }) => `${node}/${name} to ${granularity}`);
  const cancel = running ? 'migrate_cancel, and when query-migrate says cancelled ' : '';
  const what = `${cancel}make them coarser, in bytes: ${list.join(', ')} (no write is lost; between its two commands a bitmap goes by another name, also in the image if QEMU ends then); or remove those that nobody needs`;
  return { kind: 'granularity', when: 'before', what, commands: replaced.flatMap(coarserCommands) };
}

/** The granularity that leaves a bitmap at most so many granules; its own, where that does. */
function granularityFor({ node, granularity }: PlannedBitmap, granules: number): number {
  let coarse = granularity;
  while (granulesIn(node.size, coarse) > granules && coarse < MAX_GRANULARITY) coarse *= 2;
  return coarse;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}
