import { describe, expect, it } from 'vitest';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { errorOf } from '../bytes/error-of.js';
import { join, type Part, u32, u64 } from '../support/stream-builder.js';
import { type BuiltImage, buildImage, type ImageForm } from './build-image.js';
import { patched } from './patch.js';

const TWO: ImageForm = {
  bitmaps: [{ dirty: [[8, 2]] }, { dirty: [[0, 100]] }, { dirty: [[3, 1]] }],
  guest: ['data', 'zero', 'compressed', 'compressed', 'data'],
  snapshots: 2,
};
const image = buildImage(TWO);
const dataOf = (index: number, of: BuiltImage = image): number => (of.data[index] as readonly number[])[0] as number;
const tableOf = (index: number, of: BuiltImage = image): number => of.tables[index] as number;

/** Trust and code of the fault of each bitmap. */
function states(bytes: Uint8Array, options = {}): string[] {
  return decodeQcow2(bytes, options).bitmaps.map(({ trust, fault, bits }) => {
    expect(bits === undefined).toBe(fault !== undefined);
    return fault === undefined ? trust : `${trust} ${fault.code} at ${fault.offset}`;
  });
}

const FINE = ['enabled', 'enabled', 'enabled'];
/** The second bitmap is damaged, the others are not. */
const second = (code: string, offset: number | undefined): string[] => [
  'enabled',
  `damaged ${code} at ${offset}`,
  'enabled',
];

it('is proven of a good image', () => {
  expect(states(image.bytes)).toEqual(FINE);
});

describe('a cluster with two owners', () => {
  const shared = (offset: number) => `damaged qcow2-cluster-shared at ${offset}`;

  it('costs both of them their bits, and no one else', () => {
    const both = [shared(dataOf(0)), shared(dataOf(0)), 'enabled'];
    expect(states(patched(image, tableOf(1), u64(dataOf(0))))).toEqual(both);
  });

  it('is found between a table and bits', () => {
    const both = ['enabled', shared(tableOf(2)), shared(tableOf(2))];
    expect(states(patched(image, tableOf(1), u64(tableOf(2))))).toEqual(both);
  });

  it('is found between tables', () => {
    // A table that is shared makes its bits shared, which come first in the file.
    const both = ['enabled', shared(dataOf(2)), shared(dataOf(2))];
    expect(states(patched(image, image.entries[1] as number, u64(tableOf(2))))).toEqual(both);
  });

  it('is found within one bitmap', () => {
    const large = buildImage({ size: 4 * 1024 * 1024, bitmaps: [{ dirty: [[0, 8192]] }, {}] });
    const bytes = patched(large, tableOf(0, large) + 8, u64(dataOf(0, large)));
    expect(states(bytes)).toEqual([shared(dataOf(0, large)), 'enabled']);
  });

  it('is found where the other one is in use', () => {
    const inUse = buildImage({ bitmaps: [{ flags: 3, dirty: [[0, 1]] }, { dirty: [[0, 1]] }] });
    const { bitmaps } = decodeQcow2(patched(inUse, tableOf(1, inUse), u64(dataOf(0, inUse))));
    expect(bitmaps.map((bitmap) => bitmap.trust)).toEqual(['in-use-unknown', 'damaged']);
  });

  it('costs the whole list where it is the directory', () => {
    const error = errorOf(() => decodeQcow2(patched(image, tableOf(1), u64(image.directory))));
    expect(error).toMatchObject({ code: 'qcow2-cluster-shared', offset: image.directory });
    expect(error.message).toMatch(/^the bitmap directory: /);
  });
});

describe('refcounts', () => {
  it.each([1, 2, 4, 8, 16, 32, 64])('of %d bits must be 1', (refcountBits) => {
    const guest = refcountBits === 1 ? [] : TWO.guest;
    const snapshots = refcountBits === 1 ? 0 : 2;
    const form = { ...TWO, refcountBits, guest, snapshots } as ImageForm;
    const good = buildImage(form);
    expect(states(good.bytes)).toEqual(FINE);
    const cluster = dataOf(1, good) / 512;
    const per = (512 * 8) / refcountBits;
    const block = good.refcountBlocks[Math.floor(cluster / per)] as number;
    const byte = block + Math.floor(((cluster % per) * refcountBits) / 8);
    const old = good.bytes[byte] as number;
    for (const flip of refcountBits === 1 ? [1] : [1, 2]) {
      // The least significant bits of a wide refcount are in its last byte.
      const at = refcountBits > 8 ? byte + refcountBits / 8 - 1 : byte;
      const shift = refcountBits < 8 ? (cluster * refcountBits) % 8 : 0;
      const value = refcountBits > 8 ? (good.bytes[at] as number) : old;
      expect(states(patched(good, at, value ^ (flip << shift)))).toEqual(second('qcow2-refcount-not-one', byte));
    }
  });

  it('may be in more than one block', () => {
    const large = buildImage({ refcountBits: 64, size: 2 ** 28, bitmaps: [{ dirty: [[0, 2 ** 19]] }] });
    expect(large.data[0]?.length).toBe(128);
    expect(states(large.bytes)).toEqual(['enabled']);
    for (const index of [0, 80, 127]) {
      const offset = large.data[0]?.[index] as number;
      const cluster = offset / 512;
      const at = (large.refcountBlocks[Math.floor(cluster / 64)] as number) + (cluster % 64) * 8;
      expect(states(patched(large, at + 7, 0))).toEqual([`damaged qcow2-refcount-not-one at ${at}`]);
    }
  });

  it('above 2^53 are no reason to fail', () => {
    const wide = buildImage({ ...TWO, refcountBits: 64 });
    const cluster = dataOf(1, wide) / 512;
    const offset = (wide.refcountBlocks[Math.floor(cluster / 64)] as number) + (cluster % 64) * 8;
    expect(states(patched(wide, offset, 0x80))).toEqual(second('u64-too-large', offset));
  });

  it('of the directory are those of the whole list', () => {
    const offset = (image.refcountBlocks[0] as number) + (image.directory / 512) * 2;
    const error = errorOf(() => decodeQcow2(patched(image, offset + 1, 2)));
    expect(error).toMatchObject({ code: 'qcow2-refcount-not-one', offset });
  });

  it('that no block holds are 0', () => {
    const error = errorOf(() => decodeQcow2(patched(image, image.refcountTable, u64(0))));
    expect(error).toMatchObject({ code: 'qcow2-refcount-not-one', offset: image.refcountTable });
    expect(error.message).toContain('found 0');
  });

  it.each<[what: string, word: Part]>([
    ['reserved bits', u64((image.refcountBlocks[0] as number) + 1)],
    ['a place behind the file', u64(2 ** 40)],
  ])('in a block with %s cannot be read', (_what, word) => {
    const error = errorOf(() => decodeQcow2(patched(image, image.refcountTable, word)));
    expect(error).toMatchObject({ code: 'qcow2-refcount-block', offset: image.refcountTable });
  });

  it('in a block that is not aligned cannot be read', () => {
    const wide = buildImage({ ...TWO, clusterBits: 10 });
    const bytes = patched(wide, wide.refcountTable, u64((wide.refcountBlocks[0] as number) + 512));
    expect(errorOf(() => decodeQcow2(bytes)).code).toBe('qcow2-refcount-block');
  });

  it('cannot be read where their table is not in the file', () => {
    const error = errorOf(() => decodeQcow2(patched(image, 48, u64(2 ** 40))));
    expect(error).toMatchObject({ code: 'qcow2-refcount-table-outside', offset: 48 });
  });

  it('mean nothing beside the dirty bit', () => {
    const dirty = buildImage({ ...TWO, incompatible: 1 });
    const bytes = patched(dirty, dirty.refcountTable, u64(0));
    expect(states(bytes)).toEqual(FINE);
    expect(decodeQcow2(bytes).findings.list).toMatchObject([{ code: 'qcow2-dirty', offset: 72 }]);
  });
});

describe('a cluster that something else refers to', () => {
  const l2 = image.l2[0] as number;
  /** The word of a snapshot's entry that tells where its L1 table lies. */
  const snapshotL1 = image.snapshotTable;

  it.each<[what: string, kind: string, where: number, word: Part]>([
    ['guest data', 'guest data', l2, u64(dataOf(1))],
    ['guest data in place', 'guest data', l2 + 8, u64(BigInt(dataOf(1)) | (1n << 63n))],
    ['a cluster that reads as zeroes', 'guest data', l2 + 16, u64(dataOf(1) + 1)],
    ['compressed data', 'compressed guest data', l2, u64((1n << 62n) | BigInt(dataOf(1) + 500))],
    ['an L2 table', 'an L2 table', image.l1 + 8, u64(dataOf(1))],
    ['the L1 table', 'an L1 table', 40, u64(dataOf(1))],
    ['the L1 table of a snapshot', 'an L1 table', snapshotL1, u64(dataOf(1))],
    ['a refcount block', 'a refcount block', image.refcountTable + 8, u64(dataOf(1))],
  ])('costs its bitmap the bits: %s', (_what, kind, where, word) => {
    const bytes = patched(image, where, word);
    expect(states(bytes)).toEqual(second('qcow2-cluster-referenced', where));
    expect(decodeQcow2(bytes).bitmaps[1]?.fault?.message).toContain(`found that ${kind} uses it too`);
    expect(states(bytes, { scanReferences: false })).toEqual(FINE);
  });

  it.each([10, 12, 16, 21])('is found in the last sector of compressed data, in clusters of 2^%d', (clusterBits) => {
    const form = {
      clusterBits,
      size: 2 ** (clusterBits + 3),
      bitmaps: [{ dirty: [[0, 1]] }],
      guest: ['data'],
    } as const;
    const large = buildImage(form);
    const most = 2 ** (clusterBits - 8) - 1;
    // As many sectors as an entry can tell of, the first of which is used from its last byte on.
    const start = dataOf(0, large) - most * 512 + 511;
    const word = (sectors: number) => u64((1n << 62n) | (BigInt(sectors) << BigInt(70 - clusterBits)) | BigInt(start));
    const entry = large.l2[0] as number;
    expect(states(patched(large, entry, word(most - 1)))).toEqual(['enabled']);
    expect(states(patched(large, entry, word(most)))).toEqual([`damaged qcow2-cluster-referenced at ${entry}`]);
  });

  it('is not looked for in an L2 table that is not aligned, because QEMU does not use it', () => {
    const large = buildImage({ clusterBits: 10, bitmaps: [{ dirty: [[0, 1]] }], guest: ['data'] });
    const entry = large.l2[0] as number;
    const bytes = patched(large, entry + 512, u64(dataOf(0, large)));
    expect(states(bytes)).toEqual([`damaged qcow2-cluster-referenced at ${entry + 512}`]);
    expect(states(patched({ bytes }, large.l1, u64(entry + 512)))).toEqual(['enabled']);
  });

  it('is found in a further sector of compressed data', () => {
    const lastOfGuest = dataOf(0) - 1;
    const word = (more: bigint) => u64((1n << 62n) | (more << 61n) | BigInt(lastOfGuest));
    expect(states(patched(image, l2, word(0n)))).toEqual(FINE);
    const [first, ...others] = states(patched(image, l2, word(1n)));
    expect([first, others]).toEqual([`damaged qcow2-cluster-referenced at ${l2}`, ['enabled', 'enabled']]);
  });

  it.each<[what: string, offset: number, where: number]>([
    ['the header', 0, 0],
    ['the refcount table', image.refcountTable, 48],
    ['a refcount block', image.refcountBlocks[0] as number, image.refcountTable],
    ['the L1 table', image.l1, 40],
    ['an L2 table', l2, image.l1],
    ['the snapshot table', image.snapshotTable, 64],
    ['guest data', image.guest[0] as number, l2],
    ['compressed data', (image.guest[3] as number) - ((image.guest[3] as number) % 512), l2 + 16],
  ])('is found where a bitmap was made to point at it: %s', (_what, offset, where) => {
    // A cluster that guest data shares with snapshots has other refcounts already; the dirty bit hides those.
    const bytes = patched({ bytes: patched(image, tableOf(1), u64(offset)) }, 79, 1);
    // An offset of 0 stands for zeroes, so nothing can point at the header.
    expect(states(bytes)).toEqual(offset === 0 ? FINE : second('qcow2-cluster-referenced', where));
  });

  it('may be the encryption header', () => {
    const extensions = [[0x0537be77, join(u64(0), u64(0))]] as const;
    const luks = buildImage({ crypt: 2, extensions, bitmaps: TWO.bitmaps ?? [] });
    expect(states(patched(luks, 120, [u64(dataOf(1, luks)), u64(1)]))).toEqual(second('qcow2-cluster-referenced', 0));
  });

  it('costs the whole list where it is the directory', () => {
    const error = errorOf(() => decodeQcow2(patched(image, l2, u64(image.directory))));
    expect(error).toMatchObject({ code: 'qcow2-cluster-referenced', offset: l2 });
  });

  it('is found in L2 entries of 16 bytes, and not in the bits beside them', () => {
    const form: ImageForm = { incompatible: 16, bitmaps: TWO.bitmaps ?? [], guest: ['data', 'zero', 'data'] };
    const extended = buildImage(form);
    expect(states(extended.bytes)).toEqual(FINE);
    const table = extended.l2[0] as number;
    const offset = dataOf(1, extended);
    expect(states(patched(extended, table + 16, u64(offset)))).toEqual(second('qcow2-cluster-referenced', table + 16));
    expect(states(patched(extended, table + 24, u64(offset)))).toEqual(FINE);
  });

  it('is no cluster of a data file', () => {
    const external = buildImage({ incompatible: 4, autoclear: 3, bitmaps: TWO.bitmaps ?? [], guest: ['data'] });
    const table = external.l2[0] as number;
    expect(states(patched(external, table, u64(dataOf(1, external))))).toEqual(FINE);
    const { dataFile } = decodeQcow2(external.bytes);
    expect(dataFile).toEqual({ name: undefined, raw: true });
  });

  it('is looked for in the part of a table that lies in the file', () => {
    // Nearly all of the file is a part of that L1 table.
    const error = errorOf(() => decodeQcow2(patched(image, 36, u32(2 ** 32 - 1))));
    expect(error).toMatchObject({ code: 'qcow2-cluster-referenced', offset: 40, path: 'the bitmap directory' });
  });

  it('needs a snapshot table that lies in the file', () => {
    for (const [where, part] of [
      [64, u64(2 ** 40)],
      [image.snapshotTable + 36, u32(2 ** 31)],
      [60, u32(65_536)],
    ] as const) {
      const error = errorOf(() => decodeQcow2(patched(image, where, part)));
      expect(error).toMatchObject({ code: 'qcow2-snapshots-outside', offset: 64 });
    }
  });
});
