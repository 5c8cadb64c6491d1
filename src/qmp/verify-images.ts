import type { LiveBitmap } from '../chain/live-nodes.js';
import { counterpart } from './image-hand-over.js';
import type { MigrationSide } from './migration-side.js';
import type { StoredBitmap } from './stored-bitmaps.js';
import type { VerifiedBitmap } from './verified-bitmap.js';

/**
 * What became of the bitmaps that a source has stored in its images, when they do not go in the stream: a source that is
 * done has unloaded them, and a destination that opens the same image has loaded them. How much is dirty, the image does not
 * say.
 */
export function verifyImages(source: MigrationSide, destination: MigrationSide): VerifiedBitmap[] {
  if (destination.ejected !== undefined) return [];
  const verified: VerifiedBitmap[] = [];
  for (const node of source.graph.nodes) {
    const there = counterpart(node, source, destination);
    for (const stored of source.stored.get(node.name) ?? []) {
      const found = there?.bitmaps.find((bitmap) => bitmap.name?.text === stored.name);
      const arrived = found && destination.told.get(found);
      const differences = arrived === undefined ? ['it is not there'] : differencesOf(stored, arrived);
      const verdict = arrived === undefined ? 'lost' : differences.length > 0 ? 'differs' : 'arrived';
      const codes = { lost: 'migration-bitmap-lost', differs: 'migration-bitmap-differs', arrived: undefined } as const;
      verified.push({
        ...{ node: node.name, name: stored.name, differences, verdict },
        destination: there && { node: there.name, name: stored.name },
        code: codes[verdict],
        notes: verdict === 'arrived' ? ['handed over in the image'] : [],
        count: { source: undefined, destination: arrived?.count },
        // It was loaded, which QEMU does when it takes over.
        proven: verdict === 'arrived',
      });
    }
  }
  return verified;
}

function differencesOf(stored: StoredBitmap, arrived: LiveBitmap): string[] {
  const differences: string[] = [];
  if (arrived.inconsistent) differences.push('it is inconsistent: the image was not closed, or is not the same');
  if (!arrived.persistent) differences.push('it is transient, so not the one of the image');
  if (stored.granularity !== undefined && arrived.granularity !== stored.granularity) {
    differences.push(`granularity ${arrived.granularity}, was ${stored.granularity}`);
  }
  if (arrived.recording !== stored.auto) differences.push(`recording is ${arrived.recording}, was ${stored.auto}`);
  return differences;
}
