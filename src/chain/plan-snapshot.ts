import { quoted } from '../bytes/text.js';
import type { Action, BitmapPlan, PlanProblem, Skipped } from './actions.js';
import { bitmapOn, type Nodes } from './node-bitmaps.js';

/**
 * Plans the bitmaps of an overlay, in the transaction that puts it on top: one for each of the old top that is persistent,
 * recording and not inconsistent, so that their runs stay unbroken. Source: merge-and-chain.md section 6.
 */
export function planSnapshot(top: string, overlay: string, nodes: Nodes): BitmapPlan {
  const actions: Action[] = [];
  const skipped: Skipped[] = [];
  const problems: PlanProblem[] = [];
  if (!nodes.has(top)) problems.push({ code: 'argument', message: `QEMU tells of no node ${quoted(top)}, the top` });
  for (const { name, granularity, recording, persistent, inconsistent } of nodes.get(top)?.bitmaps ?? []) {
    if (!recording || !persistent || inconsistent) {
      const reason = inconsistent ? 'it is inconsistent' : recording ? 'it is transient' : 'it does not record';
      skipped.push({ name, node: top, reason: `${reason}, so the overlay needs none` });
      continue;
    }
    if (bitmapOn(nodes, overlay, name) !== undefined) {
      problems.push({ code: 'exists', message: `the overlay ${overlay} has a bitmap ${quoted(name)} already` });
    }
    const data = { node: overlay, name, persistent: true, disabled: false };
    actions.push({
      type: 'block-dirty-bitmap-add',
      data: granularity === undefined || granularity === 0 ? data : { ...data, granularity },
    });
  }
  return { actions, skipped, problems, reopen: [] };
}
