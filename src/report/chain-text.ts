import { printable } from '../bytes/text.js';
import type { ChainBitmapDocument, ChainDocument, LayerDocument } from './chain-document.js';
import { findingText, type Paint } from './info-text.js';
import { formatBytes, formatBytesExact, plural } from './text.js';

/** Deeper layers are not set in any further. */
const MAX_INDENT = 16;

/** The lines that `chain` prints for a person: a layer under the other, with its bitmaps, then how the chain ends. */
export function chainText({ layers, end, endReason, error, findings }: ChainDocument, paint: Paint): string[] {
  const lines = layers.flatMap(layerText);
  const colour = end === 'terminated' ? 'good' : end === 'unknown' ? 'warning' : 'error';
  const why = error === null ? endReason : `${error.code} at ${error.brokenAt.path ?? error.brokenAt.backingRaw}`;
  lines.push('', `${plural(layers.length, 'layer')}, end ${paint(end, colour)}: ${printable(why)}`);
  const all = [...findings, ...layers.flatMap((layer) => layer.findings)];
  if (all.length > 0) lines.push('', ...all.map((finding) => findingText(finding, paint)));
  return lines;
}

function layerText(layer: LayerDocument, depth: number): string[] {
  const indent = '   '.repeat(Math.min(depth, MAX_INDENT));
  const { path, virtualSize, fileSize, location, dataFile } = layer;
  const name = location?.kind === 'network' ? placeText(location) : path;
  const size = virtualSize ?? (layer.format === 'raw' ? fileSize : null);
  const sizeText = size === null ? 'size not known' : formatBytesExact(size);
  const head = `${printable(name)}: ${formatText(layer)}, ${sizeText}${location === null ? '' : ', not read'}`;
  const below = `${indent}   `;
  const data = dataFile && `data file ${printable(dataFile.raw ?? 'not recorded')}${dataFileState(dataFile.exists)}`;
  return [
    depth === 0 ? head : `${indent.slice(3)}└─ ${head}`,
    ...(data ? [`${below}${data}`] : []),
    ...layer.bitmaps.map((bitmap) => `${below}${bitmapText(bitmap)}`),
  ];
}

function formatText({ format, formatSource }: LayerDocument): string {
  return format === null ? 'format not recorded' : `${printable(format)} (${formatSource})`;
}

function placeText({
  protocol,
  host,
  port,
  socket,
  path,
}: Extract<LayerDocument['location'], { kind: 'network' }>): string {
  const place = socket ?? `${host ?? ''}${port === undefined ? '' : `:${port}`}`;
  return `${protocol} ${[place, path].filter((part) => part !== '').join(' ')}`;
}

function dataFileState(exists: boolean | null): string {
  if (exists === null) return ', not looked for';
  return exists ? '' : ', missing';
}

function bitmapText({ name, trust, granularity, count }: ChainBitmapDocument): string {
  const dirty = count === null ? 'dirty bytes not known' : `${formatBytesExact(count)} dirty`;
  return `bitmap ${printable(name)}: ${trust}, ${dirty}, granularity ${formatBytes(granularity)}`;
}
