import type { RandomAccess } from '../qcow2/random-access.js';

/** What takes pushed bytes. */
interface Sink {
  push(piece: Uint8Array): void;
  /** Bytes after those pushed that may be left out. */
  readonly skippable?: number;
  skipped?(count: number): void;
}

/** Bytes of one slice: a browser takes long for each, and all of it is in memory. */
const SLICE = 4 * 1024 * 1024;

/**
 * Reads a file to its end, a slice at a time, and pushes all of it to each sink, but what none of them will look at.
 * @param onSlice called after each slice with the offset reached.
 * @throws what the file and the sinks throw.
 */
export async function pushSlices(
  file: RandomAccess,
  sinks: readonly Sink[],
  onSlice: (done: number) => void,
): Promise<void> {
  const size = await file.size();
  for (let offset = 0; offset < size; ) {
    const skip = Math.min(size - offset, ...sinks.map((sink) => sink.skippable ?? 0));
    // A whole slice is worth it.
    if (skip >= SLICE) {
      for (const sink of sinks) sink.skipped?.(skip);
      offset += skip;
    } else {
      const piece = await file.read(offset, Math.min(SLICE, size - offset));
      // The file was made shorter.
      if (piece.length === 0) return;
      for (const sink of sinks) sink.push(piece);
      offset += piece.length;
    }
    onSlice(offset);
  }
}
