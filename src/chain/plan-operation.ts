import { quoted } from '../bytes/text.js';
import type { Action, BitmapPlan, PlanProblem } from './actions.js';
import { bitmapOn, type Nodes } from './node-bitmaps.js';
import { planDelete } from './plan-delete.js';
import { holderProblems, type MergeArguments, planMerge, WRITE_BITMAP } from './plan-merge.js';
import { planSnapshot } from './plan-snapshot.js';
import { invalidity, invalidityText } from './validity.js';

/**
 * What happens to a disk, whose bitmaps follow. Nodes are named; the active layer is the first of the chain.
 * Source: merge-and-chain.md section 6.
 */
export type Operation =
  /** The disk goes to another image: of the active layer alone (`shallow`), or of all layers. When the job is concluded. */
  | { readonly kind: 'copy'; readonly mirror: string; readonly shallow?: boolean | undefined }
  /** Layers go into one below them. When the job is concluded, before they are removed. */
  | { readonly kind: 'commit'; readonly top: string; readonly base: string }
  /** Layers below go into the active one; without a base all of them. When the job is concluded. */
  | { readonly kind: 'pull'; readonly base?: string | undefined }
  /**
   * What changed since a checkpoint, in a bitmap for a backup job: on the node that keeps old data while clients fetch
   * (pull mode), else on the active layer (push mode).
   */
  | {
      readonly kind: 'backup';
      readonly bitmap: string;
      readonly scratch?: string | undefined;
      /** What the bitmap for the job is called. */
      readonly into: string;
    }
  /** A checkpoint is forgotten. */
  | { readonly kind: 'delete'; readonly bitmap: string }
  /** An overlay comes on top; in one transaction with that. */
  | { readonly kind: 'snapshot'; readonly overlay: string }
  /** Whatever is said. */
  | ({ readonly kind: 'merge' } & MergeArguments);

/** A plan, and what belongs around it. */
export interface OperationPlan extends BitmapPlan {
  /** A transaction for before, where it was not done: when the job is ready, just before it is told to complete. */
  readonly before: readonly Action[];
  /** A transaction for when the backup is over. */
  readonly after: readonly Action[];
}

/**
 * Plans what an operation means for the bitmaps of a disk.
 * @param chain names of nodes, the active layer first; as it was before the job, so that no layer is missing.
 * @param nodes as they are when the job is concluded.
 */
export function planOperation(chain: readonly string[], nodes: Nodes, operation: Operation): OperationPlan {
  switch (operation.kind) {
    case 'delete':
      return around(withReopen(planDelete(chain, nodes, operation.bitmap), nodes));
    case 'snapshot':
      return around(withSnapshot(chain[0] ?? '', operation.overlay, nodes));
    case 'backup':
      return planBackup(chain, nodes, operation);
    default:
      return planMerging(chain, nodes, mergeArguments(chain, operation), operation);
  }
}

/** What merging means for an operation. Source: the table of merge-and-chain.md section 6. */
export function mergeArguments(
  chain: readonly string[],
  operation: Exclude<Operation, { readonly kind: 'delete' | 'snapshot' }>,
): MergeArguments {
  const [active = '', second] = chain;
  switch (operation.kind) {
    case 'copy': {
      const { mirror, shallow } = operation;
      // Without a layer below, a shallow copy is a deep one.
      return { top: active, base: shallow === true ? second : undefined, target: mirror, writeNode: mirror };
    }
    case 'commit': {
      const { top, base } = operation;
      return { top, base, target: base, writeNode: top === active ? base : undefined };
    }
    case 'pull':
      return { top: active, base: operation.base, target: active };
    case 'backup': {
      const { bitmap, into, scratch = active } = operation;
      return { top: active, target: scratch, bitmap, into };
    }
    default:
      return operation;
  }
}

function planMerging(
  chain: readonly string[],
  nodes: Nodes,
  given: MergeArguments,
  { kind }: Operation,
): OperationPlan {
  const { target, writeNode } = given;
  // The base of an intermediate commit is read-only again when the job is over, and so is what someone made so.
  const reopened = kind === 'commit' && nodes.get(target)?.readOnly === true ? [target] : [];
  const plan = planMerge(chain, writable(nodes, reopened), given);
  const there = writeNode === undefined || bitmapOn(nodes, writeNode, WRITE_BITMAP) !== undefined;
  const before = there || kind === 'merge' ? [] : [addWriteBitmap(writeNode)];
  return { ...plan, reopen: plan.actions.length === 0 ? [] : reopened, before, after: [] };
}

/** A backup needs its one bitmap: what elsewhere is left out with a reason is a problem here. */
function planBackup(
  chain: readonly string[],
  nodes: Nodes,
  operation: Extract<Operation, { readonly kind: 'backup' }>,
): OperationPlan {
  const { bitmap, into, scratch } = operation;
  const plan = planMerge(chain, nodes, mergeArguments(chain, operation));
  const invalid = invalidity(chain, nodes, bitmap);
  const problems: PlanProblem[] = [...plan.problems];
  if (invalid !== undefined) {
    const message = `no incremental backup since ${quoted(bitmap)}: ${invalidityText(invalid)}; make a full one`;
    problems.push({ code: 'missing', message });
  }
  // In pull mode it goes with its node.
  const after: Action[] = [];
  if (scratch === undefined && plan.actions.length > 0) {
    after.push({ type: 'block-dirty-bitmap-remove', data: { node: chain[0] ?? '', name: into } });
  }
  return { ...plan, problems, before: [], after };
}

/** The overlay comes on top in the same transaction, so that no write is on neither of them. */
function withSnapshot(node: string, overlay: string, nodes: Nodes): BitmapPlan {
  const plan = planSnapshot(node, overlay, nodes);
  const problems: PlanProblem[] = [...plan.problems];
  if (!nodes.has(overlay)) {
    const message = `QEMU tells of no node ${quoted(overlay)}, the overlay: blockdev-add it first, with "backing": null`;
    problems.push({ code: 'missing', message });
  }
  if (overlay === node)
    problems.push({ code: 'argument', message: `the overlay ${quoted(overlay)} is the top itself` });
  // QEMU takes a read-only overlay, and loses the bitmaps when it ends.
  else if (plan.actions.length > 0) problems.push(...holderProblems(nodes.get(overlay), 'overlay'));
  return { ...plan, problems, actions: [...plan.actions, { type: 'blockdev-snapshot', data: { node, overlay } }] };
}

function addWriteBitmap(node: string): Action {
  return { type: 'block-dirty-bitmap-add', data: { node, name: WRITE_BITMAP, persistent: false, disabled: false } };
}

function around(plan: BitmapPlan): OperationPlan {
  return { ...plan, before: [], after: [] };
}

/** Reopens only what QEMU says is read-only: what is writable stays as it is. */
function withReopen(plan: BitmapPlan, nodes: Nodes): BitmapPlan {
  const holders = [...new Set(plan.actions.map(({ data }) => data.node))].reverse();
  const told = holders.every((node) => nodes.get(node)?.readOnly !== undefined);
  if (!told) return plan;
  return { ...plan, reopen: holders.filter((node) => nodes.get(node)?.readOnly === true) };
}

/** As the nodes will be when these are reopened. */
function writable(nodes: Nodes, names: readonly string[]): Nodes {
  const changed = new Map(nodes);
  for (const name of names) {
    const facts = nodes.get(name);
    if (facts !== undefined) changed.set(name, { ...facts, readOnly: false });
  }
  return changed;
}

/**
 * Plans what must be there before a job completes: the bitmap that takes the writes from then until the merge.
 * @returns no actions where the operation needs none.
 */
export function planBefore(chain: readonly string[], nodes: Nodes, operation: Operation): BitmapPlan {
  const wrong = planOperation(chain, nodes, operation).problems.filter(({ code }) => code === 'argument');
  const needs = operation.kind === 'copy' || operation.kind === 'commit';
  const node = needs ? mergeArguments(chain, operation).writeNode : undefined;
  if (node === undefined || wrong.length > 0) return { actions: [], skipped: [], problems: wrong, reopen: [] };
  const there = bitmapOn(nodes, node, WRITE_BITMAP) !== undefined;
  const message = `${node} has a bitmap ${WRITE_BITMAP} already: left from another job, or this was done`;
  const missing = nodes.has(node) ? [] : [`QEMU tells of no node ${quoted(node)}`];
  return {
    ...{ actions: [addWriteBitmap(node)], skipped: [], reopen: [] },
    problems: [
      ...missing.map((text): PlanProblem => ({ code: 'missing', message: text })),
      ...(there ? [{ code: 'exists', message } as const] : []),
    ],
  };
}
