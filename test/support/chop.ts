/** What overwrites a piece after the call that took it: a decoder that still looks at it sees nonsense. */
const SCRIBBLE = 0xa5;

/** The pieces between the cuts, which are positions in `bytes` in any order. */
export function chop(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((to, at) => bytes.slice(edges[at], to));
}

/** Pieces of `size` bytes, the last one shorter. */
export function chopEvery(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.slice(at * size, (at + 1) * size));
}

/** All ways of cutting `bytes` in two, the empty pieces included, and once byte by byte. */
export function* chopEverywhere(bytes: Uint8Array): Generator<Uint8Array[], void, void> {
  yield chopEvery(bytes, 1);
  for (let cut = 0; cut <= bytes.length; cut++) yield chop(bytes, [cut]);
}

/** All ways of cutting `bytes` into pieces of at least one byte: 2^(length - 1) of them, so for tiny inputs only. */
export function* chopEveryWay(bytes: Uint8Array): Generator<Uint8Array[], void, void> {
  const places = Math.max(0, bytes.length - 1);
  for (let mask = 0; mask < 2 ** places; mask++) {
    const cuts = Array.from({ length: places }, (_, at) => at + 1).filter((cut) => (mask >> (cut - 1)) & 1);
    yield chop(bytes, cuts);
  }
}

/** Pushes a copy of each piece and overwrites it afterwards, as a caller does that reuses its buffer. */
export function pushAndOverwrite(pieces: Iterable<Uint8Array>, push: (piece: Uint8Array) => void): void {
  for (const piece of pieces) {
    // Not slice(): that of a Node Buffer is a view.
    const lent = new Uint8Array(piece);
    push(lent);
    lent.fill(SCRIBBLE);
  }
}
