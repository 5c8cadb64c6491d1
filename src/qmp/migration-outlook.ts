import { granulesIn } from '../bitmap/granularity.js';
import { quoted } from '../bytes/text.js';
import type { Finding } from '../findings.js';
import type { BlockNode } from '../migration/block-graph.js';
import { type LeftOutReason, type PlannedBitmap, planSource } from '../migration/source-plan.js';
import type { TrackedBitmap } from '../migration/tracked-bitmap.js';
import type { Code } from '../rules.js';
import {
  type Arrivals,
  type BitmapOutlook,
  type BitmapVerdict,
  judgeAtDestination,
  judgeAtSource,
  textOf,
} from './bitmap-outlook.js';
import { isInImage } from './image-hand-over.js';
import { findingsOf } from './migration-findings.js';
import type { MigrationSide } from './migration-side.js';
import { type StallOutlook, stallOf } from './stall.js';

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

/** Of a bitmap that does not go in the stream, and need not. */
const IN_IMAGE = {
  verdict: 'fine',
  code: 'handed-over-in-image',
  message: 'handed over in the image, which the source has open and the destination takes over; not in the stream',
} as const;

class Outlook {
  readonly bitmaps: BitmapOutlook[] = [];
  readonly #source: MigrationSide;
  /** Whether no bitmap migrates anyway. */
  readonly #off: boolean;

  constructor(source: MigrationSide, off: boolean) {
    this.#source = source;
    this.#off = off;
  }

  planned(planned: PlannedBitmap, there: MigrationSide | undefined, arrivals: Arrivals): void {
    // What could not be asked is not judged.
    const destination = there?.ejected === undefined ? there : undefined;
    if (this.#off && destination && isInImage(planned.node, planned.bitmap.persistent, this.#source, destination)) {
      this.#push(planned.node, planned.bitmap, IN_IMAGE);
      return;
    }
    const at = destination && judgeAtDestination(planned, this.#source, destination, arrivals);
    const judgement = judgeAtSource(planned, this.#source.release) ?? at?.judgement;
    const { verdict = 'fine', code, message } = judgement ?? {};
    this.add(planned.node, planned.bitmap, verdict, code, message, {
      nodeAlias: planned.nodeAlias.text,
      alias: planned.alias.text,
      destination: at?.resolved && { node: at.resolved.node.name, name: textOf(at.resolved.name) },
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
    this.#push(node, bitmap, judged, stream);
  }

  #push(
    node: BlockNode,
    bitmap: TrackedBitmap,
    judged: Pick<BitmapOutlook, 'verdict' | 'code' | 'message'>,
    stream?: Pick<BitmapOutlook, 'nodeAlias' | 'alias' | 'destination'>,
  ): void {
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
