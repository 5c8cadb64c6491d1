import { quoted } from '../bytes/text.js';
import type { LiveState } from '../chain/live-nodes.js';
import { DirtyBitmapError } from '../errors.js';
import type { BlockdevOptions } from './commands.js';

/**
 * What `blockdev-reopen` is told to make a node writable or read-only. It takes all options of a node, and what it is not
 * told goes back to its default: the children, the cache mode and detect-zeroes are known from QEMU, others (`discard`,
 * sizes of caches, `pass-discard-*`) QEMU does not tell, and are lost.
 * @throws DirtyBitmapError `unsupported`: QEMU did not tell the children of the node, or was not asked.
 */
export function reopenOptions(state: LiveState, name: string, readOnly: boolean): BlockdevOptions {
  const node = state.nodes.get(name);
  if (node?.links === undefined || node.format === undefined) {
    const message = `the node ${quoted(name)} cannot be reopened: its driver and its children are not known; ask with the block graph, or reopen it by hand`;
    throw new DirtyBitmapError('unsupported', message);
  }
  const children = Object.fromEntries(node.links.map(({ child, node: below }) => [child, below]));
  return {
    driver: node.format,
    'node-name': name,
    'read-only': readOnly,
    ...(node.cache && { cache: { direct: node.cache.direct, 'no-flush': node.cache.noFlush } }),
    ...(node.detectZeroes !== undefined && { 'detect-zeroes': node.detectZeroes }),
    // Without this a layer without a backing node would get the one that its image names.
    ...(node.format === 'qcow2' && { backing: null }),
    ...children,
  };
}
