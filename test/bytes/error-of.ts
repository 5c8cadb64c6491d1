import { DirtyBitmapError } from '../../src/errors.js';

/** The error of the library that `work` throws; anything else it does fails the test. */
export function errorOf(work: () => unknown): DirtyBitmapError {
  try {
    work();
  } catch (error) {
    if (error instanceof DirtyBitmapError) return error;
    throw error;
  }
  throw new Error('a DirtyBitmapError was expected, and nothing was thrown');
}
