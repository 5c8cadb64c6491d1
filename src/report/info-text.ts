import { printable } from '../bytes/text.js';
import type { Finding } from '../findings.js';
import type { BitmapDocument, InfoDocument } from './input-report.js';
import { type Column, formatBytes, formatBytesExact, formatTable, plural } from './text.js';

/** Colours a severity; without colour, the text as it is. */
export type Paint = (text: string, severity: Finding['severity'] | 'good') => string;

/**
 * The lines that `info` prints for a person.
 * @param bars pictures of the bitmaps, which go below their table.
 */
export function infoText(info: InfoDocument, paint: Paint, bars: readonly string[] = []): string[] {
  const name = info.input === '-' ? 'standard input' : printable(info.input);
  const lines = [`${name}: ${info.format}, ${formatBytesExact(info.bytes)}`];
  if (info.capture !== undefined && info.capture.version !== null) lines.push(...captureText(info.capture, paint));
  if (info.qcow2 !== undefined) lines.push(...qcow2Text(info.qcow2, paint));
  lines.push('', ...bitmapsText(info.bitmaps, info.format));
  if (bars.length > 0) lines.push('', ...bars);
  if (info.findings.length > 0) lines.push('', ...info.findings.map((finding) => findingText(finding, paint)));
  return lines;
}

/** One finding in one line: severity, rule, place, message. */
export function findingText(finding: Finding, paint: Paint): string {
  const place = finding.offset === undefined ? '' : ` at ${finding.offset} (0x${finding.offset.toString(16)})`;
  return `${paint(finding.severity, finding.severity)} ${finding.code}${place}: ${printable(finding.message)}`;
}

function captureText(capture: NonNullable<InfoDocument['capture']>, paint: Paint): string[] {
  const machine = capture.machine === null ? 'not told' : printable(capture.machine);
  const end = capture.complete ? paint('complete', 'good') : paint('cut short', 'error');
  const lines = [
    `machine ${machine}, ${capture.postcopy ? 'postcopy' : 'precopy'}, ${end}` +
      (capture.capabilities.length > 0 ? `, capabilities ${capture.capabilities.map(printable).join(', ')}` : ''),
  ];
  const shown = capture.sections.filter((section) => section.name === 'dirty-bitmap' || section.name === 'ram');
  const rest = capture.sections.length - shown.length;
  const parts = shown.map((section) => `${section.count} ${section.name} (${formatBytes(section.bytes)})`);
  if (rest > 0) parts.push(plural(rest, 'other device'));
  if (parts.length > 0) lines.push(`sections: ${parts.join(', ')}`);
  return lines;
}

function qcow2Text(image: NonNullable<InfoDocument['qcow2']>, paint: Paint): string[] {
  const { version, virtualSize, clusterSize, encryption, backing, dataFile } = image;
  const parts = [
    `qcow2 version ${version}, disk of ${formatBytesExact(virtualSize)}, clusters of ${formatBytes(clusterSize)}`,
  ];
  if (encryption !== 'none') parts.push(`encrypted (${encryption})`);
  if (image.dirty) parts.push(paint('dirty', 'warning'));
  if (image.corrupt) parts.push(paint('corrupt', 'error'));
  const lines = [parts.join(', ')];
  if (backing !== null)
    lines.push(`backing file ${printable(backing.name)} (${printable(backing.format ?? 'format not recorded')})`);
  if (dataFile !== null)
    lines.push(`data file ${printable(dataFile.name ?? 'not recorded')}${dataFile.raw ? ', raw' : ''}`);
  return lines;
}

const COLUMNS: readonly Column[] = [
  { title: 'NODE' },
  { title: 'BITMAP' },
  { title: 'FLAGS' },
  { title: 'STATE' },
  { title: 'GRANULARITY', align: 'right' },
  { title: 'DIRTY', align: 'right' },
  { title: 'OF', align: 'right' },
];
const WIRE: readonly Column[] = [
  { title: 'CHUNKS', align: 'right' },
  { title: 'ON THE WIRE', align: 'right' },
];

function bitmapsText(bitmaps: readonly BitmapDocument[], format: InfoDocument['format']): string[] {
  if (bitmaps.length === 0) return ['no bitmaps'];
  const wire = format === 'capture' || format === 'section';
  const rows = bitmaps.map((bitmap) => [
    bitmap.node ?? '-',
    bitmap.name,
    [bitmap.recording ? 'recording' : 'disabled', bitmap.persistent ? 'persistent' : 'transient'].join(', '),
    bitmap.trust ?? (bitmap.complete ? 'complete' : 'incomplete'),
    formatBytes(bitmap.granularity),
    bitmap.count === null ? 'not known' : formatBytesExact(bitmap.count),
    bitmap.count === null ? '-' : formatBytes(bitmap.coveredBytes),
    ...(wire
      ? [`${bitmap.chunks?.data ?? 0} data, ${bitmap.chunks?.zeroes ?? 0} zero`, formatBytes(bitmap.wireBytes ?? 0)]
      : []),
  ]);
  return formatTable(wire ? [...COLUMNS, ...WIRE] : COLUMNS, rows);
}
