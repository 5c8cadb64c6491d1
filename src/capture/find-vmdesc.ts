import { locateVmdesc, parseVmdesc, type Vmdesc } from './vmdesc.js';

/**
 * Looks for the vmdesc in ever longer ends of an input that can be read anywhere.
 * @param read gives exactly the bytes it is asked for.
 * @param size bytes of the input; `max` those of the longest vmdesc that is read.
 * @throws what `read` throws.
 */
export async function findVmdesc(
  read: (offset: number, length: number) => Promise<Uint8Array>,
  size: number,
  max: number,
): Promise<Vmdesc | undefined> {
  // Twice 64 KiB covers every PC; the last try is as far as a vmdesc can reach that is still read whole.
  for (const length of [64 * 1024, 1024 * 1024, 16 * 1024 * 1024]) {
    const take = Math.min(length, size, max + 64);
    const tail = await read(size - take, take);
    const place = locateVmdesc(tail, size - take);
    if (place !== undefined) {
      const from = place.textOffset - (size - take);
      return parseVmdesc(tail.subarray(from, from + place.textLength));
    }
    if (take < length || tail.at(-1) !== 0x7d) return undefined;
  }
  return undefined;
}
