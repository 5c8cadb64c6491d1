import type { BitmapPlan } from '../chain/actions.js';
import type { LiveState } from '../chain/live-nodes.js';
import { DirtyBitmapError } from '../errors.js';
import { qmpCommand } from '../qmp/commands.js';
import { reopenOptions } from '../qmp/reopen-options.js';
import { planScript } from '../report/plan-script.js';

/** The script of a plan. @throws DirtyBitmapError `unsupported` where a node is to be reopened and is not known enough. */
export function scriptOf(plan: BitmapPlan, state: LiveState | undefined): string {
  const reopen = (readOnly: boolean): object | undefined => {
    if (plan.reopen.length === 0) return undefined;
    if (state === undefined) throw new DirtyBitmapError('unsupported', 'reopening needs what --qmp tells');
    const options = plan.reopen.map((node) => reopenOptions(state, node, readOnly));
    return qmpCommand('blockdev-reopen', { options });
  };
  const transaction = qmpCommand('transaction', { actions: plan.actions });
  return planScript(plan, { open: reopen(false), transaction, close: reopen(true) });
}
