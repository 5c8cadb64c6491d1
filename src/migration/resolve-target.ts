import { type Name, quoted } from '../bytes/text.js';
import type { Target } from '../chunk/name-memory.js';
import type { BlockBitmapMapping } from './block-bitmap-mapping.js';
import type { BlockGraph, BlockNode } from './block-graph.js';
import type { FaultCode } from './destination-transitions.js';

/** What a stream's names mean here. */
export interface Resolved {
  readonly node: BlockNode;
  readonly name: string | Name;
  /** What the mapping makes of START's persistent flag, if anything. */
  readonly persistent: boolean | undefined;
}

/** What is wrong with a stream's names. */
export interface Unresolved {
  readonly code: FaultCode;
  readonly message: string;
}

/**
 * What the names of a chunk mean at this destination: with a mapping both are aliases, and the node is looked up by its
 * node name only; without one, the name is a backend's or else a node's. Source: dirty-bitmap-states.md section 4.
 */
export function resolveTarget(
  graph: BlockGraph,
  mapping: BlockBitmapMapping | undefined,
  target: Target,
): Resolved | Unresolved {
  if (mapping === undefined) {
    const node = target.node.clean ? backendOrNode(graph, target.node.text) : undefined;
    return node === undefined
      ? noNode(target.node.text, 'give a node that name, or map it')
      : { node, name: target.bitmap, persistent: undefined };
  }
  const mapped = mapping.nodeByAlias(target.node);
  if (mapped === undefined) {
    const message = `the mapping has no node alias ${quoted(target.node.text)}; add it`;
    return { code: 'alias-unknown', message };
  }
  const bitmap = mapping.bitmapByAlias(target.node, target.bitmap);
  if (bitmap === undefined) {
    const message = `the mapping has no bitmap alias ${quoted(target.bitmap.text)} for node ${quoted(target.node.text)}; add it`;
    return { code: 'alias-unknown', message };
  }
  const node = nodeOf(graph, mapped['node-name']);
  if (node === undefined) return noNode(mapped['node-name'], 'the mapping asks for it');
  return { node, name: bitmap.name, persistent: bitmap.transform?.persistent };
}

function backendOrNode(graph: BlockGraph, name: string): BlockNode | undefined {
  for (const backend of graph.backends) {
    if (backend.name === name && backend.node !== undefined) return backend.node;
  }
  return nodeOf(graph, name);
}

function nodeOf(graph: BlockGraph, name: string): BlockNode | undefined {
  if (name === '') return undefined;
  for (const node of graph.nodes) if (node.name === name) return node;
  return undefined;
}

function noNode(name: string, what: string): Unresolved {
  return { code: 'node-not-found', message: `there is no node ${quoted(name)}; ${what}` };
}
