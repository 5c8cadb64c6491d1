import { granulesIn } from '../bitmap/granularity.js';
import { type Name, quoted } from '../bytes/text.js';
import { SECTOR } from '../chunk/chunk-cursor.js';
import type { BlockNode } from '../migration/block-graph.js';
import { type Resolved, resolveTarget } from '../migration/resolve-target.js';
import type { LeftOutReason, PlannedBitmap } from '../migration/source-plan.js';
import type { Code } from '../rules.js';
import { isWaiting, phaseOf } from './migration-phase.js';
import type { MigrationSide } from './migration-side.js';
import { inProgress, isSince, type QemuRelease } from './migration-state.js';

/**
 * What a migration does with a bitmap: it arrives; the whole migration fails because of it; it is gone afterwards, though
 * the migration says `completed`; it stays behind as it was asked to.
 */
export type BitmapVerdict = 'fine' | 'blocked' | 'lost' | 'left-out';

/** A bitmap of the source, and what a migration does with it. */
export interface BitmapOutlook {
  readonly node: string;
  readonly name: string;
  /** How node and bitmap are called in the stream; undefined where they are not in it. */
  readonly nodeAlias: string | undefined;
  readonly alias: string | undefined;
  /** Where it goes, as far as the destination was asked. */
  readonly destination: { readonly node: string; readonly name: string } | undefined;
  readonly verdict: BitmapVerdict;
  /** Why, where it is not just fine. */
  readonly code: Code | LeftOutReason | undefined;
  /** What is in the way, what QEMU does, what to do. */
  readonly message: string | undefined;
  /** Bytes. */
  readonly granularity: number;
  /** Bits of the bitmap, dirty or not: what QEMU counts as bytes that are to be sent. */
  readonly granules: number;
}

/** What is wrong with a bitmap that the source would send. */
export interface Judgement {
  readonly verdict: BitmapVerdict;
  readonly code: Code;
  readonly message: string;
}

/** Sectors that a chunk can tell of: its field has 32 bits. Source: dirty-bitmap-states.md section 2. */
const SECTORS_OF_FIELD = 2 ** 32;
/** A chunk has 8192 granules, which are this many sectors for each byte of granularity. */
const SECTORS_PER_BYTE = 16;

/** What is wrong with a bitmap at the source itself, though QEMU begins to send it. */
export function judgeAtSource(
  { node, bitmap, alias, granularity, sectors }: PlannedBitmap,
  release: QemuRelease,
): Judgement | undefined {
  const label = labelOf(node, bitmap.name);
  if (alias.bytes.length === 0) {
    const message = `${label}: its alias is empty: QEMU sends that, and the destination ends (Unable to read bitmap alias string); map it to another`;
    return { verdict: 'blocked', code: 'name-empty', message };
  }
  if (node.size === 0) {
    const message = `${label}: its disk has no bytes: the destination aborts (hbitmap_iter_init); remove the bitmap, or leave it out of the mapping`;
    return { verdict: 'blocked', code: 'disk-empty', message };
  }
  // Before 5.2 the product itself had 32 bits.
  const wraps = isSince(release, 5, 2)
    ? granularity * SECTORS_PER_BYTE >= SECTORS_OF_FIELD && sectors >= SECTORS_OF_FIELD
    : granularity >= 2 ** 19;
  if (!wraps) return undefined;
  const message = `${label}: granularity ${granularity} on ${node.size} bytes of disk: QEMU's source loops for ever, and QMP no longer answers; make the bitmap anew with a finer granularity`;
  return { verdict: 'blocked', code: 'source-loops', message };
}

/** Bitmaps that arrive, by where: two cannot arrive at one place. */
export type Arrivals = Map<BlockNode, Set<string>>;

/** What becomes of a bitmap at the destination, and where it goes there. */
export function judgeAtDestination(
  planned: PlannedBitmap,
  source: MigrationSide,
  destination: MigrationSide,
  arrivals: Arrivals,
): { readonly resolved: Resolved | undefined; readonly judgement: Judgement | undefined } {
  const label = labelOf(planned.node, planned.bitmap.name);
  const target = { index: 0, node: planned.nodeAlias, bitmap: planned.alias };
  const resolved = resolveTarget(destination.graph, destination.parameters.mapping, target);
  if ('code' in resolved) {
    const message = `${label}: at the destination ${resolved.message}; QEMU drops all bitmaps, and the migration says completed`;
    return { resolved: undefined, judgement: { verdict: 'lost', code: resolved.code, message } };
  }
  return { resolved, judgement: judgeArrival(planned, resolved, source, destination, arrivals) };
}

function judgeArrival(
  planned: PlannedBitmap,
  resolved: Resolved,
  source: MigrationSide,
  destination: MigrationSide,
  arrivals: Arrivals,
): Judgement | undefined {
  const { node } = resolved;
  const label = labelOf(planned.node, planned.bitmap.name);
  const name = textOf(resolved.name);
  const there = `${quoted(name)} of the destination's node ${quoted(node.name)}`;
  const taken = arrivals.get(node) ?? new Set();
  arrivals.set(node, taken);
  if (taken.has(name)) {
    const message = `${label}: another bitmap goes to ${there} too, and QEMU fails the whole migration; map them to two names`;
    return { verdict: 'blocked', code: 'bitmap-exists', message };
  }
  taken.add(name);
  // While it comes, and afterwards, the one that is there is the one that comes.
  const { status } = destination.migration;
  const before = phaseOf(source) === 'before' || (!inProgress(status) && status !== 'completed');
  if (before && node.bitmaps.some((bitmap) => bitmap.name?.text === name)) {
    const message = `${label}: there is a bitmap ${there} already, and QEMU fails the whole migration; remove that, or map this one to another name`;
    return { verdict: 'blocked', code: 'bitmap-exists', message };
  }
  // Of an image that waits nothing is loaded; one that is in use is that of the source, and QEMU keeps what came then.
  const stored = destination.stored.get(node.name) ?? [];
  if (isWaiting(destination) && stored.some((one) => one.name === name && !one.inUse)) {
    const message = `${label}: the image of the destination's node ${quoted(node.name)} has a bitmap ${quoted(name)} stored already: the migration says completed, and then the destination cannot open the image again, and the guest runs nowhere; remove that one from the image, or map this one to another name`;
    return { verdict: 'blocked', code: 'bitmap-stored', message };
  }
  return judgeSize(planned, node, label) ?? judgeStorage(planned, resolved, destination.release, label);
}

/** The last chunk says where the disk ends; QEMU only asserts that this is an end there too. */
function judgeSize(
  { node, sectors, granularity }: PlannedBitmap,
  there: BlockNode,
  label: string,
): Judgement | undefined {
  if (there.size === node.size) return undefined;
  const sizes = `${label}: its disk has ${node.size} bytes, and ${there.size} at the destination`;
  const end = sectors * SECTOR;
  const sameEnd = granulesIn(end, granularity) === granulesIn(there.size, granularity);
  const accepted = there.size > 0 && (sameEnd || (end < there.size && end % (64 * granularity) === 0));
  return accepted
    ? { verdict: 'fine', code: 'size-differs', message: `${sizes}; QEMU takes it, but is it the same disk?` }
    : { verdict: 'blocked', code: 'size-differs', message: `${sizes}: QEMU aborts there; give both one size` };
}

function judgeStorage(
  planned: PlannedBitmap,
  resolved: Resolved,
  release: QemuRelease,
  label: string,
): Judgement | undefined {
  const persistent = resolved.persistent ?? (planned.startFlags & 2) !== 0;
  if (!persistent || resolved.node.canStore) return undefined;
  const where = quoted(resolved.node.name);
  const code = 'persistent-unstorable';
  if (!resolved.node.readOnly) {
    const message = `${label}: it is persistent, and the destination's node ${where} cannot store it: it is gone when that QEMU ends; use qcow2`;
    return { verdict: 'fine', code, message };
  }
  return isSince(release, 11, 0)
    ? {
        ...{ verdict: 'blocked', code },
        message: `${label}: it is persistent, and the destination's node ${where} is read-only: QEMU 11 fails the whole migration; make that writable, or map it with "transform": {"persistent": false}`,
      }
    : {
        ...{ verdict: 'lost', code },
        message: `${label}: it is persistent, and the destination's node ${where} is read-only: it arrives, and is gone when that QEMU ends; make that writable`,
      };
}

/** For messages: `"node/bitmap"`. */
function labelOf(node: BlockNode, name: Name | undefined): string {
  return quoted(`${node.name}/${name?.text ?? ''}`, 96);
}

/** The text of a name that may be one already. */
export function textOf(name: string | Name): string {
  return typeof name === 'string' ? name : name.text;
}
