import { isDirtyBitmapError } from '../errors.js';

/** Files of what did not become whole, beside one that was to be. */
const MAX_PARTIALS = 100;

/**
 * Writes what is not whole, or not yet, beside the file that it is to be: as `FILE.partial`, `FILE.partial.2` and so on,
 * the first name at which `write` does not throw `output-exists`. What is there stays: it may be all that is left.
 * @returns what `write` returns.
 * @throws what `write` throws; DirtyBitmapError `output-exists` where all names are taken.
 */
export async function writeBeside<T>(path: string, write: (partial: string) => Promise<T>): Promise<T> {
  for (let turn = 1; ; turn++) {
    try {
      return await write(turn === 1 ? `${path}.partial` : `${path}.partial.${turn}`);
    } catch (error) {
      if (!isDirtyBitmapError(error) || error.code !== 'output-exists' || turn >= MAX_PARTIALS) throw error;
    }
  }
}
