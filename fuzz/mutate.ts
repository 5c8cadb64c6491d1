/** Random numbers from a seed: the same seed, the same row. Each is a whole number below `limit`. */
export type Random = (limit: number) => number;

/** xorshift32: small, and good enough to choose bytes with. */
export function seededRandom(seed: number): Random {
  let state = seed | 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** Values that lengths, counts and sizes break at. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff] as const;

type Mutation = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const at = random(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random(8));
    return bytes;
  },
  function setByte(bytes, random) {
    bytes[random(bytes.length)] = random(256);
    return bytes;
  },
  function setField(bytes, random) {
    const width = ([1, 2, 4, 8] as const)[random(4)] as number;
    let value: number = EDGES[random(EDGES.length)] as number;
    for (let at = random(bytes.length) + width - 1, left = width; left > 0; at--, left--) {
      if (at < bytes.length) bytes[at] = value & 0xff;
      value = Math.floor(value / 256);
    }
    return bytes;
  },
  function cut(bytes, random) {
    return bytes.slice(0, random(bytes.length));
  },
  function remove(bytes, random) {
    const at = random(bytes.length);
    const length = 1 + random(Math.min(64, bytes.length - at));
    return splice(bytes, at, length, new Uint8Array(0));
  },
  function repeat(bytes, random) {
    const at = random(bytes.length);
    const part = bytes.slice(at, at + 1 + random(2048));
    return splice(bytes, at, 0, part);
  },
  function insertOther(bytes, random, other) {
    const from = random(other.length);
    const part = other.slice(from, from + 1 + random(2048));
    return splice(bytes, random(bytes.length), random(2) * part.length, part);
  },
];

/**
 * A copy of some bytes with one to eight faults in it: flipped bits, lengths at their edges, cuts, repetitions, parts of
 * another stream.
 */
export function mutate(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  // Not slice(): that of a Node Buffer is a view.
  let mutated: Uint8Array = new Uint8Array(bytes);
  for (let faults = 1 + random(8); faults > 0; faults--) {
    if (mutated.length === 0) return mutated;
    const mutation = MUTATIONS[random(MUTATIONS.length)] as Mutation;
    mutated = mutation(mutated, random, other.length > 0 ? other : mutated);
  }
  return mutated;
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const rest = bytes.subarray(at + remove);
  const result = new Uint8Array(at + insert.length + rest.length);
  result.set(bytes.subarray(0, at), 0);
  result.set(insert, at);
  result.set(rest, at + insert.length);
  return result;
}
