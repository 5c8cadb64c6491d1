import { type LiveAnswers, type LiveState, parseLiveState } from '../chain/live-nodes.js';
import { isDirtyBitmapError } from '../errors.js';
import { type QmpExecutor, qmpCommand, runCommand } from './commands.js';

/**
 * Asks a QEMU for its nodes, their links and its drives: all that chains and plans are made from.
 * @throws DirtyBitmapError `set-invalid` where the answer is none; as {@link QmpExecutor.execute}.
 */
export async function queryState(qmp: QmpExecutor): Promise<LiveState> {
  return parseLiveState(await queryAnswers(qmp));
}

/** What QEMU answered of its nodes, their links and its drives. */
export async function queryAnswers(qmp: QmpExecutor): Promise<LiveAnswers> {
  const nodes = await runCommand(qmp, qmpCommand('query-named-block-nodes', { flat: true }));
  const drives = await runCommand(qmp, qmpCommand('query-block'));
  // What is no array of objects is refused when it is read.
  const told = Array.isArray(nodes) && nodes.every((node) => node instanceof Object && 'children' in node);
  if (told) return { nodes, drives };
  try {
    return { nodes, drives, graph: await runCommand(qmp, qmpCommand('x-debug-query-block-graph')) };
  } catch (error) {
    // Not in every QEMU; file names are left then.
    if (isDirtyBitmapError(error) && error.code === 'qmp-refused') return { nodes, drives };
    throw error;
  }
}
