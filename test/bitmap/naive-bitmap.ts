/** A bitmap as slow and as obvious as can be: the set of the numbers of dirty granules. */
export class NaiveBitmap {
  readonly bits: Set<number> = new Set();
  readonly granularity: number;
  readonly size: number | undefined;
  /** The dirty granules in order, until something changes. */
  #sorted: number[] | undefined;

  constructor(granularity: number, size?: number) {
    this.granularity = granularity;
    this.size = size;
  }

  /** Granules that there may be. */
  get end(): number {
    return this.size === undefined ? Number.POSITIVE_INFINITY : Math.ceil(this.size / this.granularity);
  }

  set(offset: number, length: number): void {
    this.#sorted = undefined;
    for (let byte = offset; byte < offset + length; byte += this.granularity) this.#add(byte);
    if (length > 0) this.#add(offset + length - 1);
  }

  clear(offset: number, length: number): void {
    this.#sorted = undefined;
    for (const bit of [...this.bits]) {
      const start = bit * this.granularity;
      const end = Math.min(start + this.granularity, this.size ?? Number.POSITIVE_INFINITY);
      if (start >= offset && end <= offset + length) this.bits.delete(bit);
    }
  }

  clearBits(first: number, end: number): void {
    this.#sorted = undefined;
    for (const bit of [...this.bits]) {
      if (bit >= first && bit < end) this.bits.delete(bit);
    }
  }

  writeBytes(at: number, bytes: Uint8Array): void {
    this.#sorted = undefined;
    for (const [index, byte] of bytes.entries()) {
      for (let i = 0; i < 8; i++) {
        const bit = (at + index) * 8 + i;
        if (((byte >> i) & 1) === 1) this.bits.add(bit);
        else this.bits.delete(bit);
      }
    }
  }

  bytes(at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (const bit of this.sorted()) {
      const byte = Math.floor(bit / 8) - at;
      if (byte >= 0 && byte < length) bytes[byte] = (bytes[byte] ?? 0) | (1 << (bit % 8));
    }
    return bytes;
  }

  sorted(): number[] {
    this.#sorted ??= Array.from(Float64Array.from(this.bits).sort());
    return this.#sorted;
  }

  extents(clip = true): [number, number][] {
    const extents: [number, number][] = [];
    for (const bit of this.sorted()) {
      const offset = bit * this.granularity;
      const last = extents.at(-1);
      if (last !== undefined && last[0] + last[1] === offset) last[1] += this.granularity;
      else extents.push([offset, this.granularity]);
    }
    const last = extents.at(-1);
    if (clip && last !== undefined && this.size !== undefined) last[1] = Math.min(last[1], this.size - last[0]);
    return extents;
  }

  nextDirty(offset: number): number {
    const bit = this.sorted().find((each) => (each + 1) * this.granularity > offset);
    return bit === undefined ? -1 : bit * this.granularity;
  }

  nextClean(offset: number): number {
    let bit = Math.floor(offset / this.granularity);
    while (this.bits.has(bit)) bit++;
    return bit >= this.end ? -1 : bit * this.granularity;
  }

  #add(byte: number): void {
    this.bits.add(Math.floor(byte / this.granularity));
  }
}
