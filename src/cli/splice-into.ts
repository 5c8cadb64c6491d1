import type { SplicePlan } from '../capture/splice.js';
import { DirtyBitmapError } from '../errors.js';
import { openSource } from '../io/source.js';
import { planSplice, splicePieces } from '../io/splice-file.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { startProgress } from './progress.js';
import type { Terminal } from './terminal.js';
import { type OutputOptions, writePieces } from './write-set.js';

/** What was done to a capture, and how long it is now. */
export interface Spliced {
  readonly done: SplicePlan['done'];
  /** Bytes. */
  readonly bytes: number;
}

/**
 * Writes a capture with the bitmaps of a set put into it; all other bytes stay as they are.
 * @throws DirtyBitmapError as `planSplice`, `writeFile`.
 */
export async function spliceInto(
  capture: string,
  set: BitmapSet,
  options: OutputOptions,
  terminal: Terminal,
): Promise<Spliced> {
  const { machine, profile, output, force, limit } = options;
  if (machine !== undefined) {
    throw new DirtyBitmapError('argument', '--machine is that of the capture of --into; leave it out');
  }
  const source = await openSource(capture, { blocking: true });
  const progress = await startProgress(terminal, capture, source.size);
  try {
    const plan = await planSplice(
      source,
      { put: set },
      { profile, ...(limit && { limits: limit }), onProgress: progress?.update },
    );
    const target = { output, ...(force !== undefined && { force }) };
    return { done: plan.done, bytes: await writePieces(splicePieces(source, plan), target, terminal) };
  } finally {
    progress?.stop();
    await source.close();
  }
}
