import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { LinkSource, LiveBitmap, LiveNode, LiveState } from './live-nodes.js';

/** A layer of the chain of a running VM. Sizes are in bytes. */
export interface LiveLayer {
  readonly node: string;
  /** The filters above it that were stepped over, the uppermost first. */
  readonly filters: readonly string[];
  /** The name that QEMU has for its file; nothing of it was read. */
  readonly path: string;
  /** The driver of the node. */
  readonly format: string | undefined;
  /** How the image names its backing file; QEMU may have been told another one. */
  readonly backingRaw: string | undefined;
  readonly virtualSize: number | undefined;
  readonly readOnly: boolean | undefined;
  /** In QEMU's order. */
  readonly bitmaps: readonly LiveBitmap[];
}

/** The backing chain of a running VM. */
export interface LiveChain {
  /** The active layer first. */
  readonly layers: readonly LiveLayer[];
  /** The end is always known: QEMU has all of a chain open. */
  readonly end: 'terminated';
  /** In a sentence. */
  readonly endReason: string;
  /** Where the links between the layers are from: those of `file-names` are guessed. */
  readonly linkSource: LinkSource;
}

/**
 * Drivers that hold no data of their own, with the child that the data come from. Jobs put in `mirror_top`, `commit_top`,
 * `copy-before-write` (`backup-top` before QEMU 6.1) and `copy-on-read`.
 */
export const FILTERS: ReadonlyMap<string, string> = new Map([
  ['mirror_top', 'backing'],
  ['commit_top', 'backing'],
  ['backup-top', 'backing'],
  ['copy-before-write', 'file'],
  ['copy-on-read', 'file'],
  ['throttle', 'file'],
  ['compress', 'file'],
  ['preallocate', 'file'],
  ['blkdebug', 'file'],
  ['blklogwrites', 'file'],
  ['blkreplay', 'image'],
]);

/** Drivers whose data are in several children, so that there is no one chain below them. */
const BRANCHING: readonly string[] = ['quorum', 'blkverify', 'replication'];

/**
 * The backing chain below a node, from what QEMU said. Filters are stepped over. Nothing is read from files.
 * Source: merge-and-chain.md section 12.
 * @param start a node; or a drive or device, by its name, id or QOM path.
 * @throws DirtyBitmapError `argument`: there is no such node, or file names alone leave several; `chain-loop`;
 * `chain-too-deep`; `unsupported`.
 */
export function liveChain(start: string, state: LiveState, limits: Partial<Limits> = {}): LiveChain {
  const { maxChainDepth } = resolveLimits(limits);
  const layers: LiveLayer[] = [];
  const seen = new Set<string>();
  let filters: string[] = [];
  let node: LiveNode | undefined = startNode(start, state);
  for (; node !== undefined; ) {
    if (seen.has(node.node)) {
      throw new DirtyBitmapError(
        'chain-loop',
        `the node ${quoted(node.node)} is below itself: ${[...seen].join(', ')}`,
      );
    }
    seen.add(node.node);
    if (seen.size > maxChainDepth) {
      throw new DirtyBitmapError('chain-too-deep', `more than ${maxChainDepth} nodes below ${quoted(start)}`);
    }
    const { format = '' } = node;
    if (BRANCHING.includes(format)) {
      const message = `the node ${quoted(node.node)} is ${format}, which has several children; name a node below it`;
      throw new DirtyBitmapError('unsupported', message);
    }
    const through = FILTERS.get(format);
    if (through !== undefined) filters.push(node.node);
    else {
      layers.push(layerOf(node, filters, state));
      filters = [];
    }
    node = below(node, through, state);
  }
  const last = layers.at(-1)?.node ?? start;
  const endReason = `${quoted(last)} has no backing node`;
  return { layers, end: 'terminated', endReason, linkSource: state.linkSource };
}

function startNode(start: string, { nodes, devices }: LiveState): LiveNode {
  const found = nodes.get(start) ?? nodes.get(devices.get(start) ?? '');
  if (found !== undefined) return found;
  const drives = [...devices].map(([device, node]) => `${device} (node ${node})`);
  const known = drives.length > 0 ? drives : [...nodes.keys()].filter((name) => !name.startsWith('#'));
  const message = `QEMU has no node, drive or device ${quoted(start)}; it has ${known.slice(0, 10).join(', ') || 'none'}`;
  throw new DirtyBitmapError('argument', message);
}

function layerOf(node: LiveNode, filters: readonly string[], { nodes }: LiveState): LiveLayer {
  const { format, backingRaw, virtualSize, readOnly, bitmaps } = node;
  // A node that was put together of others is called `json:` and all of that; the one below it has the name.
  const file = node.links?.find(({ child }) => child === 'file');
  const path = nodes.get(file?.node ?? '')?.file ?? node.file;
  return { node: node.node, filters, path, format, backingRaw, virtualSize, readOnly, bitmaps };
}

/** The next node down; undefined at the end. */
function below(node: LiveNode, through: string | undefined, state: LiveState): LiveNode | undefined {
  if (node.links === undefined) return belowByName(node, through, state);
  const link = node.links.find(({ child }) => child === (through ?? 'backing'));
  if (link !== undefined) return state.nodes.get(link.node) ?? gone(node, link.node);
  if (through !== undefined) return gone(node, `its ${through}`);
  return undefined;
}

/** By the name of the backing file, which several nodes may have: only one is certain. */
function belowByName(node: LiveNode, through: string | undefined, { nodes }: LiveState): LiveNode | undefined {
  if (through === undefined && node.backingFile === undefined) return undefined;
  const ask = 'give the names of the nodes (--chain TOP,...,BASE)';
  if (through !== undefined) {
    const message = `the node ${quoted(node.node)} is ${node.format}, and this QEMU does not tell what is below it; ${ask}`;
    throw new DirtyBitmapError('argument', message);
  }
  // The node of the file itself has the same name, and so have filters.
  const layers = [...nodes.values()].filter(({ format = '' }) => !PROTOCOLS.test(format) && !FILTERS.has(format));
  const found = layers.filter(({ file }) => file === node.backingFile);
  if (found.length === 1) return found[0];
  const names = found.map((one) => one.node).join(', ');
  const what = found.length === 0 ? 'no node has' : `several nodes have (${names})`;
  const message = `${what} the file ${quoted(node.backingFile ?? '', 256)}, the backing file of ${quoted(node.node)}; ${ask}`;
  throw new DirtyBitmapError('argument', message);
}

const PROTOCOLS = /^(file|host_device|host_cdrom|nbd|nfs|iscsi|rbd|ssh|gluster|https?|ftps?|nvme.*|io_uring|vhost-.*)$/;

function gone(node: LiveNode, what: string): never {
  const message = `the node ${quoted(node.node)} has a child that QEMU does not tell of: ${quoted(what)}; ask again`;
  throw new DirtyBitmapError('set-invalid', message);
}
