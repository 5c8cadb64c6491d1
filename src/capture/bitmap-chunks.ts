import { assertQemuGranules, granulesIn } from '../bitmap/granularity.js';
import type { Name } from '../bytes/text.js';
import { SECTOR } from '../chunk/chunk-cursor.js';
import { type ChunkNames, ChunkOutput, MAX_HEADER } from '../migration/chunk-output.js';
import { CompactCutter } from '../migration/cut-compact.js';
import { WholeCutter } from '../migration/cut-whole.js';
import type { CutterInput, Profile } from '../migration/cutter.js';
import type { SetBitmap, SetNode } from '../set/bitmap-set.js';
import { sentSize } from './set-graph.js';

/** A bitmap that is written among the chunks of others. */
export interface PutBitmap {
  readonly names: ChunkNames;
  /** Bytes. */
  readonly granularity: number;
  /** START's byte. */
  readonly startFlags: number;
  readonly input: CutterInput;
}

/** What a chunk before has named already: nothing, the node, or this bitmap itself. */
export type Named = 'nothing' | 'node' | 'bitmap';

const WINDOW = 64 * 1024;
const NO_NAME: Name = Object.freeze({ bytes: new Uint8Array(0), text: '', clean: true });

/**
 * A bitmap of a set, ready to be written.
 * @param node one object for all bitmaps of the node: between them its name is not repeated.
 * @throws DirtyBitmapError `size-unknown`, `bitmap-too-large`.
 */
export function putBitmap(node: SetNode, bitmap: SetBitmap, profile: Profile): PutBitmap {
  const { granularity } = bitmap.bits;
  const size = sentSize(node, bitmap, profile);
  assertQemuGranules(size, granularity);
  return {
    names: { nodeAlias: node.node, alias: bitmap.name, node },
    granularity,
    startFlags: (bitmap.recording ? 1 : 0) | (bitmap.persistent ? 2 : 0),
    input: {
      ...{ bits: bitmap.bits, granularity },
      ...{ granules: granulesIn(size, granularity), sectors: granulesIn(size, SECTOR) },
    },
  };
}

/** The BITS chunks of a bitmap, as views of one window that are valid until the next is asked for. */
export function* bitsOf(put: PutBitmap, named: Named, profile: Profile): Generator<Uint8Array, void, void> {
  const output = new ChunkOutput();
  if (named === 'bitmap') output.remember(put.names);
  if (named === 'node') output.remember({ ...put.names, alias: NO_NAME });
  const window = new Uint8Array(WINDOW);
  output.begin(window);
  yield* ranges(put, profile, output, window);
  if (output.pos > 0) yield window.subarray(0, output.pos);
}

/** All chunks of bitmaps, one after the other: START, BITS, COMPLETE; else as {@link bitsOf}. */
export function* wholeBitmaps(puts: readonly PutBitmap[], profile: Profile): Generator<Uint8Array, void, void> {
  const output = new ChunkOutput();
  const window = new Uint8Array(WINDOW);
  output.begin(window);
  for (const put of puts) {
    yield* room(output, window, MAX_HEADER);
    output.start(put.names, put.granularity, put.startFlags);
    yield* ranges(put, profile, output, window);
    yield* room(output, window, MAX_HEADER);
    output.complete(put.names);
  }
  if (output.pos > 0) yield window.subarray(0, output.pos);
}

function* ranges(put: PutBitmap, profile: Profile, output: ChunkOutput, window: Uint8Array): Generator<Uint8Array> {
  const cutter = profile === 'compact' ? new CompactCutter(put.input) : new WholeCutter(put.input);
  while (cutter.next()) {
    yield* room(output, window, MAX_HEADER + cutter.maxSize);
    output.range(put.names, cutter, put.input.bits);
  }
}

/** Hands out what is written where the next chunk may not fit behind it. */
function* room(output: ChunkOutput, window: Uint8Array, bytes: number): Generator<Uint8Array> {
  if (output.room >= bytes) return;
  yield window.subarray(0, output.pos);
  output.begin(window);
}
