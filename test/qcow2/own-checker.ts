/**
 * Counts every reference of an image again and holds the counts against its refcounts, as `qemu-img check` does, and is
 * stricter with bitmaps: all of them must lie inside the file. It has no code of the library in it: what it checks must
 * not be what it checks with. Source: spec/qcow2-bitmaps.md sections 1 to 5.
 */

/** What was found. */
export interface Recount {
  /** What would cost data, a line each; nothing in a sound image. */
  readonly corruptions: readonly string[];
  /** Clusters inside the file that are counted more often than they are used. */
  readonly leaks: number;
  /** The same behind the end of the file, where QEMU does not look. */
  readonly leaksBehind: number;
}

/** Clusters behind the end of the file whose refcounts are still looked at. */
const BEHIND = 4096;

export function recount(file: Uint8Array): Recount {
  try {
    return new Recounter(file).run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return {
      corruptions: [`something is referred to behind the end of the file: ${error.message}`],
      leaks: 0,
      leaksBehind: 0,
    };
  }
}

class Recounter {
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #clusterBits: number;
  readonly #clusterSize: number;
  readonly #incompatible: number;
  /** References of each cluster of the file, and of some behind it. */
  readonly #used: Uint32Array;
  readonly #corruptions: string[] = [];

  constructor(file: Uint8Array) {
    this.#file = file;
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    this.#clusterBits = this.#u32(20);
    this.#clusterSize = 2 ** this.#clusterBits;
    this.#incompatible = this.#u32(4) === 2 ? 0 : this.#u32(76);
    this.#used = new Uint32Array(Math.ceil(file.length / this.#clusterSize) + BEHIND);
  }

  run(): Recount {
    const version = this.#u32(4);
    this.#use('header', 0, this.#clusterSize);
    const l1 = { offset: this.#u64(40), entries: this.#u32(36) };
    this.#useL1('L1 table', l1.offset, l1.entries);
    this.#useSnapshots(this.#u32(60), this.#u64(64));
    this.#useExtensions(version === 2 ? 72 : this.#u32(100), version !== 2 && (this.#u32(92) & 1) === 1);
    const table = { offset: this.#u64(48), words: (this.#u32(56) * this.#clusterSize) / 8 };
    this.#use('refcount table', table.offset, table.words * 8);
    const blocks: number[] = [];
    for (let at = 0; at < table.words; at++) {
      const word = this.#u64(table.offset + at * 8);
      blocks.push(word);
      if (word !== 0) this.#use(`refcount block ${at}`, word, this.#clusterSize);
    }
    return this.#compare(blocks, version === 2 ? 16 : 2 ** this.#u32(96));
  }

  #compare(blocks: readonly number[], bits: number): Recount {
    const per = (this.#clusterSize * 8) / bits;
    const inFile = Math.ceil(this.#file.length / this.#clusterSize);
    let [leaks, leaksBehind] = [0, 0];
    const counted = Math.max(inFile, Math.min(blocks.length * per, this.#used.length));
    for (let first = 0; first < counted; first += per) {
      const block = blocks[first / per] ?? 0;
      const known = block !== 0 && block + this.#clusterSize <= this.#file.length;
      for (let cluster = first; cluster < Math.min(counted, first + per); cluster++) {
        const stored = known ? this.#refcount(block, cluster - first, bits) : 0;
        const used = this.#used[cluster] as number;
        if (stored < used) this.#corruptions.push(`cluster ${cluster}: refcount ${stored}, ${used} references`);
        else if (stored > used && cluster < inFile) leaks++;
        else if (stored > used) leaksBehind++;
      }
    }
    return { corruptions: this.#corruptions, leaks, leaksBehind };
  }

  #refcount(block: number, index: number, bits: number): number {
    if (bits >= 8) {
      const at = block + (index * bits) / 8;
      if (bits === 64) return this.#view.getUint32(at) > 0 ? 2 ** 32 : this.#view.getUint32(at + 4);
      if (bits === 32) return this.#view.getUint32(at);
      return bits === 16 ? this.#view.getUint16(at) : this.#view.getUint8(at);
    }
    const bit = index * bits;
    return (this.#view.getUint8(block + (bit >> 3)) >> (bit & 7)) & ((1 << bits) - 1);
  }

  #useL1(what: string, offset: number, entries: number): void {
    if (entries === 0) return;
    this.#use(what, offset, entries * 8);
    for (let at = 0; at < entries; at++) {
      const l2 = this.#pointer(offset + at * 8);
      if (l2 === 0) continue;
      this.#use(`${what}[${at}]`, l2, this.#clusterSize);
      if (l2 + this.#clusterSize <= this.#file.length) this.#useL2(`${what}[${at}]`, l2);
    }
  }

  #useL2(what: string, offset: number): void {
    // Guest data is in another file.
    if ((this.#incompatible & 4) !== 0) return;
    const size = (this.#incompatible & 16) === 0 ? 8 : 16;
    for (let at = offset; at < offset + this.#clusterSize; at += size) {
      const high = this.#view.getUint32(at);
      if (high === 0 && this.#view.getUint32(at + 4) === 0) continue;
      if ((high & 0x4000_0000) === 0) {
        const data = this.#pointer(at);
        if (data !== 0) this.#use(`${what}: data`, data, 1);
        continue;
      }
      const word = this.#view.getBigUint64(at);
      const shift = BigInt(62 - (this.#clusterBits - 8));
      const start = Number(word & ((1n << shift) - 1n));
      const sectors = Number((word >> shift) & ((1n << BigInt(this.#clusterBits - 8)) - 1n)) + 1;
      this.#use(`${what}: compressed data`, start - (start % 512), sectors * 512, true);
    }
  }

  #useSnapshots(count: number, offset: number): void {
    let at = offset;
    for (let index = 0; index < count; index++) {
      this.#useL1(`L1 table of snapshot ${index}`, this.#u64(at), this.#u32(at + 8));
      const lengths = this.#view.getUint16(at + 12) + this.#view.getUint16(at + 14) + this.#u32(at + 36);
      at = Math.ceil((at + 40 + lengths) / 8) * 8;
    }
    if (count > 0) this.#use('snapshot table', offset, at - offset);
  }

  #useExtensions(headerLength: number, withBitmaps: boolean): void {
    const end = this.#u64(8) || this.#clusterSize;
    let found = false;
    for (let at = headerLength; at + 8 <= end && this.#u32(at) !== 0; ) {
      const [type, length] = [this.#u32(at), this.#u32(at + 4)];
      if (at + 8 + length > end) this.#corruptions.push(`header extension at ${at}: beyond ${end}`);
      if (type === 0x0537be77) this.#use('encryption header', this.#u64(at + 8), this.#u64(at + 16));
      if (type === 0x23852875) {
        if (found) this.#corruptions.push('two bitmaps extensions');
        found = true;
        if (withBitmaps) this.#useBitmaps(this.#u32(at + 8), this.#u64(at + 16), this.#u64(at + 24));
      }
      at += 8 + Math.ceil(length / 8) * 8;
    }
    if (withBitmaps && !found) this.#corruptions.push('autoclear bit 0 without a bitmaps extension');
  }

  #useBitmaps(count: number, size: number, offset: number): void {
    this.#useInside('bitmap directory', offset, size);
    let at = offset;
    for (let index = 0; index < count; index++) {
      const what = `bitmap ${index}`;
      const [table, entries] = [this.#u64(at), this.#u32(at + 8)];
      this.#useInside(`${what}: table`, table, entries * 8);
      for (let word = table; word < table + entries * 8 && word + 8 <= this.#file.length; word += 8) {
        const data = this.#pointer(word);
        if (data !== 0) this.#useInside(`${what}: bits`, data, this.#clusterSize);
      }
      at = Math.ceil((at + 24 + this.#view.getUint16(at + 18) + this.#u32(at + 20)) / 8) * 8;
    }
    if (at !== offset + size) this.#corruptions.push(`bitmap directory of ${size} bytes: ends after ${at - offset}`);
  }

  #useInside(what: string, offset: number, length: number): void {
    if (offset + length > this.#file.length) this.#corruptions.push(`${what} at ${offset}: not inside the file`);
    this.#use(what, offset, length);
  }

  #use(what: string, offset: number, length: number, unaligned = false): void {
    if (offset % this.#clusterSize !== 0 && !unaligned) this.#corruptions.push(`${what} at ${offset}: not aligned`);
    const end = Math.ceil((offset + length) / this.#clusterSize);
    for (let cluster = Math.floor(offset / this.#clusterSize); cluster < end; cluster++) {
      if (cluster * this.#clusterSize >= this.#file.length) {
        this.#corruptions.push(`${what} at ${offset}: behind the end of the file`);
        return;
      }
      this.#used[cluster] = (this.#used[cluster] as number) + 1;
    }
  }

  /** Bits 9 to 55 of a word. */
  #pointer(at: number): number {
    return (this.#u32(at) & 0x00ff_ffff) * 2 ** 32 + ((this.#u32(at + 4) & 0xffff_fe00) >>> 0);
  }

  #u32(at: number): number {
    return at + 4 <= this.#file.length ? this.#view.getUint32(at) : 0;
  }

  #u64(at: number): number {
    return this.#u32(at) * 2 ** 32 + this.#u32(at + 4);
  }
}
