import { describe, expect, it } from 'vitest';
import type { Action } from '../../src/chain/actions.js';
import { type LiveState, parseLiveState } from '../../src/chain/live-nodes.js';
import { verifyPlan } from '../../src/qmp/verify-plan.js';

/** Node `a` with bitmaps of these counts, below `b` where that is asked for. */
function state(counts: Readonly<Record<string, number>>, more: object = {}, backing = 'none'): LiveState {
  const bitmaps = Object.entries(counts).map(([name, count]) => ({
    ...{ name, count, granularity: 512, recording: true, persistent: true, ...more },
  }));
  return parseLiveState({
    nodes: [
      { 'node-name': 'a', children: [], 'dirty-bitmaps': bitmaps },
      { 'node-name': 'b', children: backing === 'none' ? [] : [{ child: 'backing', 'node-name': backing }] },
    ],
  });
}

const add: Action = {
  type: 'block-dirty-bitmap-add',
  data: { node: 'a', name: 'n', persistent: true, disabled: false },
};
const remove: Action = { type: 'block-dirty-bitmap-remove', data: { node: 'a', name: 'm' } };
const merge: Action = {
  type: 'block-dirty-bitmap-merge',
  data: { node: 'a', target: 'n', bitmaps: [{ node: 'a', name: 's' }] },
};
const snapshot: Action = { type: 'blockdev-snapshot', data: { node: 'a', overlay: 'b' } };

describe('verifyPlan', () => {
  const before = state({ m: 0, s: 4096 });
  it.each([
    ['all is there', [add, merge, remove], state({ n: 4096, s: 4096 }), 'done', 0],
    ['a last granule that is cut', [add, merge], state({ n: 3584, s: 4096 }), 'done', 0],
    ['nothing is', [add, merge, remove], before, 'not-done', 2],
    ['a part is', [add, remove], state({ n: 0, m: 0 }), 'unclear', 1],
    ['too little was merged', [add, merge], state({ n: 512, s: 4096 }), 'unclear', 1],
    ['a target that is gone', [merge], before, 'unclear', 1],
    ['only a merge, which leaves nothing to see', [merge], state({ n: 4096, s: 4096 }), 'unclear', 0],
    ['other flags', [add], state({ n: 0 }, { recording: false }), 'unclear', 1],
    ['an overlay on top', [snapshot], state({}, {}, 'a'), 'done', 0],
    ['an overlay whose chain cannot be followed', [snapshot], state({}, {}, 'b'), 'unclear', 1],
    ['an overlay that is not', [snapshot], before, 'not-done', 1],
  ] as const)('%s', (_, actions, after, shown, count) => {
    const result = verifyPlan(actions, before, after);
    expect([result.shown, result.differences.length]).toEqual([shown, count]);
  });
});
