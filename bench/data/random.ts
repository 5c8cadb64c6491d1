/** Random numbers that are the same in every run (xorshift32): whole, from 0 to 2^32 - 1. */
export function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** So many different bits of so many, in random order. */
export function randomBits(seed: number, count: number, of: number): Float64Array {
  const random = randomNumbers(seed);
  const seen = new Set<number>();
  while (seen.size < count) seen.add(Math.floor((random() / 2 ** 32) * of));
  return Float64Array.from(seen);
}

/** Random bytes. */
export function randomBytes(seed: number, length: number): Uint8Array {
  const random = randomNumbers(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let at = 0; at < words.length; at++) words[at] = random();
  return new Uint8Array(words.buffer, 0, length);
}
