import type { LiveBitmap } from '../chain/live-nodes.js';
import type { Finding } from '../findings.js';
import { type Resolved, resolveTarget } from '../migration/resolve-target.js';
import { type PlannedBitmap, planSource } from '../migration/source-plan.js';
import { type Code, RULES } from '../rules.js';
import { textOf } from './bitmap-outlook.js';
import { compareBitmap } from './compare-bitmap.js';
import { capabilityProblem, ejectedProblem } from './migration-findings.js';
import { phaseOf } from './migration-phase.js';
import type { MigrationSide } from './migration-side.js';
import type { VerifiedBitmap } from './verified-bitmap.js';
import { verifyImages } from './verify-images.js';

/** Both ends of a migration, side by side. */
export interface MigrationVerification {
  readonly bitmaps: readonly VerifiedBitmap[];
  readonly findings: readonly Finding[];
  /** Whether every bitmap that was to be sent is there, as it was. */
  readonly ok: boolean;
}

/**
 * Compares both ends after a migration: what the source would have sent, by its names and mapping, is looked for where those
 * lead at the destination. Counts are equal until the guest runs there, and then only grow. Bits are compared where both ends
 * come with hashes. With `dirty-bitmaps` off, what the source has stored in its images is looked for instead. The source
 * must not have run since.
 * @param before the destination as it was before the start, where it was asked then: what was not there has been sent, and what was has not.
 */
export function verifyMigration(
  source: MigrationSide,
  destination: MigrationSide,
  before?: MigrationSide | undefined,
): MigrationVerification {
  const findings: Finding[] = [];
  const add = (code: Code, message: string | undefined): void => {
    if (message !== undefined) findings.push({ severity: RULES[code].severity, code, message });
  };
  add('migration-not-waiting', ejectedProblem(destination));
  add('migration-not-completed', notCompleted(source));
  const on = source.capabilities.has('dirty-bitmaps');
  const { bitmaps } = planSource(source.graph, { mapping: source.parameters.mapping, skipUnfit: true });
  const inImages = on ? [] : verifyImages(source, destination);
  // What both ends have in one image does not need the capability.
  if (bitmaps.length > 0 || inImages.length === 0) add('migration-capability', capabilityProblem(source, destination));
  if (on && bitmaps.length === 0) add('migration-without-bitmaps', 'the source has no bitmap that migrates');
  const verified = [...bitmaps.map((planned) => verifyBitmap(planned, source, destination, before)), ...inImages];
  const ok =
    verified.every(({ verdict }) => verdict === 'arrived') && !findings.some(({ severity }) => severity === 'error');
  if (ok) add('migration-not-proven', notProven(verified));
  return { bitmaps: verified, findings, ok };
}

function notCompleted(source: MigrationSide): string | undefined {
  const { status } = source.migration;
  if (phaseOf(source) === 'over') return undefined;
  if (status !== 'completed') return `the migration of the source is ${status}, not completed`;
  return `the source is ${source.runState}: the migration that completed was an earlier one, or its guest was let run again; both ends are not the same any more`;
}

/** A destination that refuses a second one of a name is the only witness: nothing in the bitmap says where it is from. */
function notProven(bitmaps: readonly VerifiedBitmap[]): string | undefined {
  const open = bitmaps.filter(({ verdict, proven }) => verdict === 'arrived' && !proven);
  if (open.length === 0) return undefined;
  const names = open.map(({ node, name }) => `${node}/${name}`).join(', ');
  return `${names}: there, but one that the destination had before would look the same (empty, or its bits cannot be compared), and a source that tried to migrate without bitmaps before sends none; watch that follows the migration with --dst-qmp knows what was there before`;
}

function verifyBitmap(
  planned: PlannedBitmap,
  source: MigrationSide,
  destination: MigrationSide,
  before: MigrationSide | undefined,
): VerifiedBitmap {
  const sent = source.told.get(planned.bitmap) as LiveBitmap;
  const own = { node: planned.node.name, name: sent.name };
  const count = { source: sent.count, destination: undefined };
  const gone = { ...own, verdict: 'lost', notes: [], count, proven: false } as const;
  const code = 'migration-bitmap-lost';
  if (destination.ejected !== undefined) {
    return { ...gone, code, destination: undefined, differences: ['the destination has lost the image of a node'] };
  }
  const target = { index: 0, node: planned.nodeAlias, bitmap: planned.alias };
  const resolved = resolveTarget(destination.graph, destination.parameters.mapping, target);
  if ('code' in resolved) {
    const why = `silently lost: at the destination ${resolved.message}`;
    return { ...gone, code: resolved.code, destination: undefined, differences: [why] };
  }
  const name = textOf(resolved.name);
  const there = { node: resolved.node.name, name };
  const found = resolved.node.bitmaps.find((bitmap) => bitmap.name?.text === name);
  const arrived = found && destination.told.get(found);
  if (found === undefined || arrived === undefined) {
    return { ...gone, code, destination: there, differences: ['silently lost: it is not there'] };
  }
  if (before !== undefined && had(before, resolved, name)) {
    const differences = [
      'it was there before the start, and QEMU refuses a second one of a name: nothing was sent (unless that one was removed meanwhile: compare with --verify then)',
    ];
    return { ...gone, code, destination: there, count: { ...count, destination: arrived.count }, differences };
  }
  const hashes = [source.hashes.get(planned.bitmap), destination.hashes.get(found)] as const;
  const persistent = resolved.persistent ?? (planned.startFlags & 2) !== 0;
  const { differences, notes } = compareBitmap({ sent, arrived, hashes, persistent, resolved, destination });
  const same = hashes[0] !== undefined && hashes[0] === hashes[1] && (arrived.count ?? 0) > 0;
  return {
    ...{ ...own, destination: there, differences, notes },
    verdict: differences.length === 0 ? 'arrived' : 'differs',
    code: differences.length === 0 ? undefined : 'migration-bitmap-differs',
    count: { source: sent.count, destination: arrived.count },
    proven: same || before !== undefined,
  };
}

function had(before: MigrationSide, { node }: Resolved, name: string): boolean {
  const there = [...before.graph.nodes].find((one) => one.name === node.name);
  return there?.bitmaps.some((bitmap) => bitmap.name?.text === name) ?? false;
}
