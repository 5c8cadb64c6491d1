import type { Finding } from '../findings.js';
import type { PlannedBitmap, SourcePlan } from '../migration/source-plan.js';
import { type Code, RULES } from '../rules.js';
import type { BitmapOutlook } from './bitmap-outlook.js';
import { isInImage } from './image-hand-over.js';
import { earlierTry, isWaiting, phaseOf } from './migration-phase.js';
import type { MigrationSide } from './migration-side.js';
import { isSince } from './migration-state.js';
import { severalNodes, TWO_NODES } from './stall-cures.js';

/** What is wrong, or may be, with a migration besides single bitmaps. */
export function findingsOf(
  source: MigrationSide,
  destination: MigrationSide | undefined,
  plan: SourcePlan,
  outlooks: readonly BitmapOutlook[],
): Finding[] {
  const found: Finding[] = [];
  const add = (code: Code, message: string | undefined): void => {
    if (message !== undefined) found.push({ severity: RULES[code].severity, code, message });
  };
  const { bitmaps } = plan;
  const on = source.capabilities.has('dirty-bitmaps');
  const inImage = destination !== undefined && allInImage(source, destination, bitmaps);
  if (!on && !inImage) add('migration-capability', capabilityProblem(source, destination));
  if (on && bitmaps.length === 0 && outlooks.every(({ verdict }) => verdict !== 'blocked')) {
    const message =
      'no bitmap migrates; after a migration without any, this QEMU takes none along in another try either';
    add('migration-without-bitmaps', message);
  }
  if (on && bitmaps.length > 0) {
    add('migration-tried-before', triedBefore(source));
    add('migration-retry', retryProblem(source, destination, bitmaps));
  }
  if (destination !== undefined) {
    add('migration-not-waiting', notWaiting(source, destination));
    add('migration-switchover-start', switchoverProblem(source, destination));
    add('migration-mapping', mappingProblem(source, destination, outlooks));
  }
  const release = destination?.release;
  const aborts = release === undefined || (isSince(release, 7, 0) && !isSince(release, 11, 0));
  const postcopy = source.capabilities.has('postcopy-ram') || source.migration.status.startsWith('postcopy');
  if (postcopy && aborts && severalNodes(bitmaps)) add('migration-two-nodes', `in postcopy ${TWO_NODES}`);
  return found;
}

/** What is wrong with the capability that lets bitmaps migrate; the destination does without it, in precopy. */
export function capabilityProblem(source: MigrationSide, destination: MigrationSide | undefined): string | undefined {
  if (source.capabilities.has('dirty-bitmaps')) return undefined;
  const only = destination?.capabilities.has('dirty-bitmaps') === true ? ', and on only at the destination' : '';
  return `dirty-bitmaps is off at the source${only}: no bitmap migrates in the stream (persistent ones go over in their image, where both ends open one and the same), and the migration says completed; before the start: migrate-set-capabilities`;
}

/** What is the matter with a destination that tells of no node. */
export function ejectedProblem({ ejected }: MigrationSide): string | undefined {
  if (ejected === undefined) return undefined;
  return `${ejected}: the destination took over and could not open an image again (a bitmap that came has the name of one that is stored in it?), so the guest runs nowhere, though the migration says completed; cont at the source lets it go on there, with its bitmaps`;
}

function allInImage(source: MigrationSide, destination: MigrationSide, bitmaps: readonly PlannedBitmap[]): boolean {
  return (
    bitmaps.length > 0 && bitmaps.every(({ node, bitmap }) => isInImage(node, bitmap.persistent, source, destination))
  );
}

/** That there were none at the first try stays with the process. Source: dirty-bitmap-states.md section 4, `no_bitmaps`. */
function triedBefore(source: MigrationSide): string | undefined {
  const before = earlierTry(source);
  if (before === undefined) return undefined;
  return `this QEMU tried to migrate before (${before}): if dirty-bitmaps was on then and it had no bitmap, it takes none along now either, and says completed; QMP does not tell. Only another process helps: where a try may have been without bitmaps, stop the guest and start QEMU anew, and compare with --verify afterwards`;
}

/** The mark that a bitmap is not to be stored stays with it. Source: dirty-bitmap-states.md section 4, `skip_store`. */
function retryProblem(
  source: MigrationSide,
  destination: MigrationSide | undefined,
  bitmaps: readonly PlannedBitmap[],
): string | undefined {
  const before = earlierTry(source);
  if (before !== 'cancelled' && before !== 'failed') return undefined;
  const marked = bitmaps.filter((planned) => planned.bitmap.persistent && !isMapped(planned, source, destination));
  if (marked.length === 0) return undefined;
  const names = marked.map(({ node, bitmap }) => `${node.name}/${bitmap.name?.text ?? ''}`).join(', ');
  return `the last migration was ${before}: ${names}: persistent bitmaps that it had begun to send are sent as transient now, and are not stored when this QEMU ends; map them with "transform": {"persistent": true}`;
}

/** Whether a mapping says what becomes of the flag. */
function isMapped(
  { node, bitmap, nodeAlias, alias }: PlannedBitmap,
  source: MigrationSide,
  destination: MigrationSide | undefined,
): boolean {
  const name = bitmap.name;
  const here = name && source.parameters.mapping?.bitmapByName(node.name, name)?.transform?.persistent;
  const there = destination?.parameters.mapping?.bitmapByAlias(nodeAlias, alias)?.transform?.persistent;
  return here !== undefined || there !== undefined;
}

function notWaiting(source: MigrationSide, destination: MigrationSide): string | undefined {
  if (destination.ejected !== undefined) return ejectedProblem(destination);
  if (phaseOf(source) !== 'before' || isWaiting(destination)) return undefined;
  return `the destination does not wait for a migration (its state is ${destination.runState}): start it with -incoming`;
}

/** Source: versions.md, SWITCHOVER_START (10.0 and later, by machine type). */
function switchoverProblem(source: MigrationSide, destination: MigrationSide): string | undefined {
  const sends = isSince(source.release, 10, 0) && source.switchoverStart !== false;
  if (!sends || isSince(destination.release, 10, 0) || phaseOf(source) === 'over') return undefined;
  const { major, minor } = destination.release;
  const unless = source.switchoverStart === undefined ? ', unless its machine type is older than 10.0' : '';
  const end = source.capabilities.has('return-path') ? '' : ', while the source says completed: the guest is gone';
  return `the source sends SWITCHOVER_START${unless}, at which a QEMU ${major}.${minor} ends (MIG_CMD 0xb unknown)${end}; start the source with -global migration.send-switchover-start=off, or with a machine type older than 10.0, or go through dirtybitmap tap --drop-switchover-start`;
}

function mappingProblem(
  source: MigrationSide,
  destination: MigrationSide,
  outlooks: readonly BitmapOutlook[],
): string | undefined {
  const { mapping } = source.parameters;
  const lost = outlooks.some(({ code }) => code === 'alias-unknown' || code === 'node-not-found');
  if (!lost || (mapping === undefined) === (destination.parameters.mapping === undefined)) return undefined;
  const [has, hasNot] = mapping === undefined ? ['destination', 'source'] : ['source', 'destination'];
  return `only the ${has} has a block-bitmap-mapping; the ${hasNot} goes by the names of nodes`;
}
