import { type Name, nameFromText, quoted } from '../bytes/text.js';
import { SectionParser } from '../chunk/section-decoder.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { readCaptureSource } from '../io/capture-file.js';
import { type PumpOptions, pump } from '../io/pump.js';
import type { Source } from '../io/source.js';
import { type Limits, resolveLimits } from '../limits.js';
import { Gatherer } from '../migration/gatherer.js';
import type { Qcow2Bitmap } from '../qcow2/image.js';
import { bitsOf } from '../qcow2/operations.js';
import type { Format } from '../report/input-report.js';
import type { BitmapSet, SetBitmap } from '../set/bitmap-set.js';
import { parseNbdinfo } from '../set/nbdinfo.js';
import { parseSet, readDocument } from './load-document.js';
import { nodeNameOf, openImage } from './open-image.js';
import { type OpenOptions, withInput } from './open-input.js';
import type { Terminal } from './terminal.js';

/** An input as a bitmap set, with all that the input tells and no more. */
export interface LoadedSet {
  readonly input: string;
  readonly format: Format;
  /** Of `nbdinfo` one bitmap without names. */
  readonly set: BitmapSet;
  readonly findings: Findings;
  /** Bitmaps of an image whose bits cannot be believed; they are not in the set. */
  readonly lost: readonly LostBitmap[];
}

/** A bitmap that is there, and whose bits are not. */
interface LostBitmap {
  readonly name: Name;
  /** Why, and what to do. */
  readonly message: string;
}

/**
 * Reads an input of any kind as a bitmap set. Unlike `loadInput` it keeps what only sets have: sizes, nodes without
 * bitmaps, what is covered.
 * @throws DirtyBitmapError `file-access`, `unsupported`, `set-invalid`, `limit`.
 */
export async function loadSet(path: string, options: OpenOptions, terminal: Terminal): Promise<LoadedSet> {
  return withInput(path, options, terminal, async ({ source, format, head, offset, limits, progress }) => {
    const reading = { head, offset, limits, onProgress: progress?.update };
    return { input: path, format, lost: [], ...(await LOADERS[format](source, reading, path)) };
  });
}

type Reading = PumpOptions & { readonly limits?: Partial<Limits> };
type Loaded = Pick<LoadedSet, 'set' | 'findings'> & Partial<Pick<LoadedSet, 'lost'>>;

const LOADERS: Readonly<Record<Format, (source: Source, reading: Reading, path: string) => Promise<Loaded>>> = {
  async capture(source, reading) {
    const { set, findings } = await readCaptureSource(source, reading);
    return { set, findings };
  },
  section: loadSection,
  async set(source, reading) {
    const limits = resolveLimits(reading.limits);
    const document = await readDocument(source, reading, limits);
    return { set: await parseSet(document, limits), findings: new Findings(limits.maxFindings) };
  },
  async nbdinfo(source, reading) {
    const limits = resolveLimits(reading.limits);
    const bitmap = parseNbdinfo(await readDocument(source, reading, limits), { limits });
    const node = { node: nameFromText(''), size: bitmap.bits.size, bitmaps: [bitmap] };
    return { set: { nodes: [node] }, findings: new Findings(limits.maxFindings) };
  },
  qcow2: loadImage,
};

async function loadImage(_source: Source, { limits, offset }: Reading, path: string): Promise<Loaded> {
  const image = await openImage(path, { limits, offset });
  const bitmaps: SetBitmap[] = [];
  const lost: LostBitmap[] = [];
  for (const bitmap of image.bitmaps) {
    const { name, auto, bits } = bitmap;
    if (bits !== undefined) bitmaps.push({ name, recording: auto, persistent: true, bits });
    else lost.push({ name, message: whyLost(bitmap) });
  }
  const node = { node: nameFromText(nodeNameOf(path)), size: image.header.virtualSize, bitmaps };
  return { set: { nodes: [node] }, findings: image.findings, lost };
}

function whyLost(bitmap: Qcow2Bitmap): string {
  try {
    bitsOf(bitmap);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

async function loadSection(source: Source, reading: Reading): Promise<Loaded> {
  const limits = resolveLimits(reading.limits);
  const findings = new Findings(limits.maxFindings);
  const gatherer = new Gatherer(findings, limits);
  const parser = new SectionParser(gatherer, { offset: reading.offset ?? 0, limits });
  try {
    await pump(source, parser, reading);
    parser.finish();
  } catch (error) {
    if (!(error instanceof DirtyBitmapError) || error.code === 'file-access') throw error;
    findings.addError(error);
  }
  gatherer.finish();
  return { set: gatherer.toSet(), findings };
}

/**
 * Refuses an input whose bitmaps may not be what the source had: who goes on with them loses changes. Ranges that are
 * left out are no fault in themselves (profile `compact` leaves out what is clean), so they are only said.
 * @returns what is to be said on standard error.
 * @throws DirtyBitmapError the first error that was found, with what there is besides.
 */
export function assertWhole({ input, format, findings }: LoadedSet): string[] {
  // An image whose list of bitmaps is broken is refused as it is read; what is wrong with one bitmap is its own.
  if (format === 'qcow2') return [];
  const errors = findings.list.filter((finding) => finding.severity === 'error');
  const [worst] = errors;
  const gaps = findings.list.filter((finding) => finding.code === 'chunk-gap').length;
  if (worst === undefined) {
    if (gaps === 0) return [];
    const ranges = `${input}: ranges of ${gaps} of its bitmaps were not sent and are taken as clean, as any QEMU does`;
    return [`${ranges}; only a sender of whole bitmaps could have lost some (see dirtybitmap check)`];
  }
  const { code, message, offset } = worst;
  const rest = findings.counts.error - 1;
  const more = rest > 0 ? ` (and ${rest} more: see dirtybitmap check)` : '';
  throw new DirtyBitmapError(code, `${quoted(input, 256)} is bad, nothing was written: ${message}${more}`, {
    ...(offset !== undefined && { offset }),
  });
}

/**
 * Refuses to leave a bitmap behind without a word: all that were not chosen by name must have their bits.
 * @throws DirtyBitmapError `bitmap-inconsistent`.
 */
export function assertNoneLost({ input, lost, set }: LoadedSet): void {
  const [first] = lost;
  if (first === undefined) return;
  const rest = set.nodes.flatMap(({ bitmaps }) => bitmaps.map(({ name }) => quoted(name.text, 80)));
  const others = rest.length > 0 ? `; choose the others with --select (${rest.slice(0, 20).join(', ')})` : '';
  const message = `${quoted(input, 256)}: ${first.message}${others}`;
  throw new DirtyBitmapError('bitmap-inconsistent', message);
}
