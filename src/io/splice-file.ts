import type { SpliceChanges } from '../capture/chunk-edits.js';
import { type SpliceOptions, type SplicePlan, SplicePlanner } from '../capture/splice.js';
import { DirtyBitmapError } from '../errors.js';
import { withVmdesc } from './capture-file.js';
import { type PumpOptions, pump } from './pump.js';
import type { Source } from './source.js';

/** How a capture in a file is edited. */
export type SpliceFileOptions = Pick<SpliceOptions, 'profile' | 'limits' | 'offset'> & Pick<PumpOptions, 'onProgress'>;

const PIECE = 256 * 1024;

/**
 * Finds out where a capture in a file has to be edited; RAM pages are stepped over.
 * @throws DirtyBitmapError as `SplicePlanner`; `argument` for a pipe, which cannot be read twice; `file-access`.
 */
export async function planSplice(
  source: Source,
  changes: SpliceChanges,
  options: SpliceFileOptions = {},
): Promise<SplicePlan> {
  if (source.size === undefined) {
    throw new DirtyBitmapError(
      'argument',
      'a capture that bitmaps are put into is read twice: give a file, not a pipe',
    );
  }
  const { profile, offset, onProgress } = options;
  const planner = new SplicePlanner(changes, { ...(await withVmdesc(source, options)), profile });
  await pump(source, planner, { ...(offset !== undefined && { offset }), onProgress });
  return planner.finish();
}

/**
 * All bytes of the file with the edits of the plan, each piece valid until the next is asked for.
 * @throws DirtyBitmapError `file-access`; `truncated` where the file has become shorter since.
 */
export async function* splicePieces(source: Source, plan: SplicePlan): AsyncGenerator<Uint8Array, void, void> {
  const buffer = new Uint8Array(PIECE);
  let at = 0;
  for (const { offset, remove, insert } of plan.edits) {
    yield* copy(source, at, offset, buffer);
    if (insert !== undefined) yield* insert();
    at = offset + remove;
  }
  yield* copy(source, at, source.size ?? at, buffer);
}

async function* copy(source: Source, from: number, to: number, buffer: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; ) {
    const count = await source.read(buffer.subarray(0, Math.min(PIECE, to - at)), at);
    if (count === 0) {
      throw new DirtyBitmapError(
        'truncated',
        `expected ${to} bytes, the file ends after ${at}: it has changed meanwhile`,
      );
    }
    yield buffer.subarray(0, count);
    at += count;
  }
}
