import type { LiveBitmap } from '../chain/live-nodes.js';
import type { Finding } from '../findings.js';
import { type Resolved, resolveTarget } from '../migration/resolve-target.js';
import { type PlannedBitmap, planSource } from '../migration/source-plan.js';
import { type Code, RULES } from '../rules.js';
import { textOf } from './bitmap-outlook.js';
import { capabilityProblem } from './migration-outlook.js';
import type { MigrationSide } from './migration-side.js';

/** A bitmap that was sent, and what became of it. */
export interface VerifiedBitmap {
  readonly node: string;
  readonly name: string;
  /** Where it should be; undefined where its names mean nothing there. */
  readonly destination: { readonly node: string; readonly name: string } | undefined;
  readonly verdict: 'arrived' | 'lost' | 'differs';
  readonly code: Code | undefined;
  /** What is not as it was sent, or why it is gone. */
  readonly differences: readonly string[];
  /** What may be right, and should be known. */
  readonly notes: readonly string[];
  /** Dirty bytes at both ends, as far as they are told. */
  readonly count: { readonly source: number | undefined; readonly destination: number | undefined };
}

/** Both ends of a migration, side by side. */
export interface MigrationVerification {
  readonly bitmaps: readonly VerifiedBitmap[];
  readonly findings: readonly Finding[];
  /** Whether every bitmap that was to be sent is there, as it was. */
  readonly ok: boolean;
}

/** States in which a guest has not run since its QEMU was started to take a migration. Source: QEMU's RunState. */
const NEVER_RAN: readonly string[] = ['inmigrate', 'prelaunch'];
/** States in which nobody can say whether it ran. */
const STOPPED: readonly string[] = ['paused', 'postmigrate', 'finish-migrate', 'save-vm'];

/**
 * Compares both ends after a migration: what the source would have sent, by its names and mapping, is looked for where those
 * lead at the destination. Counts are equal until the guest runs there, and then only grow. The bits are not compared, as
 * QMP does not show them. The source must not have run since.
 */
export function verifyMigration(source: MigrationSide, destination: MigrationSide): MigrationVerification {
  const findings: Finding[] = [];
  const add = (code: Code, message: string): void => {
    findings.push({ severity: RULES[code].severity, code, message });
  };
  const capability = capabilityProblem(source, destination);
  if (capability !== undefined) add('migration-capability', capability);
  const { status } = source.migration;
  if (status !== 'completed') add('migration-not-completed', `the migration of the source is ${status}, not completed`);
  const { bitmaps } = planSource(source.graph, { mapping: source.parameters.mapping, skipUnfit: true });
  if (bitmaps.length === 0) add('migration-without-bitmaps', 'the source has no bitmap that migrates');
  const verified = bitmaps.map((planned) => verifyBitmap(planned, source, destination));
  const ok =
    verified.every(({ verdict }) => verdict === 'arrived') && !findings.some(({ severity }) => severity === 'error');
  return { bitmaps: verified, findings, ok };
}

function verifyBitmap(planned: PlannedBitmap, source: MigrationSide, destination: MigrationSide): VerifiedBitmap {
  const target = { index: 0, node: planned.nodeAlias, bitmap: planned.alias };
  const resolved = resolveTarget(destination.graph, destination.parameters.mapping, target);
  const sent = source.told.get(planned.bitmap) as LiveBitmap;
  const own = { node: planned.node.name, name: sent.name };
  const code = 'migration-bitmap-lost';
  const gone = { ...own, verdict: 'lost', notes: [], count: { source: sent.count, destination: undefined } } as const;
  if ('code' in resolved) {
    const why = `silently lost: at the destination ${resolved.message}`;
    return { ...gone, code: resolved.code, destination: undefined, differences: [why] };
  }
  const name = textOf(resolved.name);
  const there = { node: resolved.node.name, name };
  const found = resolved.node.bitmaps.find((bitmap) => bitmap.name?.text === name);
  const arrived = found && destination.told.get(found);
  if (arrived === undefined)
    return { ...gone, code, destination: there, differences: ['silently lost: it is not there'] };
  const { differences, notes } = compare(planned, sent, resolved, arrived, destination.runState);
  return {
    ...{ ...own, destination: there, differences, notes },
    verdict: differences.length === 0 ? 'arrived' : 'differs',
    code: differences.length === 0 ? undefined : 'migration-bitmap-differs',
    count: { source: sent.count, destination: arrived.count },
  };
}

function compare(
  planned: PlannedBitmap,
  sent: LiveBitmap,
  { persistent = (planned.startFlags & 2) !== 0 }: Resolved,
  arrived: LiveBitmap,
  runState: string,
): { readonly differences: string[]; readonly notes: string[] } {
  const differences: string[] = [];
  const notes: string[] = [];
  if (arrived.inconsistent) differences.push('it is inconsistent');
  if (arrived.busy) differences.push('it is busy: it was never completed, or a job uses it');
  if (arrived.granularity !== sent.granularity) {
    differences.push(`granularity ${arrived.granularity}, was ${sent.granularity}`);
  }
  if (arrived.recording !== sent.recording)
    differences.push(`recording is ${arrived.recording}, was ${sent.recording}`);
  if (arrived.persistent !== persistent) {
    const retry = persistent ? ' (QEMU sends it as transient after a migration that was cancelled)' : '';
    differences.push(`persistent is ${arrived.persistent}, expected ${persistent}${retry}`);
  }
  const { count: after } = arrived;
  const { count: before } = sent;
  // Of other granules, or before it is complete, a count says nothing.
  if (before === undefined || after === undefined || arrived.busy || arrived.granularity !== sent.granularity) {
    return { differences, notes };
  }
  if (after < before) differences.push(`${after} dirty bytes, were ${before}`);
  else if (after > before && (NEVER_RAN.includes(runState) || !arrived.recording)) {
    differences.push(`${after} dirty bytes, were ${before}, and nothing has written there`);
  } else if (after > before) {
    const ran = STOPPED.includes(runState) ? 'right only where the guest ran there meanwhile' : 'the guest runs there';
    notes.push(`${after} dirty bytes, were ${before}: ${ran}`);
  }
  return { differences, notes };
}
