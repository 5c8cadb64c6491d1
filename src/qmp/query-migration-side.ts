import { granulesIn } from '../bitmap/granularity.js';
import type { LiveAnswers } from '../chain/live-nodes.js';
import { isDirtyBitmapError } from '../errors.js';
import type { TrackedBitmap } from '../migration/tracked-bitmap.js';
import { type QmpCommands, type QmpExecutor, qmpCommand, runCommand } from './commands.js';
import { type MigrationSide, parseMigrationSide } from './migration-side.js';
import { isSince, parseVersion } from './migration-state.js';
import { queryAnswers } from './query-state.js';

/**
 * Asks a QEMU for its end of a migration.
 * @throws DirtyBitmapError as {@link parseMigrationSide} and {@link QmpExecutor.execute}.
 */
export async function queryMigrationSide(qmp: QmpExecutor): Promise<MigrationSide> {
  const migration = await runCommand(qmp, qmpCommand('query-migrate'));
  const { nodes, drives, graph, ejected } = await nodesOf(qmp);
  const version = await runCommand(qmp, qmpCommand('query-version'));
  return parseMigrationSide({
    ...{ nodes, drives, graph, ejected, migration, version },
    capabilities: await runCommand(qmp, qmpCommand('query-migrate-capabilities')),
    parameters: await runCommand(qmp, qmpCommand('query-migrate-parameters')),
    status: await runCommand(qmp, qmpCommand('query-status')),
    globals: isSince(parseVersion(version), 10, 0) ? await globalsOf(qmp) : undefined,
  });
}

/** A guest stands still while QEMU hashes a bitmap: of one that runs only those of so many granules, which is milliseconds. */
const QUICK_GRANULES = 2 ** 24;

/**
 * The same with hashes of the bits, to compare with another end; not of large bitmaps where the guest runs.
 * @throws DirtyBitmapError as {@link queryMigrationSide}.
 */
export async function queryMigrationBits(qmp: QmpExecutor): Promise<MigrationSide> {
  const side = await queryMigrationSide(qmp);
  const hashes = new Map<TrackedBitmap, string>();
  const most = side.runState === 'running' ? QUICK_GRANULES : Number.POSITIVE_INFINITY;
  for (const node of side.graph.nodes) {
    for (const bitmap of node.bitmaps) {
      const name = side.told.get(bitmap)?.name;
      if (name === undefined || granulesIn(node.size, bitmap.granularity) > most) continue;
      const hash = await unlessRefused(
        runCommand(qmp, qmpCommand('x-debug-block-dirty-bitmap-sha256', { node: node.name, name })),
      );
      if (typeof hash?.sha256 === 'string') hashes.set(bitmap, hash.sha256);
    }
  }
  return { ...side, hashes };
}

async function nodesOf(qmp: QmpExecutor): Promise<LiveAnswers & { readonly ejected?: string }> {
  try {
    return await queryAnswers(qmp);
  } catch (error) {
    // QEMU could not open an image again when it took over, and tells of no node at all then.
    const ejected = isDirtyBitmapError(error) && error.code === 'qmp-refused' && error.message.includes('is ejected');
    if (ejected) return { nodes: [], drives: [], ejected: error.message };
    throw error;
  }
}

/** The settings that only the monitor for people tells: all of them with `-a` (11.x), or without (10.x). */
async function globalsOf(qmp: QmpExecutor): Promise<string | undefined> {
  const ask = async (line: string): Promise<string | undefined> =>
    await unlessRefused(runCommand(qmp, qmpCommand('human-monitor-command', { 'command-line': line })));
  const all = await ask('info migrate -a');
  return all?.includes('send-switchover-start') === true ? all : await ask('info migrate');
}

async function unlessRefused<T extends QmpCommands[keyof QmpCommands]['returns']>(
  answer: Promise<T>,
): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isDirtyBitmapError(error) && error.code === 'qmp-refused') return undefined;
    throw error;
  }
}
