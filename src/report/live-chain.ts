import { printable } from '../bytes/text.js';
import type { LiveChain, LiveLayer } from '../chain/live-chain.js';
import type { LiveBitmap } from '../chain/live-nodes.js';
import type { Paint } from './info-text.js';
import { formatBytes, formatBytesExact, plural } from './text.js';

/** Deeper layers are not set in any further. */
const MAX_INDENT = 16;

/** A bitmap in the JSON of `chain --qmp`. Sizes are in bytes. */
interface LiveBitmapDocument {
  readonly name: string;
  readonly granularity: number | null;
  /** Dirty bytes: granules times granularity. */
  readonly count: number | null;
  readonly recording: boolean;
  readonly persistent: boolean;
  readonly busy: boolean;
  readonly inconsistent: boolean;
}

/** A layer in the JSON of `chain --qmp`. Sizes are in bytes. */
interface LiveLayerDocument {
  readonly node: string;
  /** The filters above it that were stepped over, the uppermost first. */
  readonly filters: readonly string[];
  /** The name that QEMU has for its file; nothing of it was read. */
  readonly path: string;
  /** The driver of the node. */
  readonly format: string | null;
  /** How the image names its backing file; QEMU may have been told another one. */
  readonly backingRaw: string | null;
  readonly virtualSize: number | null;
  readonly readOnly: boolean | null;
  readonly bitmaps: readonly LiveBitmapDocument[];
}

/** The JSON of `chain --qmp`: as that of `chain IMAGE` where both know, with the names of nodes. Null is not told. */
export interface LiveChainDocument extends Omit<LiveChain, 'layers'> {
  readonly layers: readonly LiveLayerDocument[];
  readonly error: null;
}

/** The document of `chain --qmp`. */
export function liveChainDocument({ layers, end, endReason, linkSource }: LiveChain): LiveChainDocument {
  return { layers: layers.map(layerDocument), end, endReason, linkSource, error: null };
}

function layerDocument(layer: LiveLayer): LiveLayerDocument {
  const { node, filters, path, format = null, backingRaw = null, virtualSize = null, readOnly = null } = layer;
  const bitmaps = layer.bitmaps.map(({ name, count, granularity, ...flags }) => ({
    ...{ name, granularity: granularity ?? null, count: count ?? null, ...flags },
  }));
  return { node, filters, path, format, backingRaw, virtualSize, readOnly, bitmaps };
}

/** The lines that `chain --qmp` prints for a person. */
export function liveChainText({ layers, end, endReason, linkSource }: LiveChain, paint: Paint): string[] {
  const lines = layers.flatMap(layerText);
  lines.push('', `${plural(layers.length, 'layer')}, end ${paint(end, 'good')}: ${printable(endReason)}`);
  if (linkSource === 'file-names') lines.push('the links are guessed from file names, as this QEMU does not tell them');
  return lines;
}

function layerText(layer: LiveLayer, depth: number): string[] {
  const { node, path, format = 'format not told', virtualSize, readOnly, filters } = layer;
  const indent = '   '.repeat(Math.min(depth, MAX_INDENT));
  const size = virtualSize === undefined ? 'size not told' : formatBytesExact(virtualSize);
  const below = filters.length === 0 ? '' : `, below ${filters.map(printable).join(', ')}`;
  const access = readOnly === true ? ', read-only' : '';
  const head = `${printable(node)}: ${printable(format)}, ${size}${access}, ${printable(path)}${below}`;
  return [
    depth === 0 ? head : `${indent.slice(3)}└─ ${head}`,
    ...layer.bitmaps.map((bitmap) => `${indent}   ${bitmapText(bitmap)}`),
  ];
}

function bitmapText({ name, count, granularity, recording, persistent, busy, inconsistent }: LiveBitmap): string {
  const flags = [recording ? 'recording' : 'disabled', persistent ? 'persistent' : 'transient'];
  if (busy) flags.push('busy');
  if (inconsistent) flags.push('inconsistent');
  const dirty = count === undefined || inconsistent ? 'dirty bytes not known' : `${formatBytesExact(count)} dirty`;
  const grain = granularity === undefined ? '' : `, granularity ${formatBytes(granularity)}`;
  return `bitmap ${printable(name)}: ${flags.join(', ')}, ${dirty}${grain}`;
}
