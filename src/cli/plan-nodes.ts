import { type LiveState, parseLiveState } from '../chain/live-nodes.js';
import { type ParsedNodes, parseNodes } from '../chain/parse-nodes.js';
import { DirtyBitmapError } from '../errors.js';
import { openSource } from '../io/source.js';
import { resolveLimits } from '../limits.js';
import { JsonNesting, MAX_JSON_DEPTH } from '../qmp/json-framer.js';
import { readDocument } from './load-document.js';

/**
 * The nodes in a file or on standard input (`-`): what `query-named-block-nodes` returned, and
 * `x-debug-query-block-graph`, where that is given.
 * @throws DirtyBitmapError `set-invalid`, `file-access`, `limit`.
 */
export async function offlineNodes(
  path: string,
  graphPath: string | undefined,
): Promise<ParsedNodes & { readonly state: LiveState }> {
  const nodes = await readJson(path);
  const graph = graphPath === undefined ? undefined : await readJson(graphPath);
  return { ...parseNodes(nodes), state: parseLiveState({ nodes, graph }) };
}

async function readJson(path: string): Promise<unknown> {
  const source = await openSource(path, { blocking: true });
  try {
    const bytes = await readDocument(source, {}, resolveLimits());
    const nesting = new JsonNesting();
    for (const byte of bytes) {
      nesting.step(byte);
      if (nesting.tooDeep) throw new Error(`more than ${MAX_JSON_DEPTH} levels`);
    }
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    if (cause instanceof DirtyBitmapError) throw cause;
    const message = `${path}: expected JSON, found ${(cause as Error).message}; give what QEMU returned`;
    throw new DirtyBitmapError('set-invalid', message, { cause });
  } finally {
    await source.close();
  }
}
