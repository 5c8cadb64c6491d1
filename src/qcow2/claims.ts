/** Who holds a cluster: the number of a bitmap in the directory, or the directory itself. */
export type Owner = number;
/** The owner of the directory's own clusters. */
export const DIRECTORY: Owner = -1;

/** Clusters of one owner, from number `first` up to `end`, which is left out. */
export interface Claim {
  readonly first: number;
  readonly end: number;
  readonly owner: Owner;
}

/** Called with a cluster that two owners claim; they may be one and the same. */
type OnShared = (first: Owner, second: Owner, cluster: number) => void;

/**
 * The clusters that bitmaps and their directory are stored in, each with its owner, to be held against refcounts and
 * other references. Memory follows the number of runs of neighbouring clusters, and so the bytes of the tables that were
 * read. First everything is added, then it is sealed, then it can be asked.
 */
export class Claims {
  #first: number[] = [];
  #end: number[] = [];
  #owner: Owner[] = [];

  /** Adds the clusters from number `first` up to `end`, which is left out. */
  add(first: number, end: number, owner: Owner): void {
    const last = this.#first.length - 1;
    if (last >= 0 && this.#end[last] === first && this.#owner[last] === owner) {
      this.#end[last] = end;
      return;
    }
    this.#first.push(first);
    this.#end.push(end);
    this.#owner.push(owner);
  }

  /** Puts the claims in order and reports what is claimed twice; each cluster keeps one owner of those. */
  seal(onShared: OnShared): void {
    const order = Uint32Array.from(this.#first.keys());
    const unsorted = this.#first;
    order.sort((a, b) => (unsorted[a] as number) - (unsorted[b] as number));
    const sorted = new Claims();
    let reached = 0;
    let holder = DIRECTORY;
    for (const index of order) {
      const first = this.#first[index] as number;
      const end = this.#end[index] as number;
      const owner = this.#owner[index] as Owner;
      if (first < reached) onShared(holder, owner, first);
      if (end <= reached) continue;
      sorted.add(Math.max(first, reached), end, owner);
      reached = end;
      holder = owner;
    }
    this.#first = sorted.#first;
    this.#end = sorted.#end;
    this.#owner = sorted.#owner;
  }

  /** The first claimed clusters among those from number `first` up to `end`; undefined where there are none. */
  find(first: number, end: number): Claim | undefined {
    // Most clusters of an image lie before or after all of its bitmaps.
    const count = this.#first.length;
    if (first >= end || count === 0) return undefined;
    if (end <= (this.#first[0] as number) || first >= (this.#end[count - 1] as number)) return undefined;
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#end[middle] as number) <= first) low = middle + 1;
      else high = middle;
    }
    const start = this.#first[low] as number;
    if (start >= end) return undefined;
    const claimEnd = Math.min(end, this.#end[low] as number);
    return { first: Math.max(first, start), end: claimEnd, owner: this.#owner[low] as Owner };
  }

  /** All claims in ascending order. */
  *all(): Generator<Claim, void, void> {
    for (let index = 0; index < this.#first.length; index++) {
      const [first, end] = [this.#first[index] as number, this.#end[index] as number];
      yield { first, end, owner: this.#owner[index] as Owner };
    }
  }
}
