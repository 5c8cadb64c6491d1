import { describe, expect, it } from 'vitest';
import { readQcow2 } from '../../src/qcow2/read-qcow2.js';
import { fill, join, u16, u32, u64 } from '../support/stream-builder.js';
import { SparseFile } from './sparse-file.js';

const MiB = 1024 * 1024;

/** What a large image is made of. */
interface LargeForm {
  readonly clusterBits: number;
  readonly size: number;
  readonly granularityBits: number;
  /** The words of the only bitmap's table, from the cluster where its bits may begin. */
  readonly words: (firstData: number) => Float64Array | number[];
  readonly dataClusters: number;
}

/** An image with one large bitmap and an empty L1 table; its refcounts are hidden by the dirty bit. */
function largeImage({ clusterBits, size, granularityBits, words, dataClusters }: LargeForm) {
  const cs = 2 ** clusterBits;
  const l1Entries = Math.ceil(size / cs / (cs / 8));
  const l1 = 3 * cs;
  const directory = l1 + Math.ceil((l1Entries * 8) / cs) * cs;
  const table = directory + cs;
  const entries = Math.ceil(Math.ceil(size / 2 ** granularityBits) / 8 / cs);
  const firstData = table + Math.ceil((entries * 8) / cs) * cs;
  const file = new SparseFile(firstData + dataClusters * cs);
  file.put(0, [
    join('QFI', 0xfb, u32(3), fill(12), u32(clusterBits), u64(size), u32(0), u32(l1Entries), u64(l1), u64(cs), u32(1)),
    join(u32(0), u64(0), u64(1), u64(0), u64(1), u32(4), u32(112), fill(8)),
    join(u32(0x23852875), u32(24), u32(1), u32(0), u64(32), u64(directory)),
  ]);
  file.put(directory, [u64(table), u32(entries), u32(2), 1, granularityBits, u16(5), u32(0), 'large', fill(3)]);
  const values = words(firstData);
  const bytes = new Uint8Array(entries * 8);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < values.length; index++) view.setBigUint64(index * 8, BigInt(values[index] as number));
  file.put(table, bytes);
  return { file, firstData, table, entries, directory, l1 };
}

/** 512 MiB of bits in clusters of 64 KiB: the largest bitmap there may be. */
const LARGEST = { clusterBits: 16, size: 2 ** 48, granularityBits: 16 };
const CLUSTERS = 8192;

describe('a bitmap of 512 MiB', () => {
  it('is read cluster by cluster', async () => {
    const words = (first: number) => Array.from({ length: CLUSTERS }, (_, index) => first + index * 65_536);
    const { file, firstData } = largeImage({ ...LARGEST, words, dataClusters: CLUSTERS });
    file.put(firstData + 511 * MiB, 0x80);
    const { bitmaps } = await readQcow2(file, { scanReferences: false });
    const granule = 511 * MiB * 8 + 7;
    expect([...(bitmaps[0]?.bits?.extents() ?? [])]).toEqual([[granule * 65_536, 65_536]]);
    expect(file.longestRead).toBe(MiB);
    expect(bitmaps[0]?.bits?.allocatedBytes).toBeLessThan(8 * MiB);
  });

  it('costs nothing where it is clean', async () => {
    const { file } = largeImage({ ...LARGEST, words: () => [], dataClusters: 0 });
    const { bitmaps } = await readQcow2(file, { scanReferences: false });
    expect(bitmaps[0]).toMatchObject({ trust: 'enabled', table: { kinds: { zeroes: CLUSTERS, ones: 0, data: 0 } } });
    expect(bitmaps[0]?.bits?.isEmpty()).toBe(true);
    expect(file.bytesRead).toBeLessThan(MiB);
  });

  it('may be all ones, also where the last word stands for less than its cluster', async () => {
    const size = 2 ** 40 - 512;
    const form = { ...LARGEST, size, words: () => Array.from({ length: 32 }, () => 1), dataClusters: 0 };
    const { file } = largeImage(form);
    const { bitmaps } = await readQcow2(file, { scanReferences: false });
    expect([...(bitmaps[0]?.bits?.extents() ?? [])]).toEqual([[0, size]]);
    expect(file.bytesRead).toBeLessThan(MiB);
  });

  it('in scattered clusters takes one read for each', async () => {
    const words = (first: number) => Array.from({ length: 64 }, (_, index) => first + (63 - index) * 65_536);
    const { file, firstData } = largeImage({ ...LARGEST, words, dataClusters: 64 });
    file.put(firstData, 1);
    const { bitmaps } = await readQcow2(file, { scanReferences: false });
    expect([...(bitmaps[0]?.bits?.extents() ?? [])]).toEqual([[63 * 65_536 * 8 * 65_536, 65_536]]);
    expect(file.reads.filter(({ offset }) => offset >= firstData)).toHaveLength(64);
  });
});

describe('limits', () => {
  const oneOf = (dataClusters: number) =>
    largeImage({ ...LARGEST, words: (first) => [first, 1, 0, ...Array(10).fill(0)], dataClusters }).file;

  it.each([
    [{ maxBitmaps: 0 }, /maxBitmaps/],
    [{ maxBitmapTableBytes: CLUSTERS * 8 - 1 }, /maxBitmapTableBytes/],
    [{ maxStoredBitsBytes: 65_535 }, /maxStoredBitsBytes/],
    [{ maxBitmapMemory: 65_536 }, /maxBitmapMemory/],
    [{ maxReferenceBytes: 100_000 }, /maxReferenceBytes/],
  ])('%j are kept, before anything is allocated', async (limits, message) => {
    await expect(readQcow2(oneOf(1), { limits })).rejects.toMatchObject({
      code: 'limit',
      message: expect.stringMatching(message),
    });
  });

  it('may just be reached', async () => {
    const limits = { maxBitmaps: 1, maxBitmapTableBytes: CLUSTERS * 8, maxStoredBitsBytes: 65_536 };
    const { bitmaps } = await readQcow2(oneOf(1), { limits, scanReferences: false });
    expect(bitmaps[0]?.bits?.dirtyGranules()).toBe(65_536 * 8);
  });
});

describe('the scan of all references', () => {
  const form = { clusterBits: 16, size: 2 ** 40, granularityBits: 16, words: () => [1], dataClusters: 2000 };

  it('reads an L2 table once, and neighbours together', async () => {
    const { file, firstData, l1 } = largeImage(form);
    // Every word of the L1 table leads to one of 32 neighbouring tables.
    file.put(l1, join(...Array.from({ length: 2048 }, (_, index) => u64(firstData + (index % 32) * 65_536))));
    const { bitmaps } = await readQcow2(file);
    expect(bitmaps[0]?.trust).toBe('enabled');
    const reads = file.reads.filter(({ offset }) => offset >= firstData);
    expect(reads.map(({ length }) => length)).toEqual([MiB, MiB]);
  });

  it('finds one reference among all', async () => {
    const { file, firstData, l1, table } = largeImage(form);
    file.put(l1 + 1000 * 8, u64(firstData + 5 * 65_536));
    file.put(firstData + 5 * 65_536 + 8 * 777, u64(table));
    const { bitmaps } = await readQcow2(file);
    const offset = firstData + 5 * 65_536 + 8 * 777;
    expect(bitmaps[0]?.fault).toMatchObject({ code: 'qcow2-cluster-referenced', offset });
  });
});

describe('an image that is written meanwhile', () => {
  const quiet = { clusterBits: 16, size: 2 ** 30, granularityBits: 16, words: () => [1], dataClusters: 0 };

  it('is read again', async () => {
    const { file, directory } = largeImage(quiet);
    let reads = 0;
    file.onRead = (offset) => {
      // The directory is read once for what it says, and once to see that it still says so.
      if (offset === directory && ++reads === 2) file.put(directory + 24, 'newer');
    };
    const { bitmaps } = await readQcow2(file);
    expect(bitmaps.map(({ name }) => name.text)).toEqual(['newer']);
    expect(reads).toBe(4);
  });

  it.each([
    ['its header', 88, 3],
    ['its directory', undefined, 6],
  ])('and changes %s each time is given up after three tries', async (_what, place, reads) => {
    const { file, directory } = largeImage(quiet);
    const at = place ?? directory + 24;
    let changes = 0;
    file.onRead = (offset) => {
      if (offset === directory) file.put(at + 6, ++changes % 2 === 0 ? 0 : 2);
    };
    await expect(readQcow2(file)).rejects.toMatchObject({ code: 'qcow2-changed', offset: at + 6 });
    expect(changes).toBe(reads);
  });

  it('is tried again before anything is called broken', async () => {
    const { file, directory, table } = largeImage(quiet);
    let reads = 0;
    file.onRead = (offset) => {
      if (offset !== directory) return;
      reads++;
      // Half written at first.
      if (reads === 1) file.put(directory, u64(0));
      else if (reads === 2) file.put(directory, u64(table));
    };
    expect((await readQcow2(file)).bitmaps[0]?.trust).toBe('enabled');
    expect(reads).toBe(4);
  });

  it('may become shorter', async () => {
    const { file, table } = largeImage(quiet);
    let size = await file.size();
    const cut = {
      size: async () => size,
      read: async (offset: number, length: number) => {
        if (offset === table) size = 100;
        return (await file.read(offset, length)).subarray(0, Math.max(0, size - offset));
      },
    };
    await expect(readQcow2(cut)).rejects.toMatchObject({ code: 'truncated', offset: 100 });
  });

  it('may become shorter behind what is compared, which is no fault of a bitmap', async () => {
    const { file, table } = largeImage(quiet);
    const cut = {
      size: () => file.size(),
      read: async (offset: number, length: number) => file.read(offset, offset === table ? length - 1 : length),
    };
    await expect(readQcow2(cut)).rejects.toMatchObject({ code: 'truncated', offset: table });
  });

  it('has its errors of reading told as they are', async () => {
    const { file, table } = largeImage(quiet);
    file.onRead = (offset) => {
      if (offset === table) throw new Error('EIO');
    };
    await expect(readQcow2(file)).rejects.toThrow('EIO');
  });
});
