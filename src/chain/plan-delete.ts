import { quoted } from '../bytes/text.js';
import type { Action, BitmapPlan, PlanProblem } from './actions.js';
import { bitmapOn, type Nodes } from './node-bitmaps.js';

/**
 * Plans the deletion of a checkpoint: its bitmap goes from every layer that has it, whatever its state. All but the active
 * layer have to be reopened read-write for it. Source: merge-and-chain.md section 7.
 * @param chain names of nodes, the active layer first.
 */
export function planDelete(chain: readonly string[], nodes: Nodes, name: string): BitmapPlan {
  const holders = [...new Set(chain)].filter((node) => bitmapOn(nodes, node, name) !== undefined);
  const actions = holders.map((node): Action => ({ type: 'block-dirty-bitmap-remove', data: { node, name } }));
  const problems: PlanProblem[] = holders
    .filter((node) => bitmapOn(nodes, node, name)?.busy === true)
    .map((node) => ({
      code: 'busy',
      message: `bitmap ${quoted(name)} of ${node} is busy: a job or an export uses it`,
    }));
  if (holders.length === 0) {
    problems.push({
      code: 'missing',
      message: `no layer of the chain (${chain.join(', ')}) has a bitmap ${quoted(name)}`,
    });
  }
  return { actions, skipped: [], problems, reopen: holders.filter((node) => node !== chain[0]).reverse() };
}
