import { printable } from '../bytes/text.js';
import type { MigrationPhase } from '../capture/incoming-migration.js';
import type { GatheredBitmap } from '../migration/gatherer.js';
import { formatBytes, formatBytesExact } from './text.js';

/** What a phase of a migration means to who looks on. */
const PHASES: Readonly<Record<MigrationPhase, string>> = {
  setup: 'the source begins',
  precopy: 'the guest runs at the source and its RAM is copied; bitmaps come when it has stopped',
  switchover: 'the guest has stopped at the source',
  postcopy: 'the guest was handed over; the rest of the bitmaps comes',
  complete: 'the stream is complete',
};

/** A phase that begins, in one line. */
export function phaseText(phase: MigrationPhase): string {
  return `${phase}: ${PHASES[phase]}`;
}

/** A bitmap that is complete, in one line. */
export function completeText({ node, name, bits, coveredBytes, wireBytes }: GatheredBitmap): string {
  const label = printable(`${node.text}/${name.text}`);
  return `${label}: complete, ${formatBytesExact(bits.count())} of ${formatBytes(coveredBytes)} dirty, ${formatBytes(wireBytes)} on the wire`;
}

/** How far a bitmap has come, where that can be told. */
export interface BitmapProgress {
  readonly label: string;
  /** Bytes of the disk that were told of. */
  readonly covered: number;
  /** Bytes of the disk; undefined where nothing tells. The wire does not. */
  readonly size: number | undefined;
  /** Bytes that came of it. */
  readonly wireBytes: number;
  readonly complete: boolean;
}

/**
 * How far each bitmap has come. The size of a disk is told by `sizeOf`, or by another bitmap of the node that is complete.
 */
export function bitmapProgress(
  bitmaps: readonly GatheredBitmap[],
  sizeOf: (node: string) => number | undefined,
): BitmapProgress[] {
  const known = new Map<string, number>();
  for (const { node, complete, diskEnd, coveredBytes } of bitmaps) {
    if (complete && diskEnd) known.set(node.text, coveredBytes);
  }
  return bitmaps.map(({ node, name, complete, coveredBytes, wireBytes }) => ({
    label: printable(`${node.text}/${name.text}`),
    covered: coveredBytes,
    wireBytes,
    size: complete ? coveredBytes : (sizeOf(node.text) ?? known.get(node.text)),
    complete,
  }));
}
