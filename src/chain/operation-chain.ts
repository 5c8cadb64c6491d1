import { liveChain } from './live-chain.js';
import type { LiveState } from './live-nodes.js';
import type { Operation } from './plan-operation.js';

/**
 * The chain that an operation is planned over, as it was before the job: a commit that is concluded has taken its layers
 * out from under the active one, but they still have theirs below them.
 * @param active the active layer: a node; or a drive or device, where the job has not moved that to another node.
 * @returns names of nodes, the active layer first.
 * @throws DirtyBitmapError as {@link liveChain}.
 */
export function operationChain(active: string, operation: Operation, state: LiveState): readonly string[] {
  const chain = namesBelow(active, state);
  if (operation.kind !== 'commit' || operation.top === '' || chain.includes(operation.top)) return chain;
  const committed = namesBelow(operation.top, state);
  const above = chain.findIndex((node) => committed.includes(node));
  return [...(above < 0 ? chain : chain.slice(0, above)), ...committed];
}

function namesBelow(node: string, state: LiveState): readonly string[] {
  return liveChain(node, state).layers.map((layer) => layer.node);
}
