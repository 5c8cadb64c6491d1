import { Bitmap } from '../../src/bitmap/bitmap.js';
import { bitmapSha256 } from '../../src/bitmap/sha256.js';
import { QemuLoader } from '../../src/capture/qemu-loader.js';
import { locateVmdesc, parseVmdesc } from '../../src/capture/vmdesc.js';
import type { QemuDestination, QemuNode, QemuNodeMapping } from '../../src/migration/qemu-destination.js';
import type { QemuBitmap, QemuPrediction, QemuVerdict } from '../../src/migration/qemu-prediction.js';
import { QEMU_VERSIONS, type QemuVersion } from '../../src/migration/qemu-version.js';

/** A bitmap as QMP described it. Successors have no name. */
interface ShownBitmap {
  readonly name: string | null;
  readonly granularity: number;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  readonly count: number;
  readonly sha256?: string;
}

/** What a QEMU did with an injected stream: an entry of versions.json. */
export interface QemuRun {
  readonly verdict: string;
  readonly stderr: readonly string[];
  /** What QMP answered where the set-up was refused. */
  readonly setup_error?: string;
  readonly bitmaps: readonly (ShownBitmap & { readonly node: string })[];
}

interface ShownNode {
  readonly node_name: string;
  readonly driver: string;
  readonly virtual_size: number;
  readonly ro: boolean;
  readonly bitmaps: readonly ShownBitmap[];
}

/** `destination` of a result.json: what the QEMU was that got an injected stream. */
export interface InjectDestination {
  readonly disk0_format: string;
  readonly disk0_size: number;
  readonly disk1: boolean;
  readonly read_only: boolean;
  readonly extra_args: readonly string[];
  readonly mapping: readonly QemuNodeMapping[] | null;
  readonly bitmaps_before?: readonly ShownNode[];
}

/** A truth.json, as far as it says what a fresh QEMU of the same version made of the stream. */
export interface LoadedTruth {
  readonly qemu: string;
  readonly qemu_args: readonly string[];
  readonly configuration?: unknown;
  readonly section_footers?: boolean;
  readonly parameters: { readonly 'block-bitmap-mapping'?: readonly QemuNodeMapping[] };
  readonly source_before: readonly ShownNode[];
  readonly expect_stream: { readonly bitmaps: readonly { readonly node: string; readonly node_alias: string }[] };
  readonly loaded_by_qemu?: {
    readonly end: { readonly exit?: number; readonly signal?: string };
    readonly stderr: string;
    readonly bitmaps?: readonly ShownNode[];
  };
}

const MiB = 1024 * 1024;
/** What the qcow2 images of these cases store (their README says so; result.json does not): 1 MiB dirty. */
const STORED: readonly string[] = ['stored-name-bits', 'stored-name-exists', 'stored-other-name'];

const VERDICTS: Readonly<Record<string, QemuVerdict>> = {
  accepted: 'load',
  'accepted, bitmaps dropped': 'cancel',
  rejected: 'fail',
  'crash SIGABRT': 'abort',
  'set-up refused': 'setup-refused',
};

/** The QEMU that got the injected stream `name`. */
export function injectDestination(name: string, from: InjectDestination, version: QemuVersion): QemuDestination {
  const turnedOff = (property: string): boolean => from.extra_args.includes(`migration.${property}=off`);
  const before = from.bitmaps_before?.find((node) => node.node_name === 'disk0')?.bitmaps ?? [];
  const stored = new Bitmap(65_536);
  stored.set(0, MiB);
  const disk0: QemuNode = {
    node: 'disk0',
    size: from.disk0_size,
    readOnly: from.read_only,
    canStore: from.disk0_format === 'qcow2',
    bitmaps: before.map((bitmap) => ({ ...bitmap, name: bitmap.name ?? '' })),
    stored: STORED.includes(name) ? [{ name: 'b0', granularity: 65_536, bits: stored }] : undefined,
  };
  return {
    version,
    machine: 'none',
    footers: !turnedOff('send-section-footer'),
    configuration: !turnedOff('send-configuration'),
    nodes: from.disk1 ? [disk0, { node: 'disk1', size: 64 * MiB, canStore: false }] : [disk0],
    mapping: from.mapping ?? undefined,
  };
}

/** The QEMU that loaded a capture again: started as the source was, with empty images. */
export function loadedDestination(truth: LoadedTruth): QemuDestination {
  const version = QEMU_VERSIONS.find((one) => truth.qemu.includes(`version ${one}.`));
  if (version === undefined) throw new Error(`not a version that was measured: ${truth.qemu}`);
  return {
    version,
    footers: truth.section_footers,
    configuration: truth.configuration !== undefined && truth.configuration !== null,
    nodes: truth.source_before.map((node) => ({
      node: node.node_name,
      device: truth.expect_stream.bitmaps.find((bitmap) => bitmap.node === node.node_name)?.node_alias,
      size: node.virtual_size,
      readOnly: node.ro,
      canStore: node.driver === 'qcow2',
    })),
    mapping: truth.parameters['block-bitmap-mapping'],
  };
}

/** What a fresh QEMU made of a capture, in the form of an injected stream's run. */
export function loadedRun(loaded: NonNullable<LoadedTruth['loaded_by_qemu']>): QemuRun {
  const { exit, signal } = loaded.end;
  const verdict = signal !== undefined ? `crash ${signal}` : exit === 0 ? 'accepted' : 'rejected';
  const nodes = loaded.bitmaps ?? [];
  const bitmaps = nodes.flatMap((node) => node.bitmaps.map((bitmap) => ({ node: node.node_name, ...bitmap })));
  return { verdict, stderr: loaded.stderr.split('\n'), bitmaps };
}

/** What the model makes of a stream in memory, with all that a file tells. */
export function predict(stream: Uint8Array, destination: QemuDestination): QemuPrediction {
  const place = locateVmdesc(stream, 0);
  const vmdesc = place && parseVmdesc(stream.subarray(place.textOffset, place.textOffset + place.textLength));
  const loader = new QemuLoader(destination, { total: stream.length, vmdesc });
  loader.push(stream);
  return loader.finish();
}

/** In what a prediction differs from what the QEMU did; nothing where it was right. */
export function compareRun(prediction: QemuPrediction, run: QemuRun): string[] {
  const problems: string[] = [];
  const expected = VERDICTS[run.verdict];
  if (prediction.verdict !== expected) problems.push(`predicted ${prediction.verdict}, QEMU: ${run.verdict}`);
  const found = prediction.bitmaps.map(textOf).sort();
  const shown = run.bitmaps.filter((bitmap) => bitmap.name !== null);
  const wanted = shown.map((bitmap) => shownText(bitmap)).sort();
  for (const text of found) if (!wanted.includes(text)) problems.push(`predicted ${text}`);
  for (const text of wanted) if (!found.includes(text)) problems.push(`QEMU has ${text}`);
  // Each bitmap that is not complete and was recording has a successor, which QMP lists without a name.
  const successors = prediction.bitmaps.filter((bitmap) => bitmap.busy && bitmap.recording).length;
  const nameless = run.bitmaps.length - shown.length;
  if (successors !== nameless) problems.push(`predicted ${successors} successors, QEMU has ${nameless}`);
  const said = [...run.stderr, run.setup_error ?? ''].join('\n');
  for (const { says } of prediction.reasons) {
    if (says !== undefined && !said.includes(says)) problems.push(`predicted ${JSON.stringify(says)} on stderr`);
  }
  return problems;
}

function textOf(bitmap: QemuBitmap): string {
  const { bits, wordBits } = bitmap;
  return shownText({ ...bitmap, sha256: bitmapSha256(bits, wordBits) });
}

function shownText(bitmap: ShownBitmap & { readonly node: string }): string {
  const { node, name, granularity, recording, busy, persistent, count, sha256 } = bitmap;
  // Generated node names differ from run to run.
  const where = node.startsWith('#') ? '#' : node;
  return JSON.stringify({ where, name, granularity, recording, busy, persistent, count, sha256 });
}
