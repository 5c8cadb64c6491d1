import { Bitmap } from '../bitmap/bitmap.js';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { Qcow2Bitmap } from '../qcow2/image.js';
import { carriesBits } from '../qcow2/trust.js';
import type { Chain, Layer } from './layer.js';
import type { NodeBitmap, NodeFacts } from './node-bitmaps.js';
import { invalidity, invalidityText } from './validity.js';

/** What changed according to a bitmap along a chain. */
export interface ChainBitmap {
  /** Of the disk of the top, with the smallest granularity that the bitmap has on any layer. */
  readonly bits: Bitmap;
  /** The layers that have the bitmap, the top first. */
  readonly holders: readonly Layer[];
  /** What a reader should know, for a person: disks of other sizes. */
  readonly notes: readonly string[];
}

/**
 * ORs a bitmap along a chain: what changed since it was made. It must be valid: an unbroken run of layers from the top has
 * it, enabled in each, and every layer that may have it was read. Source: merge-and-chain.md section 3.
 * @param limits `maxBitmapMemory` is for the result alone.
 * @throws DirtyBitmapError `bitmap-not-found` where no layer has it; `chain-bitmap-invalid` with the reason; what ended
 * the reading of the chain; `limit`.
 */
export function chainBitmap(chain: Chain, name: string, limits: Partial<Limits> = {}): ChainBitmap {
  const { layers, end, endReason, error } = chain;
  if (error !== undefined) throw error;
  const found = layers.flatMap((layer) => bitmapOf(layer, name) ?? []);
  if (found.length === 0) {
    throw new DirtyBitmapError('bitmap-not-found', `no layer that was read has a bitmap ${quoted(name)}`);
  }
  // A raw layer holds none, wherever it is.
  if (end === 'unknown' && layers.at(-1)?.format !== 'raw') {
    throw invalid(name, `the layers below may have it as well, and are not known: ${endReason}`);
  }
  requireValid(layers, name);
  const size = layers[0]?.virtualSize ?? 0;
  const granularity = Math.min(...found.map((bitmap) => bitmap.granularity));
  const memory = { used: 0, max: resolveLimits(limits).maxBitmapMemory };
  const bits = new Bitmap(granularity, { size, memory });
  const holders = layers.slice(0, found.length);
  for (const { bits: own } of found) if (own !== undefined) orInto(bits, own, size);
  return { bits, holders, notes: sizeNotes(holders, size) };
}

/** ORs a bitmap of a disk that may be shorter, and is clean beyond its end, or longer, which nobody sees. */
function orInto(bits: Bitmap, own: Bitmap, size: number): void {
  if (own.size === size) {
    bits.or(own);
    return;
  }
  for (const [offset, length] of own.extents()) {
    if (offset < size) bits.set(offset, Math.min(length, size - offset));
  }
}

function sizeNotes(holders: readonly Layer[], size: number): string[] {
  return holders
    .filter(({ virtualSize = size }) => virtualSize !== size)
    .map(({ path, virtualSize = size }) => {
      const text = `the disk of ${quoted(path, 256)} has ${virtualSize} bytes, that of the top ${size}`;
      const beyond =
        virtualSize < size ? 'beyond its end it has nothing dirty' : "what is dirty beyond the top's end is left out";
      return `${text}: ${beyond}`;
    });
}

/** The rule is the one of plans, which goes by what a QEMU tells of its nodes. */
function requireValid(layers: readonly Layer[], name: string): void {
  const names = layers.map((_, at) => String(at));
  const nodes = new Map(names.map((node, at): [string, NodeFacts] => [node, nodeOf(node, layers[at], name)]));
  const found = invalidity(names, nodes, name);
  if (found === undefined) return;
  const layer = layers[Number(found.node)];
  const path = quoted(layer?.path ?? '', 256);
  const trust = layer && bitmapOf(layer, name)?.trust;
  const why = found.reason === 'inconsistent' ? `it is ${trust} on ${path}` : invalidityText({ ...found, node: path });
  throw invalid(name, why);
}

function nodeOf(node: string, layer: Layer | undefined, name: string): NodeFacts {
  const bitmap = layer && bitmapOf(layer, name);
  return { node, bitmaps: bitmap === undefined ? [] : [nodeBitmap(bitmap)] };
}

function nodeBitmap({ name, granularity, trust }: Qcow2Bitmap): NodeBitmap {
  const [recording, inconsistent] = [trust !== 'disabled', !carriesBits(trust)];
  return { name: name.text, granularity, recording, persistent: true, busy: false, inconsistent };
}

function bitmapOf({ bitmaps }: Layer, name: string): Qcow2Bitmap | undefined {
  return bitmaps.find((bitmap) => bitmap.name.text === name);
}

function invalid(name: string, why: string): DirtyBitmapError {
  const message = `bitmap ${quoted(name)} does not tell what changed along the chain: ${why}; take a full backup`;
  return new DirtyBitmapError('chain-bitmap-invalid', message);
}
