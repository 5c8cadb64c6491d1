import { quoted } from '../bytes/text.js';
import type { Action, BitmapSource } from '../chain/actions.js';
import { liveChain } from '../chain/live-chain.js';
import type { LiveBitmap, LiveState } from '../chain/live-nodes.js';

/** What QEMU shows of a transaction: it was done, it was not, or both would look the same. */
export type Shown = 'done' | 'not-done' | 'unclear';

/** A transaction, held against what QEMU shows. */
export interface Verification {
  readonly shown: Shown;
  /** What is not as the transaction leaves it. */
  readonly differences: readonly string[];
}

/**
 * Holds a transaction against what QEMU shows after it. Bits cannot be compared (they go on changing, and QMP does not show
 * them), but existence, flags and the least count can.
 */
export function verifyPlan(actions: readonly Action[], before: LiveState, after: LiveState): Verification {
  const differences: string[] = [];
  let undone = 0;
  let certain = 0;
  for (const action of actions) {
    const { node } = action.data;
    if (action.type === 'block-dirty-bitmap-merge') {
      differences.push(...mergeDifferences(action.data, actions, before, after));
      continue;
    }
    certain++;
    if (action.type === 'blockdev-snapshot') {
      const { overlay } = action.data;
      const below = nodeBelow(overlay, after);
      if (below === node) continue;
      if (below === undefined) {
        certain--;
        differences.push(`what ${overlay} is on top of could not be told`);
        continue;
      }
      undone++;
      differences.push(`${overlay} is not on top of ${node}`);
      continue;
    }
    const { name } = action.data;
    const found = bitmapIn(after, node, name);
    const label = `${quoted(name)} of ${node}`;
    if (action.type === 'block-dirty-bitmap-remove') {
      if (found === undefined) continue;
      undone++;
      differences.push(`bitmap ${label} is still there`);
    } else if (found === undefined) {
      undone++;
      differences.push(`bitmap ${label} was not made`);
    } else if (found.persistent !== action.data.persistent || found.recording === action.data.disabled) {
      differences.push(`bitmap ${label} has other flags than it was made with`);
    }
  }
  if (differences.length === 0) return { shown: certain > 0 ? 'done' : 'unclear', differences };
  return { shown: certain > 0 && undone === certain ? 'not-done' : 'unclear', differences };
}

/** The next layer; undefined where the chain cannot be followed, which must not hide that the transaction was done. */
function nodeBelow(overlay: string, state: LiveState): string | null | undefined {
  try {
    return liveChain(overlay, state).layers[1]?.node ?? null;
  } catch {
    return undefined;
  }
}

/** A merge only adds: what any of the sources had is in the target. */
function mergeDifferences(
  { node, target, bitmaps }: Extract<Action, { readonly type: 'block-dirty-bitmap-merge' }>['data'],
  actions: readonly Action[],
  before: LiveState,
  after: LiveState,
): string[] {
  const found = bitmapIn(after, node, target);
  if (found === undefined) {
    const added = actions.some(({ type, data }) => type.endsWith('-add') && 'name' in data && data.name === target);
    return added ? [] : [`bitmap ${quoted(target)} of ${node} is not there`];
  }
  return bitmaps
    .filter((source) => leastCount(source, before) > (found.count ?? Number.POSITIVE_INFINITY))
    .map(({ node: from, name }) => `bitmap ${quoted(target)} of ${node} has fewer dirty bytes than ${from}/${name}`);
}

/** The last granule of a disk counts whole, so in smaller granules it may come to less. */
function leastCount({ node, name }: BitmapSource, state: LiveState): number {
  const { count = 0, granularity = 0 } = bitmapIn(state, node, name) ?? {};
  return count - granularity;
}

function bitmapIn(state: LiveState, node: string, name: string): LiveBitmap | undefined {
  return state.nodes.get(node)?.bitmaps.find((bitmap) => bitmap.name === name);
}
