import { describe, expect, it } from 'vitest';
import { DirtyBitmapError } from '../../src/errors.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import type { Code } from '../../src/rules.js';
import { fill, join, type Part, u16, u32, u64 } from '../support/stream-builder.js';
import { type BuiltImage, buildImage, type ImageForm } from './build-image.js';
import { patched } from './patch.js';

/** Bytes that break a rule: where they go, what they are, which rule it is, and where the error is, if not there. */
type Case = [what: string, where: (image: BuiltImage) => number, bytes: Part, code: Code, at?: number | undefined];

const TWO: ImageForm = { bitmaps: [{ dirty: [[8, 2]] }, { dirty: [[0, 100]], name: 'second' }] };
const two = buildImage(TWO);
const at = (offset: number) => () => offset;
const inExtension = (offset: number) => (image: BuiltImage) => image.extension + offset;
const inEntry = (offset: number) => (image: BuiltImage) => (image.entries[1] as number) + offset;
const inTable =
  (offset = 0) =>
  (image: BuiltImage) =>
    (image.tables[1] as number) + offset;

const HEADER: readonly Case[] = [
  ['another magic', at(0), 'QEVM', 'qcow2-magic'],
  ['version 1', at(4), u32(1), 'qcow2-version'],
  ['version 4', at(4), u32(4), 'qcow2-version'],
  ['clusters of 256 bytes', at(20), u32(8), 'qcow2-cluster-bits'],
  ['clusters of 4 MiB', at(20), u32(22), 'qcow2-cluster-bits'],
  ['a backing name inside the header', at(8), u64(104), 'qcow2-backing-offset'],
  ['a backing name after the first cluster', at(8), u64(513), 'qcow2-backing-offset'],
  ['a backing name that is too long for the cluster', at(8), [u64(500), u32(13)], 'qcow2-backing-size', 16],
  ['a size above 2^53-1', at(24), u64(2n ** 53n), 'u64-too-large'],
  ['another encryption', at(32), u32(3), 'qcow2-crypt-method'],
  ['an L1 table that is not aligned', at(40), u64(513), 'qcow2-l1-offset'],
  ['an L1 table above 2^53-1', at(40), u64(2n ** 63n), 'u64-too-large'],
  ['a refcount table that is not aligned', at(48), u64(520), 'qcow2-refcount-table-offset'],
  ['no refcount table', at(56), u32(0), 'qcow2-refcount-table-size'],
  ['a refcount table above 8 MiB', at(56), u32(16_385), 'qcow2-refcount-table-size'],
  ['too many snapshots', at(60), u32(65_537), 'qcow2-snapshot-count'],
  ['a snapshot table that is not aligned', at(64), u64(8), 'qcow2-snapshots-offset'],
  ['an unknown incompatible feature', at(72), u64(32), 'qcow2-incompatible-unknown'],
  ['another one', at(72), u64(2n ** 63n), 'qcow2-incompatible-unknown'],
  ['refcounts of 128 bits', at(96), u32(7), 'qcow2-refcount-order'],
  ['a header that is too short', at(100), u32(96), 'qcow2-header-length'],
  ['a header of an odd length', at(100), u32(108), 'qcow2-header-length'],
  ['a header that is too long', at(100), u32(520), 'qcow2-header-length'],
];

const EXTENSIONS: readonly Case[] = [
  ['an extension past the area', inExtension(-4), u32(512 - two.extension + 1), 'qcow2-extension-overrun'],
  ['another length', inExtension(-4), u32(32), 'qcow2-extension-length'],
  ['no bitmaps', inExtension(0), u32(0), 'qcow2-bitmap-count'],
  ['too many bitmaps', inExtension(0), u32(65_536), 'qcow2-bitmap-count'],
  ['a reserved field', inExtension(4), u32(1), 'qcow2-extension-reserved'],
  ['an empty directory', inExtension(8), u64(0), 'qcow2-directory-size'],
  ['a directory above its limit', inExtension(8), u64(67_107_841), 'qcow2-directory-size'],
  ['a directory size above 2^53-1', inExtension(8), u64(2n ** 60n), 'u64-too-large'],
  ['no place of the directory', inExtension(16), u64(0), 'qcow2-directory-offset'],
  ['a directory that is not aligned', inExtension(16), u64(two.directory + 8), 'qcow2-directory-offset'],
  ['a directory behind the file', inExtension(16), u64(two.bytes.length), 'qcow2-directory-outside'],
  ['no extension, beside the autoclear bit', inExtension(-8), u32(1), 'qcow2-extension-missing', 88],
  ['a directory that is too long', inExtension(8), u64(72), 'qcow2-directory-broken', two.directory + 64],
  ['a directory that is too short', inExtension(8), u64(56), 'qcow2-directory-broken', two.directory + 32],
];

const ENTRIES: readonly Case[] = [
  ['no table', inEntry(0), u64(0), 'qcow2-table-offset'],
  ['a table that is not aligned', inEntry(0), u64(two.directory + 8), 'qcow2-table-offset'],
  ['a table above 2^53-1', inEntry(0), u64(2n ** 53n), 'u64-too-large'],
  ['a table of no words', inEntry(8), u32(0), 'qcow2-table-entries'],
  ['a table for more than 512 MiB of bits', inEntry(8), u32(2 ** 20 + 1), 'qcow2-table-entries'],
  ['an unknown flag', inEntry(12), u32(8), 'qcow2-bitmap-flags'],
  ['another one', inEntry(12), u32(0x8000_0002), 'qcow2-bitmap-flags'],
  ['type 0', inEntry(16), 0, 'qcow2-bitmap-type'],
  ['type 2', inEntry(16), 2, 'qcow2-bitmap-type'],
  ['a granularity of 2^64', inEntry(17), 64, 'qcow2-granularity'],
  ['a name of no bytes', inEntry(18), u16(0), 'qcow2-name-size'],
  ['a name of 1024 bytes', inEntry(18), u16(1024), 'qcow2-name-size'],
  ['a name that goes on behind the directory', inEntry(18), u16(9), 'qcow2-directory-broken', two.entries[1]],
  ['extra data that goes on behind the directory', inEntry(20), u32(2 ** 31), 'qcow2-directory-broken', two.entries[1]],
  ['NUL in a name', inEntry(25), 0, 'name-nul', (two.entries[1] as number) + 24],
];

/** What is wrong with one bitmap does not concern the other one. */
const TABLES: readonly Case[] = [
  ['a table behind the file', inEntry(0), u64(2 ** 40), 'qcow2-table-outside'],
  ['a table where the file ends', inEntry(0), u64(two.bytes.length), 'qcow2-table-outside'],
  ['a table that is too long', inEntry(8), u32(2), 'qcow2-table-length'],
  ['reserved bit 1', inTable(7), 2, 'qcow2-word-reserved', two.tables[1]],
  ['reserved bit 8', inTable(6), 1, 'qcow2-word-reserved', two.tables[1]],
  ['reserved bit 56', inTable(), 1, 'qcow2-word-reserved'],
  ['reserved bit 63', inTable(), 0x80, 'qcow2-word-reserved'],
  ['all ones beside an offset', inTable(7), 1, 'qcow2-word-ones-with-offset', two.tables[1]],
  ['an offset above 2^53-1', inTable(), u64(2 ** 53), 'u64-too-large'],
  ['bits behind the file', inTable(), u64(two.bytes.length), 'qcow2-data-outside'],
  ['bits far behind the file', inTable(), u64(2 ** 30), 'qcow2-data-outside'],
];

describe.each([
  ['header', HEADER],
  ['header extension', EXTENSIONS],
  ['directory', ENTRIES],
])('a broken %s', (_what, cases) => {
  it.each(cases)('is refused: %s', (_case, where, bytes, code, offset) => {
    const error = thrownBy(patched(two, where(two), bytes));
    expect(error).toMatchObject({ code, offset: offset ?? where(two) });
    expect(error.message).toMatch(/expected .*found .*; /);
  });
});

describe('a broken table', () => {
  it.each(TABLES)('takes the bits of its bitmap: %s', (_case, where, bytes, code, offset) => {
    const { bitmaps, findings } = decodeQcow2(patched(two, where(two), bytes));
    const error = findings.list.find((finding) => finding.code === code);
    const outside = code === 'qcow2-table-outside';
    expect(error).toMatchObject({ severity: 'error', offset: offset ?? (outside ? two.entries[1] : where(two)) });
    expect(error?.message).toMatch(/^bitmap "second".*expected .*; /);
    expect(bitmaps[1]).toMatchObject({ trust: 'damaged', fault: { code } });
    expect(bitmaps[1]?.bits).toBeUndefined();
    expect(findings.counts.error).toBe(1);
    expect(bitmaps[0]).toMatchObject({ trust: 'enabled', fault: undefined });
    expect([...(bitmaps[0]?.bits?.extents() ?? [])]).toEqual([[4096, 1024]]);
  });

  it('points at whole clusters', () => {
    const image = buildImage({ clusterBits: 10, bitmaps: [{ dirty: [[0, 1]] }] });
    const { bitmaps } = decodeQcow2(patched(image, (image.tables[0] as number) + 6, 2));
    expect(bitmaps[0]?.fault).toMatchObject({ code: 'qcow2-data-unaligned', offset: image.tables[0] });
  });

  it('of a bitmap that is not read is a warning', () => {
    for (const flags of [1, 3, 4]) {
      const image = buildImage({ bitmaps: [{ flags, dirty: [[0, 1]] }, { dirty: [[8, 2]] }] });
      const { bitmaps, findings } = decodeQcow2(patched(image, image.tables[0] as number, u64(2 ** 40)));
      expect(findings.counts.error).toBe(0);
      expect(findings.list.map((finding) => finding.code)).toContain('qcow2-unread-broken');
      expect(bitmaps.map((bitmap) => bitmap.trust)).toEqual([
        flags === 4 ? 'unsupported' : 'in-use-unknown',
        'enabled',
      ]);
    }
  });
});

describe('what else is refused', () => {
  it.each([0, 3, 4, 71, 72, 103, 104, 111, 112, 511])('a file that is cut after %d bytes', (length) => {
    const { code } = thrownBy(two.bytes.slice(0, length));
    expect(code).toBe(length < 4 ? 'qcow2-magic' : 'truncated');
  });

  it('names that come twice', () => {
    const image = buildImage({ bitmaps: [{ name: 'same' }, { name: 'other' }, { name: 'same' }] });
    expect(thrownBy(image.bytes)).toMatchObject({
      code: 'qcow2-name-twice',
      offset: (image.entries[2] as number) + 24,
    });
  });

  it('two bitmaps extensions', () => {
    const image = buildImage({ bitmaps: [{}], moreExtensions: [[0x23852875, fill(24)]] });
    expect(thrownBy(image.bytes)).toMatchObject({ code: 'qcow2-extension-twice', offset: image.extension + 24 });
  });

  it('an encryption header of another length, or that no number holds', () => {
    const extension = 0x0537be77;
    expect(thrownBy(buildImage({ extensions: [[extension, fill(15)]] }).bytes).code).toBe('qcow2-crypto-header');
    const far = buildImage({ extensions: [[extension, join(u64(2n ** 60n), u64(0))]] });
    expect(thrownBy(far.bytes)).toMatchObject({ code: 'u64-too-large', offset: 120 });
  });

  it('a bitmap whose size is not that of the disk', () => {
    const image = buildImage({ bitmaps: [{ tableEntries: 2 }] });
    const { fault } = decodeQcow2(image.bytes).bitmaps[0] ?? {};
    expect(fault).toMatchObject({ code: 'qcow2-table-length', offset: (image.entries[0] as number) + 8 });
    // But where it is in use it may be of any.
    const inUse = buildImage({ bitmaps: [{ tableEntries: 2, flags: 3 }] });
    expect(decodeQcow2(inUse.bytes).bitmaps).toMatchObject([{ trust: 'in-use-unknown', fault: undefined }]);
  });

  it('a bitmap of a disk without bytes', () => {
    const image = buildImage({ size: 0, bitmaps: [{ tableEntries: 1 }] });
    expect(decodeQcow2(image.bytes).bitmaps[0]?.fault?.code).toBe('qcow2-table-length');
  });
});

describe('what is legal and odd', () => {
  it('extra data, flag bit 2 and other granularities are listed and not read', () => {
    const odd = [
      { flags: 6 },
      { extraData: fill(5, 1) },
      { flags: 6, extraData: fill(9) },
      { granularityBits: 8 },
      { granularityBits: 32 },
      { granularityBits: 63 },
    ];
    const { bitmaps, findings } = decodeQcow2(buildImage({ bitmaps: [...odd, { dirty: [[1, 1]] }] }).bytes);
    expect(bitmaps.map((bitmap) => bitmap.trust)).toEqual([...odd.map(() => 'unsupported'), 'enabled']);
    expect(bitmaps.map((bitmap) => bitmap.entry.extraDataSize)).toEqual([0, 5, 9, 0, 0, 0, 0]);
    expect(bitmaps[5]?.granularity).toBe(2 ** 63);
    expect(bitmaps.map((bitmap) => bitmap.bits !== undefined)).toEqual([...odd.map(() => false), true]);
    expect(new Set(findings.list.map((finding) => finding.code))).toEqual(new Set(['qcow2-bitmap-unsupported']));
  });

  it('names that are not UTF-8 are shown escaped', () => {
    const image = buildImage({ bitmaps: [{ name: [0x61, 0xff] }] });
    const { bitmaps, findings } = decodeQcow2(image.bytes);
    expect(bitmaps[0]?.name).toMatchObject({ text: 'a\\xff', clean: false });
    const offset = (image.entries[0] as number) + 24;
    expect(findings.list).toMatchObject([{ code: 'name-not-utf8', severity: 'warning', offset }]);
  });

  it('names have up to 1023 bytes', () => {
    const name = 'n'.repeat(1023);
    const { bitmaps } = decodeQcow2(buildImage({ clusterBits: 12, bitmaps: [{ name }] }).bytes);
    expect(bitmaps[0]?.name.text).toBe(name);
  });

  it('the header may end before the byte of the compression type', () => {
    const image = buildImage({ bitmaps: [] });
    const [long, short] = [112, 104].map((length) =>
      decodeQcow2(patched({ bytes: patched(image, 104, 1) }, 100, u32(length))),
    );
    expect(long?.header).toMatchObject({ headerLength: 112, compressionType: 1 });
    expect(short?.header).toMatchObject({ headerLength: 104, compressionType: 0 });
  });

  it('too few bytes for an extension are none', () => {
    const image = buildImage({ bitmaps: [] });
    const { extensions } = decodeQcow2(patched({ bytes: patched(image, 8, [u64(116), u32(5)]) }, 112, 'some name'));
    expect(extensions).toEqual({ list: [], endMarker: undefined, areaEnd: 116 });
  });

  it('bits past the end of the disk are left out', () => {
    const image = buildImage({ size: 5 * 512, bitmaps: [{ dirty: [[0, 2]] }] });
    const offset = image.data[0]?.[0] as number;
    for (const [at, byte] of [
      [offset, 0xe3],
      [offset + 511, 1],
    ] as const) {
      const { bitmaps, findings } = decodeQcow2(patched(image, at, byte));
      expect(bitmaps[0]?.bits?.dirtyGranules()).toBe(2);
      expect(findings.list).toMatchObject([{ code: 'bits-past-end', severity: 'warning', offset }]);
    }
  });

  it('the list of extensions may end without a marker', () => {
    const image = buildImage({
      bitmaps: [{ dirty: [[0, 1]] }],
      moreExtensions: [[0x1234_5678, fill(512 - 112 - 32 - 8)]],
    });
    const { extensions, bitmaps } = decodeQcow2(image.bytes);
    expect(extensions).toMatchObject({ endMarker: undefined, areaEnd: 512 });
    expect(extensions.list.map((one) => one.type)).toEqual([0x2385_2875, 0x1234_5678]);
    expect(bitmaps[0]?.trust).toBe('enabled');
  });

  it('the end marker and what is free after it are told', () => {
    const plain = buildImage({ bitmaps: [{}] });
    expect(decodeQcow2(plain.bytes).extensions).toMatchObject({ endMarker: plain.endMarker, areaEnd: 512 });
    const named = buildImage({ bitmaps: [{}], backing: 'base.raw', extensions: [[0xe279_2aca, 'raw']] });
    const { extensions, backing } = decodeQcow2(named.bytes);
    expect(extensions).toMatchObject({ endMarker: named.endMarker, areaEnd: named.endMarker + 8 });
    expect(backing).toMatchObject({ name: { text: 'base.raw' }, format: { text: 'raw' } });
  });

  it('a stale list that is broken is told of, and nothing more', () => {
    const image = buildImage({ bitmaps: [{}], autoclear: 0 });
    for (const [where, part] of [
      [image.extension, u32(0)],
      [image.extension - 4, u32(16)],
      [image.entries[0] as number, fill(32, 0xff)],
    ] as const) {
      const { bitmaps, findings } = decodeQcow2(patched(image, where, part));
      expect(bitmaps).toEqual([]);
      expect(findings.list).toMatchObject([{ code: 'qcow2-stale', severity: 'warning' }]);
    }
  });

  it('version 2 may have a stale list too', () => {
    const { header, bitmaps } = decodeQcow2(buildImage({ version: 2, bitmaps: [{ name: 'old' }] }).bytes);
    expect(header).toMatchObject({ version: 2, headerLength: 72, refcountBits: 16, autoclear: 0n });
    expect(bitmaps).toMatchObject([{ name: { text: 'old' }, trust: 'stale' }]);
  });

  it('a disk of part of a sector ends with its last whole one', () => {
    const image = buildImage({ bitmaps: [] });
    expect(decodeQcow2(patched(image, 24, u64(1023))).header.virtualSize).toBe(512);
  });
});

function thrownBy(bytes: Uint8Array): DirtyBitmapError {
  try {
    decodeQcow2(bytes);
  } catch (error) {
    if (error instanceof DirtyBitmapError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
