import { quoted } from '../bytes/text.js';
import { FILTERS } from '../chain/live-chain.js';
import { type LiveBitmap, type LiveNode, type LiveState, parseLiveState } from '../chain/live-nodes.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import { resolveLimits } from '../limits.js';
import type { BlockBackend, BlockGraph } from '../migration/block-graph.js';
import { MemoryNode } from '../migration/memory-graph.js';
import { TrackedBitmap } from '../migration/tracked-bitmap.js';
import {
  inProgress,
  type MigrationParameters,
  type MigrationProgress,
  parseMigrationCapabilities,
  parseMigrationParameters,
  parseMigrationProgress,
  parseRunState,
  parseSwitchoverStart,
  parseVersion,
  type QemuRelease,
} from './migration-state.js';
import { type StoredBitmap, storedBitmaps } from './stored-bitmaps.js';

/** What was asked of one end of a migration; each is what that command returned. */
export interface MigrationAnswers {
  /** Of `query-named-block-nodes`, flat. */
  readonly nodes: unknown;
  /** Of `query-block`: the named backends. */
  readonly drives: unknown;
  /** Of `x-debug-query-block-graph`: filters are stepped over by it, where nodes do not tell their children. */
  readonly graph?: unknown;
  /** Of `query-migrate`. */
  readonly migration: unknown;
  /** Of `query-migrate-capabilities`. */
  readonly capabilities: unknown;
  /** Of `query-migrate-parameters`. */
  readonly parameters: unknown;
  /** Of `query-status`. */
  readonly status: unknown;
  /** Of `query-version`. */
  readonly version: unknown;
  /** Of `info migrate`, or of `info migrate -a`, which is for people: a text. */
  readonly globals?: unknown;
  /** Why the nodes could not be asked for: one of them lost its image. */
  readonly ejected?: string | undefined;
}

/** One end of a migration: what the outlook and the comparison of both ends are made from. */
export interface MigrationSide {
  readonly release: QemuRelease;
  /** The nodes with their bitmaps, which have no bits here. */
  readonly graph: BlockGraph;
  /** What QEMU says of each bitmap of the graph. */
  readonly told: ReadonlyMap<TrackedBitmap, LiveBitmap>;
  /** Capabilities that are on. */
  readonly capabilities: ReadonlySet<string>;
  readonly parameters: MigrationParameters;
  readonly migration: MigrationProgress;
  /** `running`, `inmigrate`, `postmigrate`, ... */
  readonly runState: string;
  /** What the images of nodes have stored, by the names of the nodes; loaded or not. */
  readonly stored: ReadonlyMap<string, readonly StoredBitmap[]>;
  /** Whether it would send SWITCHOVER_START, as machine type and command line have it; undefined where it does not tell. */
  readonly switchoverStart: boolean | undefined;
  /** What QEMU says where a node lost its image: it tells of no node then. */
  readonly ejected: string | undefined;
  /** SHA-256 of the bits of bitmaps, where they were asked for. */
  readonly hashes: ReadonlyMap<TrackedBitmap, string>;
}

/**
 * One end of a migration, from what its QEMU answered. Bitmaps that the running migration itself keeps busy are not busy
 * in the graph.
 * @throws DirtyBitmapError `set-invalid`, `mapping-invalid`.
 */
export function parseMigrationSide(answers: MigrationAnswers): MigrationSide {
  const state = parseLiveState(answers);
  const migration = parseMigrationProgress(answers.migration);
  const capabilities = parseMigrationCapabilities(answers.capabilities);
  const told = new Map<TrackedBitmap, LiveBitmap>();
  const migrating = inProgress(migration.status) && capabilities.has('dirty-bitmaps');
  return {
    release: parseVersion(answers.version),
    graph: blockGraph(state, answers.drives, migrating, told),
    ...{ told, capabilities, migration },
    parameters: parseMigrationParameters(answers.parameters),
    runState: parseRunState(answers.status),
    stored: storedBitmaps(answers.nodes),
    switchoverStart: parseSwitchoverStart(answers.globals),
    ejected: answers.ejected,
    hashes: new Map(),
  };
}

function blockGraph(
  state: LiveState,
  drives: unknown,
  migrating: boolean,
  told: Map<TrackedBitmap, LiveBitmap>,
): BlockGraph {
  const nodes = new Map<string, MemoryNode>();
  // QEMU lists the newest first.
  for (const top of [...state.nodes.values()].reverse()) {
    // A filter is made after the node below it. One that is below itself has none.
    const down: LiveNode[] = [];
    const seen = new Set<LiveNode>();
    for (let node: LiveNode | undefined = top; node && !seen.has(node) && !nodes.has(node.node); ) {
      down.push(node);
      seen.add(node);
      node = filteredBy(node, state);
    }
    for (const node of down.reverse()) nodes.set(node.node, memoryNode(node, state, nodes, migrating, told));
  }
  return { nodes: [...nodes.values()], backends: backendsOf(drives, nodes) };
}

function filteredBy({ format = '', links = [] }: LiveNode, { nodes }: LiveState): LiveNode | undefined {
  const child = FILTERS.get(format);
  return child === undefined ? undefined : nodes.get(links.find((link) => link.child === child)?.node ?? '');
}

function memoryNode(
  node: LiveNode,
  state: LiveState,
  nodes: ReadonlyMap<string, MemoryNode>,
  migrating: boolean,
  told: Map<TrackedBitmap, LiveBitmap>,
): MemoryNode {
  const { virtualSize: size = 0, readOnly = false, format, qcow2Compat } = node;
  const creation = {
    ...{ name: node.node, size, readOnly },
    canStore: format === 'qcow2' && qcow2Compat !== '0.10' && !readOnly,
    filtered: nodes.get(filteredBy(node, state)?.node ?? ''),
  };
  const memory = { used: 0, max: resolveLimits().maxBitmapMemory };
  const made = new MemoryNode(creation, memory);
  for (const bitmap of node.bitmaps) {
    if (node.virtualSize === undefined || bitmap.granularity === undefined) {
      const label = quoted(`${node.node}/${bitmap.name}`, 96);
      throw new DirtyBitmapError('set-invalid', `bitmap ${label}: its granularity or the size of its disk is not told`);
    }
    const tracked = trackedBitmap(bitmap, bitmap.granularity, made);
    tracked.busy = bitmap.busy && !migrating;
    told.set(tracked, bitmap);
    made.restoreBitmap(tracked);
  }
  return made;
}

function trackedBitmap(bitmap: LiveBitmap, granularity: number, { name, size, readOnly }: MemoryNode): TrackedBitmap {
  const { recording, persistent, inconsistent } = bitmap;
  try {
    // QMP does not show it: what is stored in an image that may not be written may not change.
    const frozen = readOnly && persistent;
    return new TrackedBitmap(
      { name: bitmap.name, granularity, recording, persistent, inconsistent, readOnly: frozen },
      size,
    );
  } catch (error) {
    if (!isDirtyBitmapError(error)) throw error;
    const message = `bitmap ${quoted(`${name}/${bitmap.name}`, 96)}: ${error.message}; give what query-named-block-nodes returned`;
    throw new DirtyBitmapError('set-invalid', message, { cause: error });
  }
}

interface Drive {
  readonly device?: unknown;
  readonly inserted?: { readonly 'node-name'?: unknown } | null;
}

/** What the block layer calls named backends: drives with a name. Their shape was looked at with the state. */
function backendsOf(drives: unknown, nodes: ReadonlyMap<string, MemoryNode>): BlockBackend[] {
  const list: readonly Drive[] = Array.isArray(drives) ? drives : [];
  return list.flatMap(({ device, inserted }) => {
    if (typeof device !== 'string' || device === '') return [];
    return [{ name: device, node: nodes.get(String(inserted?.['node-name'] ?? '')) }];
  });
}
