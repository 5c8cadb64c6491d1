import { printable } from '../bytes/text.js';
import type { Finding } from '../findings.js';
import type { BitmapOutlook, BitmapVerdict } from '../qmp/bitmap-outlook.js';
import type { MigrationEvent } from '../qmp/migration-observer.js';
import type { MigrationOutlook } from '../qmp/migration-outlook.js';
import type { StallOutlook } from '../qmp/stall.js';
import type { VerifiedBitmap } from '../qmp/verified-bitmap.js';
import type { MigrationVerification } from '../qmp/verify-migration.js';
import type { Paint } from './info-text.js';
import { formatBytes, jsonText, plural } from './text.js';

const WORDS: Readonly<Record<BitmapVerdict | VerifiedBitmap['verdict'], string>> = {
  fine: 'fine',
  blocked: 'BLOCKED',
  lost: 'LOST',
  'left-out': 'left out',
  arrived: 'arrived',
  differs: 'DIFFERS',
};
const WIDTH = Math.max(...Object.values(WORDS).map((word) => word.length));

/** What a migration does with each bitmap, whether it ends, and what helps; for a person. */
export function outlookText({ bitmaps, findings, stall, ok }: MigrationOutlook, paint: Paint): string[] {
  const blocked = bitmaps.filter(({ verdict }) => verdict === 'blocked').length;
  const end = blocked > 0 ? `the whole migration fails because of ${plural(blocked, 'bitmap')}` : undefined;
  return [
    ...bitmaps.flatMap((bitmap) => bitmapLines(bitmap, paint)),
    ...(end === undefined ? [] : [paint(end, 'error')]),
    ...findings.map((finding) => findingLine(finding, paint)),
    ...stallText(stall, paint),
    ok ? clear(findings, paint) : paint('something is in the way', 'error'),
  ];
}

function clear(findings: readonly Finding[], paint: Paint): string {
  const warned = findings.filter(({ severity }) => severity === 'warning').length;
  if (warned === 0) return paint('nothing is in the way', 'good');
  return paint(
    `nothing is in the way as far as QEMU tells, but see the ${warned === 1 ? 'warning' : 'warnings'}`,
    'warning',
  );
}

function bitmapLines(bitmap: BitmapOutlook, paint: Paint): string[] {
  const { node, name, verdict, code, message, granularity, granules, nodeAlias, alias, destination } = bitmap;
  const own = `${node}/${name}`;
  const sent = nodeAlias === undefined || `${nodeAlias}/${alias}` === own ? '' : ` as ${nodeAlias}/${alias}`;
  const to = destination && `${destination.node}/${destination.name}`;
  const arrives = to === undefined || to === `${nodeAlias}/${alias}` ? '' : ` to ${to}`;
  const line = `${own}${sent}${arrives}: ${plural(granules, 'granule')} of ${formatBytes(granularity)}`;
  const shown = `${word(verdict, paint)}  ${printable(line)}`;
  return message === undefined ? [shown] : [shown, `${indent()}${code}: ${printable(message)}`];
}

/** Whether a migration ends, and the commands that help. */
function stallText({ verdict, message, cures }: StallOutlook, paint: Paint): string[] {
  if (verdict === 'no') return [`no stall: ${message}`];
  const lines = [paint(`STALL (${verdict}): ${message}`, 'error')];
  for (const { when, what, commands } of cures) {
    lines.push(`  ${when === 'before' ? 'before the start' : 'when it runs'}, ${printable(what)}:`);
    lines.push(...commands.map((command) => `    ${jsonText(command)}`));
  }
  return lines;
}

/** Both ends side by side, for a person. */
export function verificationText({ bitmaps, findings, ok }: MigrationVerification, paint: Paint): string[] {
  const bad = bitmaps.filter(({ verdict }) => verdict !== 'arrived').length;
  return [
    ...bitmaps.flatMap((bitmap) => verifiedLines(bitmap, paint)),
    ...findings.map((finding) => findingLine(finding, paint)),
    ok
      ? paint(`verified: ${plural(bitmaps.length, 'bitmap')} arrived`, 'good')
      : paint(bad > 0 ? `not as it was: ${bad} of ${plural(bitmaps.length, 'bitmap')}` : 'not verified', 'error'),
  ];
}

function verifiedLines(bitmap: VerifiedBitmap, paint: Paint): string[] {
  const { node, name, destination, verdict, code, differences, notes, count } = bitmap;
  const own = `${node}/${name}`;
  const to = destination && `${destination.node}/${destination.name}`;
  const where = to === undefined || to === own ? own : `${own} to ${to}`;
  const dirty = count.destination ?? count.source;
  const bytes = dirty === undefined ? '' : `: ${formatBytes(dirty)} dirty`;
  return [
    `${word(verdict, paint)}  ${printable(where)}${verdict === 'arrived' ? bytes : ''}`,
    ...differences.map((difference) => `${indent()}${code}: ${printable(difference)}`),
    ...notes.map((note) => `${indent()}${printable(note)}`),
  ];
}

/** What happens while a migration is followed; nothing of mere progress. */
export function eventText(event: MigrationEvent, paint: Paint): string[] {
  switch (event.kind) {
    case 'outlook':
      return outlookText(event.outlook, paint);
    case 'waiting':
      return [
        `no migration is under way${event.status === 'none' ? '' : ` (the last one: ${printable(event.status)})`}: waiting for one`,
      ];
    case 'phase': {
      const error = event.error === undefined ? '' : `: ${printable(event.error)}`;
      const text = `migration ${printable(event.status)}${error}`;
      if (event.status === 'completed') return [paint(text, 'good')];
      return [event.status === 'failed' || event.status === 'cancelled' ? paint(text, 'error') : text];
    }
    case 'stall':
      return stallText(event.stall, paint);
    case 'verified':
      return verificationText(event.verification, paint);
    default:
      return [];
  }
}

function findingLine({ severity, code, message }: Finding, paint: Paint): string {
  return `${paint(severity, severity)} ${code}: ${printable(message)}`;
}

function word(verdict: keyof typeof WORDS, paint: Paint): string {
  const text = WORDS[verdict];
  const severity = { blocked: 'error', lost: 'error', differs: 'error', 'left-out': 'info' } as const;
  const colour = severity[verdict as keyof typeof severity] ?? 'good';
  return paint(text, colour) + ' '.repeat(WIDTH - text.length);
}

function indent(): string {
  return ' '.repeat(WIDTH + 2);
}
