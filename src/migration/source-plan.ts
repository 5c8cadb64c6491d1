import { granulesIn } from '../bitmap/granularity.js';
import { type Name, nameFromText, quoted } from '../bytes/text.js';
import { SECTOR } from '../chunk/chunk-cursor.js';
import type { Code } from '../rules.js';
import { refusalOf } from './bitmap-operations.js';
import type { BlockBitmapMapping, MappedNode } from './block-bitmap-mapping.js';
import type { BlockGraph, BlockNode } from './block-graph.js';
import type { TrackedBitmap } from './tracked-bitmap.js';

/** A bitmap that migrates, and under which name. */
export interface PlannedBitmap {
  readonly node: BlockNode;
  readonly bitmap: TrackedBitmap;
  /** Node name, device name or alias: as in the stream. */
  readonly nodeAlias: Name;
  /** Bitmap name or alias: as in the stream. */
  readonly alias: Name;
  /** START's byte: bit 0 enabled, bit 1 persistent. As it is when the plan is made. */
  readonly startFlags: number;
  /** Bytes. */
  readonly granularity: number;
  /** Bits of the bitmap. */
  readonly granules: number;
  /** Sectors of the disk, rounded up. */
  readonly sectors: number;
}

/** Why a bitmap stays behind without anything being wrong. */
export type LeftOutReason = 'unnamed' | 'node-not-mapped' | 'bitmap-not-mapped' | 'unfit';

/** A bitmap that does not migrate, though nothing is refused. */
export interface LeftOut {
  readonly node: BlockNode;
  readonly bitmap: TrackedBitmap;
  readonly reason: LeftOutReason;
  /** With `unfit`: what QEMU would have refused the whole migration for. */
  readonly code?: Code;
  readonly message: string;
}

/** What QEMU fails the migration for. */
export interface PlanRefusal {
  readonly node: BlockNode;
  readonly bitmap: TrackedBitmap;
  readonly code: Code;
  /** What is in the way, what to do. */
  readonly message: string;
}

/** What a source would send, before anything is touched. */
export interface SourcePlan {
  /** In the order of the stream. */
  readonly bitmaps: readonly PlannedBitmap[];
  /** Bitmaps that stay behind, and why. */
  readonly leftOut: readonly LeftOut[];
  /** The migration cannot begin unless this is empty. */
  readonly refusals: readonly PlanRefusal[];
}

/** What a plan depends on besides the block graph. */
export interface PlanOptions {
  /** Names in the stream; without one, backend and node names. */
  readonly mapping?: BlockBitmapMapping | undefined;
  /** Leaves out what QEMU would fail the migration for. Default false. */
  readonly skipUnfit?: boolean | undefined;
}

/** Bytes of a name on the wire at most. */
const MAX_WIRE_NAME = 255;

/**
 * Which bitmaps migrate and under which names, and what stays behind or is in the way. Bitmaps of a node that is not
 * mapped are left out without being checked; one that is not mapped, of a node that is, is checked like any other.
 * Source: dirty-bitmap-states.md section 4.
 */
export function planSource(graph: BlockGraph, options: PlanOptions = {}): SourcePlan {
  const plan = new Planner(options);
  const handled = new Set<BlockNode>();
  if (options.mapping === undefined) {
    for (const backend of graph.backends) {
      const node = underFilters(backend.node);
      if (node === undefined || node.filtered !== undefined) continue;
      plan.node(node, backend.name, handled.has(node));
      handled.add(node);
    }
  }
  for (const node of graph.nodes) if (!handled.has(node)) plan.node(node, undefined, false);
  return plan;
}

/** Down through filters that have no bitmap of their own. */
function underFilters(top: BlockNode | undefined): BlockNode | undefined {
  let node = top;
  while (node?.filtered !== undefined && !node.bitmaps.some((bitmap) => bitmap.name !== undefined)) {
    node = node.filtered;
  }
  return node;
}

class Planner implements SourcePlan {
  readonly bitmaps: PlannedBitmap[] = [];
  readonly leftOut: LeftOut[] = [];
  readonly refusals: PlanRefusal[] = [];
  readonly #mapping: BlockBitmapMapping | undefined;
  readonly #skipUnfit: boolean;

  constructor(options: PlanOptions) {
    this.#mapping = options.mapping;
    this.#skipUnfit = options.skipUnfit ?? false;
  }

  /** The bitmaps of a node, under the name of its backend where it has one; `twice` where they were planned before. */
  node(node: BlockNode, backend: string | undefined, twice: boolean): void {
    const mapped = this.#mapping?.nodeByName(node.name);
    const alias = nameFromText(mapped?.alias ?? backend ?? node.name);
    for (const bitmap of node.bitmaps) {
      if (bitmap.name === undefined) {
        this.#leave(node, bitmap, 'unnamed', 'an unnamed bitmap belongs to a job and does not migrate');
      } else if (this.#mapping !== undefined && mapped === undefined) {
        this.#leave(node, bitmap, 'node-not-mapped', `${label(node, bitmap)}: the mapping does not have its node`);
      } else {
        this.#named(node, bitmap, bitmap.name, alias, mapped, backend !== undefined, twice);
      }
    }
  }

  #named(
    node: BlockNode,
    bitmap: TrackedBitmap,
    name: Name,
    nodeAlias: Name,
    mapped: MappedNode | undefined,
    byBackend: boolean,
    twice: boolean,
  ): void {
    const entry = mapped && this.#mapping?.bitmapByName(node.name, name);
    if (mapped !== undefined && entry === undefined) {
      // QEMU looks at the bitmap before it looks for its alias, and fails on one that it would not even have sent.
      const unfit = this.#skipUnfit ? undefined : refusalOf('migrate', bitmap);
      if (unfit !== undefined) {
        const message = `${label(node, bitmap)}: ${unfit.message} (QEMU refuses it though the mapping does not have it)`;
        this.refusals.push({ node, bitmap, code: unfit.code, message });
        return;
      }
      this.#leave(node, bitmap, 'bitmap-not-mapped', `${label(node, bitmap)}: the mapping does not have it`);
      return;
    }
    const alias = entry === undefined ? name : nameFromText(entry.alias);
    const unfit =
      nodeUnfit(node, nodeAlias, mapped !== undefined || byBackend, twice) ??
      nameUnfit(bitmap, alias, entry !== undefined) ??
      refusalOf('migrate', bitmap);
    if (unfit !== undefined) {
      const message = `${label(node, bitmap)}: ${unfit.message}`;
      if (this.#skipUnfit) this.#leave(node, bitmap, 'unfit', message, unfit.code);
      else this.refusals.push({ node, bitmap, code: unfit.code, message });
      return;
    }
    const persistent = entry?.transform?.persistent ?? bitmap.persistent;
    this.bitmaps.push({
      node,
      bitmap,
      nodeAlias,
      alias,
      startFlags: (bitmap.enabled ? 1 : 0) | (persistent ? 2 : 0),
      granularity: bitmap.granularity,
      granules: granulesIn(node.size, bitmap.granularity),
      sectors: granulesIn(node.size, SECTOR),
    });
  }

  #leave(node: BlockNode, bitmap: TrackedBitmap, reason: LeftOutReason, message: string, code?: Code): void {
    this.leftOut.push({ node, bitmap, reason, message, ...(code === undefined ? {} : { code }) });
  }
}

interface Unfit {
  readonly code: Code;
  readonly message: string;
}

/** What is wrong with the name of the node; a mapped or backend name may stand for any node. */
function nodeUnfit(node: BlockNode, alias: Name, addressed: boolean, twice: boolean): Unfit | undefined {
  if (!addressed && (node.name === '' || node.name.startsWith('#'))) {
    const what = node.name === '' ? 'its node has no name' : `the name ${quoted(node.name)} was made up by QEMU`;
    return { code: 'node-unnamed', message: `${what}; give the node a node-name, or map it` };
  }
  if (alias.bytes.length > MAX_WIRE_NAME) return tooLong('node', alias);
  if (!twice) return undefined;
  const message = `its node is below two named backends, ${quoted(alias.text)} is the second; detach one, or map the node`;
  return { code: 'node-twice', message };
}

function nameUnfit(bitmap: TrackedBitmap, alias: Name, mapped: boolean): Unfit | undefined {
  if (alias.bytes.length > MAX_WIRE_NAME) return tooLong('bitmap', alias);
  // QEMU sends an empty alias, which no destination can read; that stream is still ours to write byte for byte.
  if (alias.bytes.length === 0 && !mapped) return { code: 'name-empty', message: 'its name is empty' };
  if (!alias.bytes.includes(0)) return undefined;
  return { code: 'name-nul', message: `its name ${quoted(bitmap.name?.text ?? '')} holds a NUL; rename it` };
}

function tooLong(what: string, alias: Name): Unfit {
  const message = `the ${what} name has ${alias.bytes.length} bytes, a stream holds ${MAX_WIRE_NAME}; map it to a shorter alias`;
  return { code: 'name-too-long', message };
}

function label(node: BlockNode, bitmap: TrackedBitmap): string {
  return quoted(`${node.name}/${bitmap.name?.text ?? ''}`, 96);
}
