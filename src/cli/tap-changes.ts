import type { StreamChange, StreamChanges } from '../capture/stream-editor.js';
import type { Target } from '../chunk/name-memory.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { renaming } from './change-names.js';
import { assertNoneLost, assertWhole, loadSet } from './load-set.js';
import type { Terminal } from './terminal.js';

/** What `tap` is to change. */
export interface TapChangeOptions {
  readonly rename?: readonly string[];
  readonly drop?: readonly string[];
  readonly add?: string;
  readonly dropSwitchoverStart?: boolean;
  readonly limit?: Partial<Limits>;
}

/** The changes of a command line, and which of them nothing came for. */
export interface TapChanges {
  /** Undefined where nothing is to be changed. */
  readonly changes: StreamChanges | undefined;
  /** `--drop NODE/NAME` and so on, as they were given, after what was done. */
  unused(done: readonly StreamChange[]): string[];
}

/**
 * What a command line asks to be changed.
 * @throws DirtyBitmapError `argument`; as `loadSet`, `assertWhole` for the set that is added.
 */
export async function tapChanges(options: TapChangeOptions, terminal: Terminal): Promise<TapChanges> {
  const { rename = [], drop = [], add, dropSwitchoverStart = false } = options;
  const unused = new Set([...rename.map((text) => `--rename ${text}`), ...drop.map((text) => `--drop ${text}`)]);
  const renames = rename.map((text) => [`--rename ${text}`, renaming(text)] as const);
  for (const text of drop)
    if (text === '') throw new DirtyBitmapError('argument', '--drop: expected NODE/NAME or NODE');
  const asked = rename.length > 0 || drop.length > 0 || add !== undefined || dropSwitchoverStart;
  const changes: StreamChanges = {
    drop: ({ node, bitmap }: Target) => {
      const found = drop.find((text) => text === `${node.text}/${bitmap.text}` || text === node.text);
      unused.delete(`--drop ${found}`);
      return found !== undefined;
    },
    rename: ({ node, bitmap }: Target) => {
      for (const [text, names] of renames) {
        const found = names(node.text, bitmap.text);
        if (found === undefined) continue;
        unused.delete(text);
        return found;
      }
      return undefined;
    },
    put: add === undefined ? undefined : await setToAdd(add, options, terminal),
    dropSwitchoverStart,
  };
  const addUnused = (done: readonly StreamChange[]): boolean =>
    (changes.put?.nodes.some(({ bitmaps }) => bitmaps.length > 0) ?? false) &&
    !done.some(({ what }) => what === 'added' || what === 'replaced');
  return {
    changes: asked ? changes : undefined,
    unused: (done) => [...unused, ...(addUnused(done) ? [`--add ${add}`] : [])],
  };
}

async function setToAdd(path: string, { limit }: TapChangeOptions, terminal: Terminal): Promise<BitmapSet> {
  const loaded = await loadSet(path, { ...(limit && { limit }) }, terminal);
  for (const warning of assertWhole(loaded)) terminal.stderr.write(`dirtybitmap: ${warning}\n`);
  assertNoneLost(loaded);
  return loaded.set;
}
