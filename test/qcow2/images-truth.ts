import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DirtyBitmapError } from '../../src/errors.js';
import type { Qcow2Bitmap, Qcow2Image } from '../../src/qcow2/image.js';
import { carriesBits } from '../../src/qcow2/trust.js';

type Extents = readonly (readonly [number, number])[];

/** A bitmap as the independent reader saw it. */
interface TruthBitmap {
  readonly name: string;
  readonly granularity: number;
  readonly flags: number;
  readonly tableOffset: number;
  readonly tableEntries: number;
  readonly extra: number;
  readonly tableKinds: Readonly<Record<string, number>> | null;
  /** Null where it did not read the bits. */
  readonly dirty: Extents | null;
}

/** What an independent reader saw in an image; of one that must be refused, not all of it. */
interface TruthReader {
  readonly version: number;
  readonly clusterSize: number;
  readonly virtualSize: number;
  readonly refcountBits: number;
  readonly headerLength: number;
  readonly incompatible: number;
  readonly compatible: number;
  readonly autoclear: number;
  readonly crypt: number;
  readonly snapshots: number;
  readonly backing: string | null;
  readonly fileLength: number;
  readonly extensions: readonly { readonly type: string; readonly at: number; readonly length: number }[];
  readonly bitmapsExt?: {
    readonly nb: number;
    readonly directorySize: number;
    readonly directoryOffset: number;
  } | null;
  readonly bitmaps: readonly TruthBitmap[];
}

/** `qemu-img info --output=json`, as far as it is compared. */
interface TruthInfo {
  readonly 'backing-filename'?: string;
  readonly 'backing-filename-format'?: string;
  readonly encrypted?: boolean;
  readonly 'dirty-flag': boolean;
  readonly 'format-specific': {
    readonly data: {
      readonly compat: string;
      readonly 'compression-type': string;
      readonly corrupt?: boolean;
      readonly 'extended-l2'?: boolean;
      readonly 'data-file'?: string;
      readonly 'data-file-raw'?: boolean;
      readonly bitmaps?: readonly { readonly name: string; readonly flags: string[]; readonly granularity: number }[];
    };
  };
}

/** What is known of an image. */
export interface ImageTruth {
  readonly info: { readonly json: TruthInfo | null };
  readonly reader: TruthReader;
  /** A reader must refuse it. */
  readonly mustRefuse?: boolean;
  /** It is legal, and QEMU refuses it: bitmaps are listed and not read. */
  readonly qemuRefuses?: boolean;
  /** What QEMU itself maps of each bitmap. */
  readonly dirty: Readonly<Record<string, { readonly exit: number; readonly extents?: Extents }>>;
}

/** All images of a folder, by file name. */
export function readTruths(folder: string): Readonly<Record<string, ImageTruth>> {
  const json = JSON.parse(new TextDecoder().decode(readPacked(join(folder, 'images.json'))));
  return (json as { readonly images: Readonly<Record<string, ImageTruth>> }).images;
}

export function imagePath(folder: string, name: string): string {
  return join(folder, 'images', name);
}

/** An image of a folder, packed or not. */
export function readImageFile(folder: string, name: string): Uint8Array {
  return readPacked(imagePath(folder, name));
}

function readPacked(path: string): Uint8Array {
  return new Uint8Array(existsSync(path) ? readFileSync(path) : gunzipSync(readFileSync(`${path}.gz`)));
}

/**
 * Holds what we read of an image, or the error, against what is known of it.
 * @returns what differs, a line each; nothing where all agrees.
 */
export function compareImage(outcome: Qcow2Image | unknown, truth: ImageTruth): string[] {
  if (outcome instanceof DirtyBitmapError) {
    if (truth.mustRefuse !== true) return [`refused: ${outcome.code}: ${outcome.message}`];
    return outcome.offset === undefined ? [`${outcome.code} has no offset`] : [];
  }
  if (outcome instanceof Error) throw outcome;
  const image = outcome as Qcow2Image;
  const errors = image.findings.list.filter((finding) => finding.severity === 'error');
  if (truth.mustRefuse === true) {
    if (errors.length === 0) return ['not refused'];
    const withBits = image.bitmaps.some((bitmap) => bitmap.bits !== undefined && bitmap.fault !== undefined);
    return withBits
      ? ['bits of a damaged bitmap']
      : errors.flatMap(({ code, offset }) => (offset === undefined ? [`${code} has no offset`] : []));
  }
  const problems = errors.map((error) => `${error.code}: ${error.message}`);
  const differ = (what: string, ours: unknown, theirs: unknown): void => {
    if (JSON.stringify(ours) !== JSON.stringify(theirs))
      problems.push(`${what}: expected ${JSON.stringify(theirs)}, found ${JSON.stringify(ours)}`);
  };
  compareHeader(image, truth.reader, differ);
  if (truth.info.json !== null) compareInfo(image, truth.info.json, differ);
  // The others do not list what is stale.
  const stale = (truth.reader.autoclear & 1) === 0;
  const bitmaps = stale ? [] : image.bitmaps;
  if (stale) differ('trust', image.bitmaps.filter((one) => one.trust !== 'stale' || one.bits !== undefined).length, 0);
  differ(
    'bitmaps',
    bitmaps.map((bitmap) => bitmap.name.text),
    truth.reader.bitmaps.map((bitmap) => bitmap.name),
  );
  for (const [index, theirs] of truth.reader.bitmaps.entries()) {
    const ours = bitmaps[index];
    if (ours !== undefined) compareBitmap(ours, theirs, truth, differ);
  }
  return problems;
}

type Differ = (what: string, ours: unknown, theirs: unknown) => void;

function compareHeader(image: Qcow2Image, truth: TruthReader, differ: Differ): void {
  const { header } = image;
  for (const field of ['version', 'clusterSize', 'virtualSize', 'refcountBits', 'headerLength'] as const)
    differ(field, header[field], truth[field]);
  for (const field of ['incompatible', 'compatible', 'autoclear'] as const)
    differ(field, Number(header[field]), truth[field]);
  differ('encryption', ['none', 'aes', 'luks'].indexOf(header.encryption), truth.crypt);
  differ('snapshots', header.snapshotCount, truth.snapshots);
  differ('backing', image.backing?.name.text ?? null, truth.backing);
  differ('file length', image.fileSize, truth.fileLength);
  const extensions = image.extensions.list.map(({ type, offset, length }) => [type, offset, length]);
  differ(
    'extensions',
    extensions,
    truth.extensions.map(({ type, at, length }) => [Number.parseInt(type, 16), at, length]),
  );
  const ours = image.bitmapsExtension;
  const theirs = truth.bitmapsExt ?? undefined;
  differ(
    'bitmaps extension',
    ours && [ours.bitmapCount, ours.directorySize, ours.directoryOffset],
    theirs && [theirs.nb, theirs.directorySize, theirs.directoryOffset],
  );
}

function compareInfo({ header, backing, dataFile, bitmaps }: Qcow2Image, info: TruthInfo, differ: Differ): void {
  const { data } = info['format-specific'];
  differ('compat', header.version === 2 ? '0.10' : '1.1', data.compat);
  differ('compression type', ['zlib', 'zstd'][header.compressionType], data['compression-type']);
  differ('backing file', backing?.name.text, info['backing-filename']);
  differ('backing format', backing?.format?.text, info['backing-filename-format']);
  differ('encrypted', header.encryption !== 'none', info.encrypted ?? false);
  differ('dirty bit', (header.incompatible & 1n) !== 0n, info['dirty-flag']);
  differ('corrupt bit', (header.incompatible & 2n) !== 0n, data.corrupt ?? false);
  differ('extended L2', (header.incompatible & 16n) !== 0n, data['extended-l2'] ?? false);
  differ('data file', dataFile?.name?.text, data['data-file']);
  differ('raw data file', dataFile?.raw, data['data-file-raw']);
  const shown = bitmaps
    .filter((bitmap) => bitmap.trust !== 'stale')
    .map(({ name, granularity, inUse, auto }) => {
      const flags = [...(inUse ? ['in-use'] : []), ...(auto ? ['auto'] : [])];
      return [name.text, granularity, flags];
    });
  differ(
    'bitmaps of QEMU',
    shown,
    (data.bitmaps ?? []).map(({ name, granularity, flags }) => [name, granularity, flags]),
  );
}

function compareBitmap(ours: Qcow2Bitmap, theirs: TruthBitmap, truth: ImageTruth, differ: Differ): void {
  const what = (field: string): string => `${theirs.name}: ${field}`;
  const { entry } = ours;
  differ(what('granularity'), ours.granularity, theirs.granularity);
  differ(what('flags'), entry.flags, theirs.flags);
  differ(
    what('table'),
    [entry.tableOffset, entry.tableEntries, entry.extraDataSize],
    [theirs.tableOffset, theirs.tableEntries, theirs.extra],
  );
  differ(what('bits'), ours.bits !== undefined, carriesBits(ours.trust));
  if (truth.qemuRefuses === true) {
    differ(what('trust'), ours.trust, 'unsupported');
    return;
  }
  differ(what('in use'), ours.trust.startsWith('in-use'), (theirs.flags & 1) !== 0);
  differ(what('dirty'), ours.bits === undefined ? null : [...ours.bits.extents()], theirs.dirty);
  const mapped = truth.dirty[theirs.name];
  if (mapped?.exit === 0) differ(what('dirty of QEMU'), ours.bits && [...ours.bits.extents()], mapped.extents);
  if (theirs.tableKinds !== null) {
    const { zeroes = 0, ones = 0, data = 0 } = theirs.tableKinds;
    differ(what('table words'), ours.table?.kinds, { zeroes, ones, data });
  }
}
