import { type Name, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { RandomAccess } from '../qcow2/random-access.js';
import { readQcow2 } from '../qcow2/read-qcow2.js';
import { findDataFile } from './data-file.js';
import { type Chain, diskSize, type Layer } from './layer.js';
import { formatOfLayer } from './layer-format.js';
import type { LayerOpener, OpenedLayer } from './layer-opener.js';
import type { Slice } from './location.js';
import { endsChain } from './probe-format.js';
import { type ResolvedName, resolveName } from './resolve-link.js';
import { slicedFile } from './sliced-file.js';

/** How a chain is read. */
export interface OpenChainOptions {
  /** The format of the top, which is never guessed. Default `raw`. */
  readonly format?: string | undefined;
  /** `maxBitmapMemory` is for the bitmaps of all layers together, the others are for each layer. */
  readonly limits?: Partial<Limits> | undefined;
}

/**
 * Reads the backing chain of an image, from the top down, as far as it can be read: only files, and those only for
 * reading. The top is of the declared format or raw, whatever it looks like. A backing file whose format is not recorded
 * is taken for what it looks like where it refers to no other file, else it is an error. Nothing is fetched from a network.
 * Source: merge-and-chain.md sections 11 and 12.
 *
 * What is wrong with the chain does not throw: then `end` is `error`, `error` says why, and `layers` has what was read.
 * @param path of the top, as the user gave it; relative names of backing files count from its directory.
 * @throws DirtyBitmapError `argument` for limits that are none; what `opener` throws.
 * @example
 * const { layers, end } = await openChain('top.qcow2', chainFiles, { format: 'qcow2' });
 * for (const { path, format, bitmaps } of layers) console.log(path, format, bitmaps.length);
 */
export async function openChain(path: string, opener: LayerOpener, options: OpenChainOptions = {}): Promise<Chain> {
  return await new ChainReader(opener, resolveLimits(options.limits)).read(path, options.format);
}

/** What an overlay says of the layer below. */
interface Link {
  readonly overlay: Layer;
  readonly name: Name;
  /** Undefined where it is not recorded. */
  readonly format: string | undefined;
}

/** A layer that is to be opened. */
interface Place extends Pick<ResolvedName, 'path' | 'relPath' | 'slice'> {
  readonly format: string | undefined;
  /** Undefined for the top. */
  readonly overlay: Layer | undefined;
}

class ChainReader {
  readonly #opener: LayerOpener;
  readonly #limits: Limits;
  readonly #findings: Findings;
  readonly #layers: Layer[] = [];
  /** Numbers of layers, by what they are. */
  readonly #seen = new Map<string, number>();
  /** Bytes that the bitmaps of all layers occupy. */
  #bitmapMemory = 0;
  #end: { readonly end: 'terminated' | 'unknown'; readonly endReason: string } = { end: 'unknown', endReason: '' };
  /** Of the layer that is being opened; undefined while its name is looked at. */
  #path: string | undefined;
  #cycle: readonly string[] | undefined;

  constructor(opener: LayerOpener, limits: Limits) {
    this.#opener = opener;
    this.#limits = limits;
    this.#findings = new Findings(limits.maxFindings);
  }

  async read(path: string, format: string | undefined): Promise<Chain> {
    let link: Link | undefined;
    try {
      link = await this.#open({ path, format, relPath: undefined, slice: undefined, overlay: undefined });
      while (link !== undefined) link = await this.#follow(link);
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      return this.#failed(error, link);
    }
    return { layers: this.#layers, ...this.#end, error: undefined, brokenAt: undefined, findings: this.#findings };
  }

  #failed(cause: DirtyBitmapError, link: Link | undefined): Chain {
    const { code, offset, path: field } = cause;
    const named = link && `the backing file ${quoted(link.name.text, 256)} of ${quoted(link.overlay.path, 256)}`;
    const path = this.#path === undefined ? undefined : quoted(this.#path, 256);
    const subject = named === undefined ? path : path === undefined ? named : `${named}, which is ${path}`;
    const details = { cause, ...(offset !== undefined && { offset }), ...(field !== undefined && { path: field }) };
    const error = new DirtyBitmapError(code, `${subject}: ${cause.message}`, details);
    const names = { overlay: link?.overlay.path, backingRaw: link?.name.text };
    const brokenAt = { ...names, path: this.#path, cycle: this.#cycle };
    return { layers: this.#layers, end: 'error', endReason: error.message, error, brokenAt, findings: this.#findings };
  }

  async #follow({ overlay, name, format }: Link): Promise<Link | undefined> {
    this.#path = undefined;
    const { elsewhere, location, ...place } = resolveName(overlay.path, name);
    if (elsewhere === undefined) return await this.#open({ ...place, overlay, format });
    this.#path = place.path;
    this.#requireDepth();
    const formatSource = format === undefined ? undefined : 'recorded';
    this.#layers.push({ ...this.#blank(), path: place.path, location, format, formatSource });
    return this.#ended('unknown', `${quoted(place.path, 256)} was not read: ${elsewhere}`);
  }

  async #open(place: Place): Promise<Link | undefined> {
    this.#path = place.path;
    this.#requireDepth();
    const opened = await this.#opener.open(place.path);
    if ('absent' in opened) {
      const code = opened.absent === 'missing' ? 'backing-missing' : 'backing-unreadable';
      throw new DirtyBitmapError(place.overlay === undefined ? 'file-access' : code, opened.reason);
    }
    try {
      this.#requireNew(place, opened.identity);
      return await this.#read(place, opened);
    } finally {
      await opened.close();
    }
  }

  async #read(place: Place, { file: whole, writerPresent }: OpenedLayer): Promise<Link | undefined> {
    const { path, relPath, overlay } = place;
    const file = slicedFile(whole, place.slice);
    const known = await formatOfLayer(place, file, this.#findings);
    if (writerPresent === true) {
      const message = `${quoted(path, 256)} is open for writing: what it says may be old or half written; ask the QEMU that has it`;
      this.#findings.add('chain-layer-open', message);
    }
    const layer = { ...this.#blank(), path, relPath, ...known, fileSize: await file.size(), writerPresent };
    if (known.format === 'qcow2') return await this.#readQcow2(layer, file, overlay);
    this.#push(layer, overlay);
    return endsChain(known.format)
      ? this.#ended('terminated', `${quoted(path, 256)} is ${known.format}, which has no backing file`)
      : this.#ended('unknown', `${quoted(path, 256)} is of the format ${quoted(known.format)}, which is not read here`);
  }

  async #readQcow2(base: Layer, file: RandomAccess, overlay: Layer | undefined): Promise<Link | undefined> {
    const { path, writerPresent } = base;
    const maxBitmapMemory = Math.max(0, this.#limits.maxBitmapMemory - this.#bitmapMemory);
    const image = await readQcow2(file, { limits: { ...this.#limits, maxBitmapMemory }, writerPresent });
    const { header, backing, bitmaps, findings } = image;
    for (const { bits } of bitmaps) this.#bitmapMemory += bits?.allocatedBytes ?? 0;
    const dataFile = image.dataFile && (await findDataFile(path, image.dataFile, this.#opener, findings));
    const own = { backingRaw: backing?.name.text, virtualSize: header.virtualSize, dataFile, bitmaps, findings };
    const layer: Layer = { ...base, ...own };
    this.#push(layer, overlay);
    if (backing === undefined) return this.#ended('terminated', `${quoted(path, 256)} has no backing file`);
    // An empty name of a format is none.
    return { overlay: layer, name: backing.name, format: backing.format?.text || undefined };
  }

  #push(layer: Layer, overlay: Layer | undefined): void {
    this.#layers.push(layer);
    const [own, above] = [diskSize(layer), overlay && diskSize(overlay)];
    if (own === undefined || above === undefined || own === above) return;
    const text = own < above ? 'what lies beyond its end reads as zeroes' : 'what lies beyond that is not seen';
    const sizes = `the disk of ${quoted(layer.path, 256)} has ${own} bytes, that of its overlay ${above}`;
    this.#findings.add('chain-size-differs', `${sizes}: ${text}`);
  }

  #ended(end: 'terminated' | 'unknown', endReason: string): undefined {
    this.#end = { end, endReason };
  }

  #requireDepth(): void {
    const { maxChainDepth } = this.#limits;
    if (this.#layers.length < maxChainDepth) return;
    const message = `expected at most ${maxChainDepth} layers, found one more; commit some of them, or raise maxChainDepth`;
    throw new DirtyBitmapError('chain-too-deep', message);
  }

  /** By what the file is, not by its name: links and `..` give one file many names. */
  #requireNew({ path, slice }: Place, identity: string): void {
    const key = `${identity}${sliceKey(slice)}`;
    const first = this.#seen.get(key);
    this.#seen.set(key, this.#layers.length);
    if (first === undefined) return;
    this.#cycle = [...this.#layers.slice(first).map((layer) => layer.path), path];
    const shown = this.#cycle.slice(0, MAX_SHOWN).map((one) => quoted(one, 256));
    const more = this.#cycle.length > MAX_SHOWN ? ` -> ... (${this.#cycle.length - MAX_SHOWN} more)` : '';
    const message = `expected a layer that is not above itself, found the cycle ${shown.join(' -> ')}${more}`;
    const advice = 'give one of them its right backing file (qemu-img rebase -u)';
    throw new DirtyBitmapError('chain-loop', `${message}; ${advice}`);
  }

  /** A layer of which nothing is known. */
  #blank(): Layer {
    return {
      ...{ path: '', location: undefined, format: undefined, formatSource: undefined, relPath: undefined },
      ...{ backingRaw: undefined, virtualSize: undefined, fileSize: undefined, dataFile: undefined },
      ...{ writerPresent: undefined, bitmaps: [], findings: new Findings(this.#limits.maxFindings) },
    };
  }
}

/** Paths of a cycle that a message shows. */
const MAX_SHOWN = 8;

/** Two slices of a file are two images. */
function sliceKey(slice: Slice | undefined): string {
  return slice === undefined ? '' : ` ${slice.offset}+${slice.size ?? ''}`;
}
