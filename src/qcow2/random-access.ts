import { DirtyBitmapError } from '../errors.js';

/** Bytes of the image file. */
export interface ByteRange {
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** In bytes; fewer are there only at the end of the file. */
  readonly length: number;
}

/** A file that can be read anywhere: how this folder reaches an image. Offsets and lengths are in bytes. */
export interface RandomAccess {
  /** Bytes of the file now. */
  size(): Promise<number>;
  /** Reads bytes; fewer than asked for only where the file ends. They need to be valid only until the next read. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/**
 * Work that plans, and leaves the fetching to others: it yields a range of the file that it wants, is given just these
 * bytes (a view, valid until it yields again), and returns its result in the end. One way of parsing serves files and
 * bytes in memory alike.
 */
export type Steps<T> = Generator<ByteRange, T, Uint8Array>;

/**
 * Does the work with the bytes of a file.
 * @throws DirtyBitmapError what the work throws, and `truncated` where the file ends inside a range that it wants.
 */
export async function runSteps<T>(file: RandomAccess, steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (!step.done) {
    const { offset, length } = step.value;
    const bytes = await file.read(offset, length);
    step = bytes.length === length ? steps.next(bytes) : steps.throw(ended(step.value, bytes.length));
  }
  return step.value;
}

/**
 * Does the work with a file that lies in memory.
 * @throws DirtyBitmapError as {@link runSteps}.
 */
export function runStepsOnBytes<T>(file: Uint8Array, steps: Steps<T>): T {
  let step = steps.next();
  while (!step.done) {
    const { offset, length } = step.value;
    const bytes = file.subarray(offset, offset + length);
    step = bytes.length === length ? steps.next(bytes) : steps.throw(ended(step.value, bytes.length));
  }
  return step.value;
}

function ended({ offset, length }: ByteRange, got: number): DirtyBitmapError {
  const found = `expected ${length} bytes, the file ends after ${got}`;
  return new DirtyBitmapError('truncated', `${found}; the image is cut off, or was just made shorter`, { offset });
}
