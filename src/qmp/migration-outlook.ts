import { granulesIn } from '../bitmap/granularity.js';
import { quoted } from '../bytes/text.js';
import type { Finding } from '../findings.js';
import type { BlockNode } from '../migration/block-graph.js';
import { type LeftOutReason, type PlannedBitmap, planSource, type SourcePlan } from '../migration/source-plan.js';
import type { TrackedBitmap } from '../migration/tracked-bitmap.js';
import { type Code, RULES } from '../rules.js';
import {
  type Arrivals,
  type BitmapOutlook,
  type BitmapVerdict,
  judgeAtDestination,
  judgeAtSource,
  textOf,
} from './bitmap-outlook.js';
import type { MigrationSide } from './migration-side.js';
import { isSince } from './migration-state.js';
import { type StallOutlook, stallOf } from './stall.js';
import { severalNodes, TWO_NODES } from './stall-cures.js';

/** What a migration does with the bitmaps of its source. */
export interface MigrationOutlook {
  /** Those with a name, in the order of the stream; then those that are refused, and those that are left out. */
  readonly bitmaps: readonly BitmapOutlook[];
  /** What does not concern one bitmap. */
  readonly findings: readonly Finding[];
  readonly stall: StallOutlook;
  /** Whether all bitmaps that are to migrate arrive, as far as it can be told, and the migration ends. */
  readonly ok: boolean;
}

/**
 * What a migration from `source` would do with its bitmaps, or what the one that runs does; nothing is asked. With the
 * `destination` also which bitmaps would be lost there. Names, refusals and mappings are those of `planSource` and
 * `resolveTarget`.
 * @example
 * const { bitmaps, stall } = migrationOutlook(await queryMigrationSide(qmp), undefined);
 */
export function migrationOutlook(source: MigrationSide, destination: MigrationSide | undefined): MigrationOutlook {
  const plan = planSource(source.graph, { mapping: source.parameters.mapping });
  const off = !source.capabilities.has('dirty-bitmaps');
  const outlook = new Outlook(source, off);
  const arrivals: Arrivals = new Map();
  for (const planned of plan.bitmaps) outlook.planned(planned, destination, arrivals);
  outlook.dropWithLost();
  for (const { node, bitmap, code, message } of plan.refusals) {
    outlook.add(node, bitmap, 'blocked', code, `${message} (else QEMU fails the whole migration)`);
  }
  for (const { node, bitmap, reason, message } of plan.leftOut) {
    if (reason !== 'unnamed') outlook.add(node, bitmap, 'left-out', reason, message);
  }
  const stall = stallOf(source, off ? [] : plan.bitmaps);
  const findings = findingsOf(source, destination, plan, outlook.bitmaps);
  const bad = ['blocked', 'lost'];
  return {
    ...{ bitmaps: outlook.bitmaps, findings, stall },
    ok:
      stall.verdict === 'no' &&
      !outlook.bitmaps.some(({ verdict }) => bad.includes(verdict)) &&
      !findings.some(({ severity }) => severity === 'error'),
  };
}

class Outlook {
  readonly bitmaps: BitmapOutlook[] = [];
  readonly #source: MigrationSide;
  /** Whether no bitmap migrates anyway. */
  readonly #off: boolean;

  constructor(source: MigrationSide, off: boolean) {
    this.#source = source;
    this.#off = off;
  }

  planned(planned: PlannedBitmap, destination: MigrationSide | undefined, arrivals: Arrivals): void {
    const there = destination && judgeAtDestination(planned, destination, arrivals);
    const judgement = judgeAtSource(planned, this.#source.release) ?? there?.judgement;
    const { verdict = 'fine', code, message } = judgement ?? {};
    this.add(planned.node, planned.bitmap, verdict, code, message, {
      nodeAlias: planned.nodeAlias.text,
      alias: planned.alias.text,
      destination: there?.resolved && { node: there.resolved.node.name, name: textOf(there.resolved.name) },
    });
  }

  /** One name that means nothing at the destination ends the loading of all bitmaps, before any is complete. */
  dropWithLost(): void {
    const unknown = this.bitmaps.find(({ code }) => code === 'node-not-found' || code === 'alias-unknown');
    if (unknown === undefined) return;
    const cause = quoted(`${unknown.node}/${unknown.name}`, 96);
    for (const [at, bitmap] of this.bitmaps.entries()) {
      if (bitmap.verdict !== 'fine') continue;
      const message = `QEMU drops it together with ${cause}: that name means nothing at the destination`;
      this.bitmaps[at] = { ...bitmap, verdict: 'lost', code: 'bitmaps-cancelled', message };
    }
  }

  add(
    node: BlockNode,
    bitmap: TrackedBitmap,
    verdict: BitmapVerdict,
    code: Code | LeftOutReason | undefined,
    message: string | undefined,
    stream?: Pick<BitmapOutlook, 'nodeAlias' | 'alias' | 'destination'>,
  ): void {
    const with_ = message === undefined ? '' : `; with it: ${message}`;
    const judged = this.#off
      ? { verdict: 'left-out' as const, code: 'migration-capability' as const, message: `dirty-bitmaps is off${with_}` }
      : { verdict, code, message };
    this.bitmaps.push({
      node: node.name,
      name: bitmap.name?.text ?? '',
      nodeAlias: stream?.nodeAlias,
      alias: stream?.alias,
      destination: stream?.destination,
      ...judged,
      granularity: bitmap.granularity,
      granules: granulesIn(node.size, bitmap.granularity),
    });
  }
}

function findingsOf(
  source: MigrationSide,
  destination: MigrationSide | undefined,
  { bitmaps }: SourcePlan,
  outlooks: readonly BitmapOutlook[],
): Finding[] {
  const found: Finding[] = [];
  const add = (code: Code, message: string): void => {
    found.push({ severity: RULES[code].severity, code, message });
  };
  const capability = capabilityProblem(source, destination);
  if (capability !== undefined) add('migration-capability', capability);
  else if (bitmaps.length === 0 && outlooks.every(({ verdict }) => verdict !== 'blocked')) {
    add(
      'migration-without-bitmaps',
      'no bitmap migrates; after a migration without any, this QEMU takes none along in another try either',
    );
  }
  const { mapping } = source.parameters;
  const lost = outlooks.some(({ code }) => code === 'alias-unknown' || code === 'node-not-found');
  if (destination !== undefined && lost && (mapping === undefined) !== (destination.parameters.mapping === undefined)) {
    const [has, hasNot] = mapping === undefined ? ['destination', 'source'] : ['source', 'destination'];
    add('migration-mapping', `only the ${has} has a block-bitmap-mapping; the ${hasNot} goes by the names of nodes`);
  }
  // The mark that a bitmap is not to be stored stays with the node. Source: dirty-bitmap-states.md section 4.
  if (['cancelled', 'failed'].includes(source.migration.status) && bitmaps.some(isPersistent)) {
    add(
      'migration-retry',
      `the last migration was ${source.migration.status}: persistent bitmaps may be sent as transient, and not be stored when this QEMU ends; map them with "transform": {"persistent": true}`,
    );
  }
  const release = destination?.release;
  const aborts = release === undefined || (isSince(release, 7, 0) && !isSince(release, 11, 0));
  const postcopy = source.capabilities.has('postcopy-ram') || source.migration.status.startsWith('postcopy');
  if (postcopy && aborts && severalNodes(bitmaps)) add('migration-two-nodes', `in postcopy ${TWO_NODES}`);
  return found;
}

function isPersistent({ startFlags }: PlannedBitmap): boolean {
  return (startFlags & 2) !== 0;
}

/** What is wrong with the capability that lets bitmaps migrate; the destination does without it, in precopy. */
export function capabilityProblem(source: MigrationSide, destination: MigrationSide | undefined): string | undefined {
  if (source.capabilities.has('dirty-bitmaps')) return undefined;
  const only = destination?.capabilities.has('dirty-bitmaps') === true ? ', and on only at the destination' : '';
  return `dirty-bitmaps is off at the source${only}: no bitmap migrates, and the migration says completed; before the start: migrate-set-capabilities`;
}
