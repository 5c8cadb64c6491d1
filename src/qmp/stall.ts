import type { PlannedBitmap } from '../migration/source-plan.js';
import { phaseOf } from './migration-phase.js';
import type { MigrationSide } from './migration-side.js';
import { inPostcopy, inProgress, isSince, type MigrationParameters, type QemuRelease } from './migration-state.js';
import { type Cure, curesOf } from './stall-cures.js';

/** Whether a migration comes to no end because of its bitmaps, be they empty. */
export type StallVerdict = 'certain' | 'likely' | 'no';

/** What the bitmaps mean for the end of a migration. */
export interface StallOutlook {
  readonly verdict: StallVerdict;
  /** Where it stalls. */
  readonly code: 'migration-stall' | undefined;
  /** Bits of all bitmaps together, which QEMU counts as bytes that are still to be sent. */
  readonly granules: number;
  /**
   * What may be left for the guest to be stopped, in the best case: `max-bandwidth` times `downtime-limit`; undefined where
   * there is no limit. Where `avail-switchover-bandwidth` is set that takes the place of all bandwidths, here and in `now`.
   */
  readonly bestCase: number | undefined;
  /** The same at the bandwidth that QEMU measures now; undefined while no migration runs. */
  readonly now: number | undefined;
  /** As many granules were seen to end at this `downtime-limit`. */
  readonly seenToEnd: number;
  /** In a sentence. */
  readonly message: string;
  /** What helps, the best first; none where nothing is to be cured. */
  readonly cures: readonly Cure[];
}

/**
 * Granules per millisecond of `downtime-limit` with which idle guests were seen to end: 128 GiB at 64 KiB and 300 ms on
 * 5.2, 7.2 and 10.0; 32 GiB on 11.1, where 64 GiB ends at times (what is between 10.0 and 11.1 is taken for the same).
 * Source: needs.md item 5, versions.md, and measured again for this.
 */
const SEEN_TO_10_0 = 2_097_152 / 300;
const SEEN_SINCE_10_1 = 524_288 / 300;
/** A migration that converges needs few passes over the RAM. */
const MANY_PASSES = 1000;

/**
 * Whether a migration of these bitmaps ends. QEMU stops the guest when what is left is less than bandwidth times
 * `downtime-limit`; precopy sends no bitmap before that, so their granules are left until then. The bandwidth that counts is
 * measured, and falls to 5 Mbit/s when a guest is idle. That RAM and devices come to an end is not promised.
 */
export function stallOf(source: MigrationSide, bitmaps: readonly PlannedBitmap[]): StallOutlook {
  const { parameters, migration, release } = source;
  const granules = bitmaps.reduce((sum, bitmap) => sum + bitmap.granules, 0);
  const seenToEnd = Math.floor(seenPerMillisecond(release) * parameters.downtimeLimit);
  const bestCase = bestCaseOf(parameters);
  const running = inProgress(migration.status) && !inPostcopy(migration.status);
  const bandwidth = running ? (migration.ram?.bandwidth ?? 0) : 0;
  const exact = thresholdOf(parameters);
  const measured = bandwidth > 0 ? Math.floor((bandwidth * parameters.downtimeLimit) / 1000) : undefined;
  const now = running ? (exact ?? measured) : undefined;
  const common = { granules, bestCase, now, seenToEnd };
  const sum = `${granules} granules count as bytes that are still to be sent`;
  const no = (message: string): StallOutlook => ({ ...common, verdict: 'no', code: undefined, message, cures: [] });
  const stall = (verdict: StallVerdict, why: string): StallOutlook => {
    const cures = curesOf(source, bitmaps, granules);
    return { ...common, verdict, code: 'migration-stall', message: `${sum}, empty bitmaps or not: ${why}`, cures };
  };
  if (granules === 0) return no('no bitmap is in the way of the end');
  if (phaseOf(source) === 'over') return no('the migration is completed');
  if (inPostcopy(migration.status)) return no('in postcopy the bitmaps are sent now');
  if (exact !== undefined) {
    const threshold = `${exact} of avail-switchover-bandwidth x downtime-limit`;
    return granules < exact
      ? no(`${sum}; below the ${threshold}`)
      : stall('certain', `not below the ${threshold}, it cannot end`);
  }
  if (bestCase !== undefined && granules >= bestCase) {
    return stall('certain', `above the ${bestCase} of max-bandwidth x downtime-limit, it cannot end`);
  }
  if (now !== undefined && granules >= now) {
    const { remaining = 0, passes = 0 } = migration.ram ?? {};
    const why = `above the ${now} of the bandwidth that QEMU measures now x downtime-limit`;
    // Without bitmaps it would have ended: it turns in circles.
    return passes >= MANY_PASSES && remaining < now
      ? stall('certain', `${why}, with ${remaining} bytes of RAM left after ${passes} passes`)
      : stall('likely', `${why}; it ends only if that rises`);
  }
  if (now !== undefined) return no(`${sum}; the bandwidth that QEMU measures now x downtime-limit is ${now}`);
  if (granules > seenToEnd) {
    const most = bestCase === undefined ? '' : ` (${bestCase} in the best case)`;
    return stall(
      'likely',
      `above the ${seenToEnd} that were seen to end at this downtime-limit${most}; the bandwidth that counts is measured, and falls when the guest is idle`,
    );
  }
  return no(`${sum}; ${seenToEnd} were seen to end at this downtime-limit`);
}

/** What must be left less than, where QEMU is told the bandwidth. It counts whole bytes per millisecond (since 8.2). */
function thresholdOf({ switchoverBandwidth = 0, downtimeLimit }: MigrationParameters): number | undefined {
  return switchoverBandwidth === 0 ? undefined : Math.floor(switchoverBandwidth / 1000) * downtimeLimit;
}

/** What may be left when the guest is stopped, if all the bandwidth is there. */
function bestCaseOf(parameters: MigrationParameters): number | undefined {
  const { maxBandwidth, downtimeLimit } = parameters;
  const exact = thresholdOf(parameters);
  if (exact !== undefined) return exact;
  return maxBandwidth === 0 ? undefined : Math.floor((maxBandwidth * downtimeLimit) / 1000);
}

function seenPerMillisecond(release: QemuRelease): number {
  return isSince(release, 10, 1) ? SEEN_SINCE_10_1 : SEEN_TO_10_0;
}
