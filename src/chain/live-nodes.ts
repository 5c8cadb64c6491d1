import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type Json, returned } from './answer-fields.js';
import type { NodeBitmap, NodeFacts } from './node-bitmaps.js';
import { parseNodes } from './parse-nodes.js';

/** A bitmap as a running QEMU tells of it. */
export interface LiveBitmap extends NodeBitmap {
  /** Dirty bytes: granules times granularity. */
  readonly count: number | undefined;
}

/** How a node calls one of its children, such as `backing`, and which one that is. */
export interface NodeLink {
  readonly child: string;
  readonly node: string;
}

/** A node of a running QEMU, with what its place in a chain follows from. */
export interface LiveNode extends NodeFacts {
  readonly bitmaps: readonly LiveBitmap[];
  /** The name of its file, as QEMU makes it: a path, or `json:{...}`. */
  readonly file: string;
  /** The `file` of its backing node; undefined where it has none. */
  readonly backingFile: string | undefined;
  /** How the image itself names its backing file. */
  readonly backingRaw: string | undefined;
  /** The format that the image records of it. */
  readonly backingFormat: string | undefined;
  /** All of its children; undefined where QEMU does not tell. */
  readonly links: readonly NodeLink[] | undefined;
  /** `cache.direct` and `cache.no-flush`, where they are told. */
  readonly cache: { readonly direct: boolean; readonly noFlush: boolean } | undefined;
  readonly detectZeroes: string | undefined;
}

/** Where the links between nodes are from. */
export type LinkSource = 'children' | 'graph' | 'file-names';

/** What was asked of a running QEMU, for chains and plans. */
export interface LiveState {
  /** By name, in QEMU's order. */
  readonly nodes: ReadonlyMap<string, LiveNode>;
  readonly linkSource: LinkSource;
  /** The node of each drive and device, by every name that it has. */
  readonly devices: ReadonlyMap<string, string>;
}

/** What QEMU answered. */
export interface LiveAnswers {
  /** Of `query-named-block-nodes`, flat. */
  readonly nodes: unknown;
  /** Of `x-debug-query-block-graph`; needed where nodes do not tell their children (before QEMU 10.1). */
  readonly graph?: unknown;
  /** Of `query-block`. */
  readonly drives?: unknown;
}

/**
 * The nodes of a running QEMU, from what it answered. Links are taken from `children` (QEMU 10.1), else from the block graph
 * (QEMU 4.0); without both only file names are left.
 * @throws DirtyBitmapError `set-invalid`.
 */
export function parseLiveState({ nodes: list, graph, drives }: LiveAnswers): LiveState {
  const facts = parseNodes(list).nodes;
  const raw = returned(list) as readonly Json[];
  const told = raw.length > 0 && raw.every((node) => Array.isArray(node['children']));
  const edges = told || graph === undefined ? undefined : graphLinks(graph);
  const nodes = new Map<string, LiveNode>();
  for (const node of raw) {
    const own = facts.get(node['node-name'] as string) as NodeFacts;
    const links = told ? objects(node['children'], 'children').map(childOf) : edges && (edges.get(own.node) ?? []);
    nodes.set(own.node, liveNode(own, node, links));
  }
  const linkSource = told ? 'children' : edges === undefined ? 'file-names' : 'graph';
  return { nodes, linkSource, devices: drives === undefined ? new Map() : deviceNodes(drives) };
}

function liveNode(facts: NodeFacts, node: Json, links: readonly NodeLink[] | undefined): LiveNode {
  const image = (node['image'] ?? {}) as Json;
  const cache = node['cache'] as Json | undefined;
  const counts = new Map(
    objects(node['dirty-bitmaps'] ?? [], 'dirty-bitmaps').map((one) => [one['name'], one['count']]),
  );
  return {
    ...facts,
    bitmaps: facts.bitmaps.map((bitmap) => ({ ...bitmap, count: numberOf(counts.get(bitmap.name)) })),
    file: textOf(image['filename']) ?? textOf(node['file']) ?? '',
    backingFile: textOf(node['backing_file']),
    backingRaw: textOf(image['backing-filename']),
    backingFormat: textOf(image['backing-filename-format']),
    links,
    cache: cache && { direct: cache['direct'] === true, noFlush: cache['no-flush'] === true },
    detectZeroes: textOf(node['detect_zeroes']),
  };
}

function childOf(link: Json): NodeLink {
  return { child: String(link['child']), node: String(link['node-name']) };
}

/** The children of nodes in a block graph; edges of jobs and devices are left out. */
function graphLinks(graph: unknown): ReadonlyMap<string, readonly NodeLink[]> {
  const { nodes, edges } = (returned(graph) ?? {}) as Json;
  const drivers = objects(nodes, 'nodes').filter(({ type }) => type === 'block-driver');
  const names = new Map(drivers.map(({ id, name }) => [id, String(name)]));
  const links = new Map<string, NodeLink[]>();
  for (const { parent, child, name } of objects(edges, 'edges')) {
    const [from, to] = [names.get(parent), names.get(child)];
    if (from === undefined || to === undefined) continue;
    const list = links.get(from) ?? [];
    list.push({ child: String(name), node: to });
    links.set(from, list);
  }
  return links;
}

/** Drives go by their name, their device's id, and the path of that. Empty drives have no node. */
function deviceNodes(drives: unknown): ReadonlyMap<string, string> {
  const nodes = new Map<string, string>();
  for (const { device, qdev, inserted } of objects(drives, 'the answer to query-block')) {
    const node = textOf((inserted as Json | undefined)?.['node-name']);
    if (node === undefined) continue;
    for (const name of [textOf(device), textOf(qdev)]) if (name) nodes.set(name, node);
  }
  return nodes;
}

function objects(value: unknown, what: string): readonly Json[] {
  const fits = Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null);
  if (fits) return value;
  const found = quoted(JSON.stringify(value) ?? 'nothing');
  throw new DirtyBitmapError('set-invalid', `${what}: expected an array of objects, found ${found}`, { path: what });
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}
