import type { BlockNode } from '../migration/block-graph.js';
import type { MigrationSide } from './migration-side.js';

/**
 * The node of the destination that stands for a node of the source, by the name of its drive or else its own; undefined where
 * there is none.
 */
export function counterpart(node: BlockNode, source: MigrationSide, destination: MigrationSide): BlockNode | undefined {
  const backend = [...source.graph.backends].find((one) => isAbove(one.node, node))?.name;
  const there = [...destination.graph.backends].find(({ name }) => name === backend)?.node;
  return bottomOf(there) ?? [...destination.graph.nodes].find(({ name }) => name === node.name);
}

/**
 * Whether a persistent bitmap goes over in the image itself, when both ends have one image open and it does not go in the
 * stream: the source stores it there when its guest stops, and the destination loads it when it takes over. What shows that
 * it is one image is that the destination sees bitmaps of it marked as in use, by the source.
 */
export function isInImage(
  node: BlockNode,
  persistent: boolean,
  source: MigrationSide,
  destination: MigrationSide,
): boolean {
  const there = persistent ? counterpart(node, source, destination) : undefined;
  return there !== undefined && (destination.stored.get(there.name) ?? []).some(({ inUse }) => inUse);
}

function isAbove(top: BlockNode | undefined, node: BlockNode): boolean {
  for (let at = top; at !== undefined; at = at.filtered) if (at === node) return true;
  return false;
}

function bottomOf(top: BlockNode | undefined): BlockNode | undefined {
  let node = top;
  while (node?.filtered !== undefined) node = node.filtered;
  return node;
}
