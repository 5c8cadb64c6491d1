import type { RandomAccess } from '../qcow2/random-access.js';
import type { Slice } from './location.js';

/** A slice of a file as a file of its own; the file itself where there is none. It ends with the file at the latest. */
export function slicedFile(file: RandomAccess, slice: Slice | undefined): RandomAccess {
  if (slice === undefined) return file;
  const size = async (): Promise<number> => {
    const rest = Math.max(0, (await file.size()) - slice.offset);
    return Math.min(rest, slice.size ?? rest);
  };
  return {
    size,
    async read(offset: number, length: number): Promise<Uint8Array> {
      const room = Math.max(0, (await size()) - offset);
      return await file.read(slice.offset + offset, Math.min(length, room));
    },
  };
}
