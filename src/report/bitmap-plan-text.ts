import { printable, quoted } from '../bytes/text.js';
import type { Action, BitmapPlan } from '../chain/actions.js';
import type { OperationPlan } from '../chain/plan-operation.js';

/** A plan for a person: what one transaction does, what is left out and why, what QEMU would refuse. */
export function bitmapPlanText(plan: BitmapPlan & Partial<OperationPlan>): string[] {
  const { actions, skipped, problems, reopen, before = [], after = [] } = plan;
  const lines: string[] = [];
  if (before.length > 0) lines.push('before, when the job is ready, just before it is told to complete (--prepare):');
  lines.push(...before.map((action) => `  ${actionText(action)}`));
  lines.push(actions.length === 0 ? 'nothing to do: no transaction is to be sent' : 'one transaction:');
  lines.push(...actions.map((action) => `  ${actionText(action)}`));
  if (reopen.length > 0)
    lines.push(`reopen read-write before, and read-only after: ${reopen.map(printable).join(', ')}`);
  if (after.length > 0) lines.push('when the backup is over:');
  lines.push(...after.map((action) => `  ${actionText(action)}`));
  if (skipped.length > 0) lines.push('left out:');
  lines.push(...skipped.map(({ node, name, reason }) => `  ${printable(`${node}/${name}`)}: ${printable(reason)}`));
  if (problems.length > 0) lines.push('problems:');
  lines.push(...problems.map(({ message }) => `  ${printable(message)}`));
  return lines;
}

function actionText(action: Action): string {
  const { node } = action.data;
  switch (action.type) {
    case 'block-dirty-bitmap-add': {
      const { name, persistent, disabled, granularity } = action.data;
      const kind = `${persistent ? 'persistent' : 'transient'}, ${disabled ? 'disabled' : 'recording'}`;
      return `add ${quoted(name)} to ${printable(node)} (${kind}, granularity ${granularity ?? "QEMU's default"})`;
    }
    case 'block-dirty-bitmap-merge': {
      const { target, bitmaps } = action.data;
      const sources = bitmaps.map((source) => printable(`${source.node}/${source.name}`));
      return `merge into ${quoted(target)} of ${printable(node)}: ${sources.join(', ')}`;
    }
    case 'blockdev-snapshot':
      return `put ${printable(action.data.overlay)} on top of ${printable(node)}`;
    default:
      return `remove ${quoted(action.data.name)} from ${printable(node)}`;
  }
}
