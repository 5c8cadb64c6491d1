/**
 * Writes qcow2 images byte by byte, without any code of the library: what it tests must not be what makes the tests'
 * input. Source: spec/qcow2-bitmaps.md; qemu-img check finds nothing wrong with them (see qemu-images.test.ts).
 */
import { fill, join, type Part, u16, u32, u64 } from '../support/stream-builder.js';

/** A bitmap to store. */
interface BitmapForm {
  readonly name?: Part;
  readonly granularityBits?: number;
  /** Default 2: AUTO. */
  readonly flags?: number;
  /** Runs of dirty granules: the first one, and how many. */
  readonly dirty?: readonly (readonly [first: number, count: number])[];
  /** Whether clusters whose bits are all set are stored as all-ones words. */
  readonly onesAsWords?: boolean;
  readonly extraData?: Part;
  /** Words of the table, where not as many as the bits need. */
  readonly tableEntries?: number;
}

/** An image to build. What is left out is as simple as can be. */
export interface ImageForm {
  readonly version?: 2 | 3;
  readonly clusterBits?: number;
  readonly refcountBits?: number;
  /** Bytes of the disk. */
  readonly size?: number;
  readonly bitmaps?: readonly BitmapForm[];
  readonly incompatible?: number;
  /** Default 1 where there are bitmaps. */
  readonly autoclear?: number | bigint;
  readonly crypt?: number;
  readonly backing?: string;
  /** Extensions before that of the bitmaps: type and data. */
  readonly extensions?: readonly (readonly [type: number, data: Part])[];
  /** Extensions after it. */
  readonly moreExtensions?: readonly (readonly [type: number, data: Part])[];
  /** Clusters of guest data, from the start of the disk on. */
  readonly guest?: readonly ('data' | 'zero' | 'compressed')[];
  readonly snapshots?: number;
}

/** An image, and where its parts lie in it, in bytes. */
export interface BuiltImage {
  readonly bytes: Uint8Array;
  readonly clusterSize: number;
  /** Of the 24 bytes of the bitmaps extension. */
  readonly extension: number;
  readonly endMarker: number;
  readonly directory: number;
  readonly entries: readonly number[];
  readonly tables: readonly number[];
  /** Clusters of bits, by bitmap. */
  readonly data: readonly (readonly number[])[];
  readonly l1: number;
  readonly l2: readonly number[];
  readonly guest: readonly number[];
  readonly snapshotTable: number;
  readonly refcountTable: number;
  readonly refcountBlocks: readonly number[];
}

/** A first cluster with room to spare, whatever the cluster size. */
const COMPRESSED_BYTES = 256;

class Clusters {
  readonly size: number;
  readonly refcounts: number[] = [];
  readonly #parts: [offset: number, bytes: Uint8Array][] = [];

  constructor(size: number) {
    this.size = size;
  }

  /** Takes clusters for these bytes and returns where they lie. */
  put(part: Part, refcount = 1): number {
    const bytes = join(part);
    const offset = this.refcounts.length * this.size;
    const count = Math.max(1, Math.ceil(bytes.length / this.size));
    for (let i = 0; i < count; i++) this.refcounts.push(refcount);
    this.#parts.push([offset, bytes]);
    return offset;
  }

  /** Writes over what is there. */
  patch(offset: number, part: Part): void {
    this.#parts.push([offset, join(part)]);
  }

  /** The file, which ends with the last cluster. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.refcounts.length * this.size);
    for (const [offset, bytes] of this.#parts) all.set(bytes, offset);
    return all;
  }
}

export function buildImage(form: ImageForm = {}): BuiltImage {
  const { version = 3, clusterBits = 9, refcountBits = 16, size = 128 * 1024, bitmaps = [] } = form;
  const clusters = new Clusters(2 ** clusterBits);
  clusters.put([]);
  const guest = putGuest(clusters, form, size);
  const stored = bitmaps.map((bitmap) => putBitmap(clusters, bitmap, size));
  const entryParts = bitmaps.map((bitmap, index) => directoryEntry(bitmap, index, stored[index] as StoredBitmap));
  const directory = entryParts.length > 0 ? clusters.put(entryParts) : 0;
  const refcounts = putRefcounts(clusters, refcountBits);
  const directorySize = join(entryParts).length;
  const payload = join(u32(bitmaps.length), u32(0), u64(directorySize), u64(directory));
  const before = (form.extensions ?? []).map(([type, data]) => extensionOf(type, join(data)));
  const own = bitmaps.length > 0 ? [extensionOf(0x23852875, payload)] : [];
  const after = (form.moreExtensions ?? []).map(([type, data]) => extensionOf(type, join(data)));
  const headerLength = version === 2 ? 72 : 112;
  const extension = headerLength + join(before).length + 8;
  const endMarker = headerLength + join(before, own, after).length;
  const backing = join(form.backing ?? '');
  clusters.patch(0, [
    join('QFI', 0xfb, u32(version), u64(backing.length > 0 ? endMarker + 8 : 0), u32(backing.length)),
    join(u32(clusterBits), u64(size), u32(form.crypt ?? 0), u32(guest.l1Entries), u64(guest.l1)),
    join(u64(refcounts.table), u32(refcounts.tableClusters), u32(form.snapshots ?? 0), u64(guest.snapshotTable)),
    version === 2
      ? []
      : join(
          [u64(form.incompatible ?? 0), u64(0), u64(form.autoclear ?? (bitmaps.length > 0 ? 1 : 0))],
          [u32(Math.log2(refcountBits)), u32(headerLength), fill(8)],
        ),
    [before, own, after, fill(8), backing],
  ]);
  const entries = entryParts.map((_, index) => directory + join(entryParts.slice(0, index)).length);
  return {
    ...{ bytes: clusters.bytes(), clusterSize: clusters.size, extension, endMarker, directory, entries },
    tables: stored.map((one) => one.table),
    data: stored.map((one) => one.data),
    ...{ l1: guest.l1, l2: guest.l2, guest: guest.data, snapshotTable: guest.snapshotTable },
    ...{ refcountTable: refcounts.table, refcountBlocks: refcounts.blocks },
  };
}

function extensionOf(type: number, data: Uint8Array): Uint8Array {
  return join(u32(type), u32(data.length), data, fill((8 - (data.length % 8)) % 8));
}

interface StoredBitmap {
  readonly table: number;
  readonly entries: number;
  readonly data: readonly number[];
}

function putBitmap(clusters: Clusters, form: BitmapForm, size: number): StoredBitmap {
  const granules = Math.ceil(size / 2 ** (form.granularityBits ?? 9));
  const bytes = Math.ceil(granules / 8);
  const bits = new Uint8Array(Math.ceil(bytes / clusters.size) * clusters.size);
  for (const [first, count] of form.dirty ?? [])
    for (let granule = first; granule < Math.min(granules, first + count); granule++)
      bits[granule >> 3] = (bits[granule >> 3] as number) | (1 << (granule & 7));
  const data: number[] = [];
  const words: Uint8Array[] = [];
  const entries = form.tableEntries ?? bits.length / clusters.size;
  for (let index = 0; index < entries; index++) {
    const cluster = bits.subarray(index * clusters.size, (index + 1) * clusters.size);
    const used = cluster.subarray(0, bytes - index * clusters.size);
    const full = granules - index * clusters.size * 8 >= used.length * 8 && used.every((byte) => byte === 0xff);
    if (cluster.every((byte) => byte === 0)) words.push(u64(0));
    else if (form.onesAsWords === true && full) words.push(u64(1));
    else {
      const offset = clusters.put(cluster);
      data.push(offset);
      words.push(u64(offset));
    }
  }
  return { table: clusters.put(words), entries, data };
}

function directoryEntry(form: BitmapForm, index: number, { table, entries }: StoredBitmap): Uint8Array {
  const name = join(form.name ?? `b${index}`);
  const extra = join(form.extraData ?? []);
  const head = join(u64(table), u32(entries), u32(form.flags ?? 2), 1, form.granularityBits ?? 9);
  const entry = join(head, u16(name.length), u32(extra.length), extra, name);
  return join(entry, fill((8 - (entry.length % 8)) % 8));
}

function putGuest(clusters: Clusters, form: ImageForm, size: number) {
  const { guest = [], snapshots = 0 } = form;
  const entryBytes = ((form.incompatible ?? 0) & 16) !== 0 ? 16 : 8;
  const perL2 = clusters.size / entryBytes;
  // With snapshots everything is referred to once more each, and nothing may be written in place.
  const refcount = 1 + snapshots;
  const copied = snapshots === 0 ? 1n << 63n : 0n;
  const data: number[] = [];
  const words: Uint8Array[] = [];
  const shift = BigInt(70 - Math.log2(clusters.size));
  let compressedAt: number | undefined;
  for (const kind of guest) {
    if (kind === 'compressed') {
      // Two pieces share a cluster, the second one where the first one ends: in the middle of a sector.
      const second = compressedAt !== undefined;
      const offset: number = second
        ? (compressedAt as number) + COMPRESSED_BYTES
        : clusters.put(fill(clusters.size, 0xc5), 0);
      compressedAt = second ? undefined : offset;
      const cluster = Math.floor(offset / clusters.size);
      clusters.refcounts[cluster] = (clusters.refcounts[cluster] as number) + refcount;
      const sectors = BigInt(Math.floor((offset + COMPRESSED_BYTES - 1) / 512) - Math.floor(offset / 512));
      data.push(offset);
      words.push(u64((1n << 62n) | (sectors << shift) | BigInt(offset)));
    } else {
      const offset = clusters.put(fill(clusters.size, kind === 'data' ? 0xda : 0), refcount);
      data.push(offset);
      // A cluster of zeroes that is kept for later; with 16 bytes an entry, it is bits that say so.
      words.push(u64(BigInt(offset) | copied | (kind === 'zero' && entryBytes === 8 ? 1n : 0n)));
    }
    if (entryBytes === 16)
      words.push(kind === 'data' ? u64(0xffff_ffffn) : u64(kind === 'zero' ? 0xffff_ffffn << 32n : 0));
  }
  const l2: number[] = [];
  const l1Words: Uint8Array[] = [];
  const l1Entries = Math.ceil(size / clusters.size / perL2);
  for (let index = 0; index < l1Entries; index++) {
    const part = words.slice((index * clusters.size) / 8, ((index + 1) * clusters.size) / 8);
    if (part.length > 0) l2.push(clusters.put(join(part, fill(clusters.size - part.length * 8)), refcount));
    l1Words.push(part.length > 0 ? u64(BigInt(l2.at(-1) as number) | copied) : u64(0));
  }
  const l1 = l1Entries > 0 ? clusters.put(l1Words) : 0;
  const snapshotL1 = Array.from({ length: snapshots }, () => clusters.put(l1Words));
  const entries = snapshotL1.map((offset, index) => snapshotEntry(offset, l1Entries, index, size));
  return { data, l1, l1Entries, l2, snapshotTable: snapshots > 0 ? clusters.put(entries) : 0 };
}

function snapshotEntry(l1: number, l1Entries: number, index: number, size: number): Uint8Array {
  const [id, name] = [`${index + 1}`, `snapshot ${index}`];
  const extra = join(u64(0), u64(size), u64(0));
  const head = join(u64(l1), u32(l1Entries), u16(id.length), u16(name.length), fill(16), u32(0), u32(extra.length));
  const entry = join(head, extra, id, name);
  return join(entry, fill((8 - (entry.length % 8)) % 8));
}

/** Puts refcount blocks and their table last, so that they count themselves too. */
function putRefcounts(clusters: Clusters, bits: number) {
  const per = (clusters.size * 8) / bits;
  const used = clusters.refcounts.length;
  let blockCount = 0;
  let tableClusters = 1;
  while (blockCount * per < used + blockCount + tableClusters) {
    blockCount++;
    tableClusters = Math.ceil((blockCount * 8) / clusters.size);
  }
  const blocks = Array.from({ length: blockCount }, () => clusters.put(fill(clusters.size)));
  const table = clusters.put(
    join(...blocks.map((offset) => u64(offset)), fill(tableClusters * clusters.size - blockCount * 8)),
  );
  for (const [index, block] of blocks.entries()) {
    const packed = new Uint8Array(clusters.size);
    for (const [at, count] of clusters.refcounts.slice(index * per, (index + 1) * per).entries())
      putBits(packed, at * bits, bits, count);
    clusters.patch(block, packed);
  }
  return { blocks, table, tableClusters };
}

/** One refcount, bit by bit. Bits are numbered from the least significant of each byte; a wide one ends in its last byte. */
function putBits(bytes: Uint8Array, firstBit: number, bits: number, value: number): void {
  const wide = Math.max(1, bits / 8);
  for (let bit = 0; bit < Math.min(bits, 32); bit++) {
    if (((value >>> bit) & 1) === 0) continue;
    const byte = (firstBit >> 3) + (wide - 1) - (bit >> 3);
    bytes[byte] = (bytes[byte] as number) | (1 << ((wide === 1 ? firstBit + bit : bit) & 7));
  }
}
