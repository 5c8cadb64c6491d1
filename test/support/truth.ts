import type { InfoDocument } from '../../src/report/input-report.js';
import type { MapExtent } from '../../src/report/map-document.js';
import { runCli } from './run-cli.js';

/** A bitmap as QEMU itself described it at the source. */
export interface TruthBitmap {
  readonly node_alias_hex: string;
  readonly bitmap_alias_hex: string;
  /** Bytes of the disk. */
  readonly size: number;
  readonly granularity: number;
  /** START's byte. */
  readonly flags: number;
  readonly count: number;
  readonly sha256: string;
  /** [offset, length] in bytes, rounded out to the granularity. */
  readonly extents: readonly (readonly [number, number])[];
}

/** `truth.json` of a capture, as far as it is compared. */
export interface Truth {
  readonly case: string;
  readonly expect_stream: { readonly truncated: boolean; readonly bitmaps: readonly TruthBitmap[] };
}

/**
 * Holds `info --json` and `map --json` of a capture against what QEMU said of its source.
 * @returns what differs, a line each; nothing where all agrees.
 */
export async function compareWithTruth(path: string, truth: Truth): Promise<string[]> {
  const { truncated, bitmaps: expected } = truth.expect_stream;
  const result = await runCli('info', '--json', path);
  const info = JSON.parse(result.stdout) as InfoDocument;
  const problems: string[] = [];
  const found = new Map(info.bitmaps.map((bitmap) => [keyOf(bitmap), bitmap]));
  const wanted = new Map(expected.map((bitmap) => [`${bitmap.node_alias_hex}/${bitmap.bitmap_alias_hex}`, bitmap]));
  const errors = info.findings.filter((finding) => finding.severity === 'error').map((finding) => finding.code);
  if (result.code !== (errors.length > 0 ? 1 : 0))
    problems.push(`exit code ${result.code} with ${errors.length} errors`);
  if (truncated && errors.length === 0) problems.push('the stream is cut or refused, and no error was found');
  if (!truncated && info.capture?.complete !== true) problems.push(`complete is ${info.capture?.complete}`);
  // An alias of no bytes is the one fault that a QEMU source itself makes in a stream that it completes.
  const faults = errors.filter((code) => !(code === 'name-empty' && expected.some((b) => b.bitmap_alias_hex === '')));
  if (!truncated && faults.length > 0) problems.push(`errors: ${faults.join(', ')}`);
  for (const key of found.keys()) if (!wanted.has(key)) problems.push(`unexpected bitmap ${key}`);
  for (const [key, bitmap] of wanted) {
    const ours = found.get(key);
    if (ours !== undefined)
      problems.push(...(await compareBitmap(path, ours, bitmap)).map((text) => `${key}: ${text}`));
    else if (!truncated) problems.push(`bitmap ${key} was not found`);
  }
  return problems;
}

type Ours = InfoDocument['bitmaps'][number];

/** The bytes of a name in hexadecimal; U+0000 is `c0 80`, as QEMU has it. */
function nameHex(text: string): string {
  return Buffer.from(text)
    .toString('hex')
    .replace(/../g, (byte) => (byte === '00' ? 'c080' : byte));
}

function keyOf(bitmap: Ours): string {
  return `${bitmap.nodeHex ?? nameHex(bitmap.node ?? '')}/${bitmap.nameHex ?? nameHex(bitmap.name)}`;
}

async function compareBitmap(path: string, ours: Ours, truth: TruthBitmap): Promise<string[]> {
  const problems: string[] = [];
  const same = (what: string, found: unknown, expected: unknown): void => {
    if (found !== expected) problems.push(`${what}: found ${found}, expected ${expected}`);
  };
  same('granularity', ours.granularity, truth.granularity);
  same('recording', ours.recording, (truth.flags & 1) !== 0);
  same('persistent', ours.persistent, (truth.flags & 2) !== 0);
  // What was cut before its last chunk can only be compared as far as it was sent.
  const whole = Math.ceil(truth.size / 512) * 512;
  if (ours.complete) {
    same('coveredBytes', ours.coveredBytes, whole);
    same('count', ours.count, truth.count);
    same('sha256', ours.sha256, truth.sha256);
  }
  const map = await runCli('map', '--json', '--bitmap', `${ours.node}/${ours.name}`, path);
  const extents = JSON.parse(map.stdout) as readonly MapExtent[];
  problems.push(...compareExtents(extents, truth, ours.coveredBytes));
  return problems;
}

/** Holds the runs of `map` against the dirty extents of the source, both up to what was sent. */
function compareExtents(extents: readonly MapExtent[], truth: TruthBitmap, covered: number): string[] {
  let at = 0;
  let last = -1;
  for (const extent of extents) {
    if (extent.offset !== at || extent.length <= 0)
      return [`map: a run at ${extent.offset} of ${extent.length}, expected at ${at}`];
    if (extent.type === last) return [`map: two runs of type ${last} side by side at ${at}`];
    if (extent.description !== (extent.type === 1 ? 'dirty' : 'clean')) return [`map: description at ${at}`];
    at += extent.length;
    last = extent.type;
  }
  if (at !== covered) return [`map: ends at ${at}, expected ${covered}`];
  const dirty = extents.filter((extent) => extent.type === 1).map(({ offset, length }) => [offset, length]);
  const expected = truth.extents
    .filter(([offset]) => offset < covered)
    .map(([offset, length]) => [offset, Math.min(offset + length, covered) - offset]);
  return JSON.stringify(dirty) === JSON.stringify(expected)
    ? []
    : [`map: found ${JSON.stringify(dirty).slice(0, 200)}, expected ${JSON.stringify(expected).slice(0, 200)}`];
}
