import type { LiveBitmap } from '../chain/live-nodes.js';
import type { Resolved } from '../migration/resolve-target.js';
import type { MigrationSide } from './migration-side.js';

/** States in which a guest has not run since its QEMU was started to take a migration. Source: QEMU's RunState. */
const NEVER_RAN: readonly string[] = ['inmigrate', 'prelaunch'];
/** States in which nobody can say whether it ran. */
const STOPPED: readonly string[] = ['paused', 'postmigrate', 'finish-migrate', 'save-vm'];

/** A bitmap at both ends. */
export interface BothEnds {
  readonly sent: LiveBitmap;
  readonly arrived: LiveBitmap;
  /** SHA-256 of the bits at the source and at the destination, as far as they were asked for. */
  readonly hashes: readonly [string | undefined, string | undefined];
  /** What it should be at the destination. */
  readonly persistent: boolean;
  /** Where it is there. */
  readonly resolved: Resolved;
  readonly destination: MigrationSide;
}

/** What is not as it was sent, and what may be right and should be known. */
export interface Compared {
  readonly differences: readonly string[];
  readonly notes: readonly string[];
}

/** Compares a bitmap with what was sent, as far as QMP tells of both. */
export function compareBitmap(both: BothEnds): Compared {
  const { sent, arrived, persistent } = both;
  const differences: string[] = [];
  const notes: string[] = [];
  if (arrived.inconsistent) differences.push('it is inconsistent');
  if (arrived.busy) differences.push('it is busy: it was never completed, or a job uses it');
  if (arrived.granularity !== sent.granularity) {
    differences.push(`granularity ${arrived.granularity}, was ${sent.granularity}`);
  }
  if (arrived.recording !== sent.recording)
    differences.push(`recording is ${arrived.recording}, was ${sent.recording}`);
  if (arrived.persistent !== persistent) {
    const retry = persistent ? ' (QEMU sends it as transient after a migration that was cancelled)' : '';
    differences.push(`persistent is ${arrived.persistent}, expected ${persistent}${retry}`);
  }
  compareStorage(both, differences, notes);
  compareBits(both, differences, notes);
  return { differences, notes };
}

/** As the outlook says it: what an image that may not be written cannot store is lost, also if it is there now. */
function compareStorage({ arrived, resolved: { node } }: BothEnds, differences: string[], notes: string[]): void {
  if (!arrived.persistent || node.canStore) return;
  const gone = 'it is persistent, and gone when that QEMU ends';
  if (node.readOnly) differences.push(`${gone}: its node is read-only, make it writable`);
  else notes.push(`${gone}: its node cannot store it, use qcow2`);
}

function compareBits({ sent, arrived, hashes, destination }: BothEnds, differences: string[], notes: string[]): void {
  const { count: after } = arrived;
  const { count: before } = sent;
  const { runState } = destination;
  // Of other granules, or before it is complete, a count says nothing.
  if (before === undefined || after === undefined || arrived.busy || arrived.granularity !== sent.granularity) return;
  if (after < before) differences.push(`${after} dirty bytes, were ${before}`);
  else if (after > before && (NEVER_RAN.includes(runState) || !arrived.recording)) {
    differences.push(`${after} dirty bytes, were ${before}, and nothing has written there`);
  } else if (after > before) {
    const ran = STOPPED.includes(runState) ? 'right only where the guest ran there meanwhile' : 'the guest runs there';
    notes.push(`${after} dirty bytes, were ${before}: ${ran}`);
  } else if (runState !== 'running' && !hashes.includes(undefined) && hashes[0] !== hashes[1]) {
    // A guest only adds to them, and as many are the same then; one that runs may have done so between two questions.
    differences.push(`as many dirty bytes, but other ones (SHA-256 ${hashes[1]}, was ${hashes[0]})`);
  }
}
