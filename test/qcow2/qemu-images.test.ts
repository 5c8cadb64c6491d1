import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openRandomAccess } from '../../src/io/random-access-file.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { decodeQcow2, readQcow2 } from '../../src/qcow2/read-qcow2.js';
import { mapByNbdinfo } from '../support/qemu.js';
import { u64 } from '../support/stream-builder.js';
import { describeWithQemu } from '../support/with-qemu.js';
import { arbitraryImage } from './arbitrary-image.js';
import { patched } from './patch.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-qcow2-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const img = (...args: string[]): string => execFileSync('qemu-img', args, { cwd: folder, encoding: 'utf8' });
const io = (file: string, ...commands: string[]): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], {
    cwd: folder,
    encoding: 'utf8',
  });

async function read(file: string): Promise<Qcow2Image> {
  const access = await openRandomAccess(join(folder, file));
  try {
    return await readQcow2(access, { writerPresent: false });
  } finally {
    await access.close();
  }
}

/** The dirty extents that QEMU itself shows. */
async function extentsOfQemu(file: string, bitmap: string): Promise<(readonly [number, number])[]> {
  const map = (await mapped(file, bitmap)) as {
    readonly offset: number;
    readonly length: number;
    readonly type: number;
  }[];
  return map.filter(({ type }) => type === 1).map(({ offset, length }) => [offset, length]);
}

/** A server whose socket is there may not listen yet, where the machine is busy: it is asked again. */
async function mapped(file: string, bitmap: string): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    try {
      return await mapByNbdinfo(mkdtempSync(join(folder, 'nbd-')), join(folder, file), bitmap);
    } catch (error) {
      if (tries === 5 || !String(error).includes('Connection refused')) throw error;
    }
  }
}

async function expectAsQemu(file: string): Promise<Qcow2Image> {
  const image = await read(file);
  expect(image.findings.list).toEqual([]);
  const info = JSON.parse(img('info', '--output=json', file))['format-specific'].data.bitmaps ?? [];
  expect(image.bitmaps.map(({ name, granularity }) => ({ name: name.text, granularity }))).toEqual(
    info.map(({ name, granularity }: Record<string, unknown>) => ({ name, granularity })),
  );
  for (const { name, bits } of image.bitmaps)
    expect([...(bits?.extents() ?? [])]).toEqual(await extentsOfQemu(file, name.text));
  return image;
}

describeWithQemu('images that QEMU makes now', () => {
  it.each<[what: string, create: string[], size: string]>([
    ['clusters of 512 bytes', ['-o', 'cluster_size=512'], '5M'],
    ['clusters of 2 MiB', ['-o', 'cluster_size=2M'], '100M'],
    ['refcounts of 1 bit', ['-o', 'refcount_bits=1'], '10M'],
    ['refcounts of 64 bits', ['-o', 'refcount_bits=64,cluster_size=1k'], '10M'],
    ['extended L2', ['-o', 'extended_l2=on'], '10M'],
    ['a raw data file', ['-o', 'data_file=guest.raw,data_file_raw=on'], '10M'],
    ['lazy refcounts', ['-o', 'lazy_refcounts=on'], '10M'],
    ['zstd', ['-o', 'compression_type=zstd'], '10M'],
    ['an odd size', [], '1234567'],
    ['1 TiB', ['-o', 'cluster_size=4k'], '1T'],
  ])('with %s', async (what, create, size) => {
    const file = `${what.replace(/\W/g, '-')}.qcow2`;
    // A data file is looked for where the program runs, not beside the image.
    const options = create.map((option) => option.replace('guest.raw', join(folder, 'guest.raw')));
    img('create', '-q', '-f', 'qcow2', ...options, file, size);
    img('bitmap', '--add', '-g', '64k', file, 'fine');
    img('bitmap', '--add', '-g', '1M', file, 'coarse');
    io(file, 'write 0 4k', 'write 1000k 70k');
    img('bitmap', '--disable', file, 'coarse');
    io(file, 'write 512k 1k');
    // Only whole clusters that were not written before can be compressed.
    if (!/data file|2 MiB/.test(what)) io(file, 'write -c 704k 64k');
    const { bitmaps } = await expectAsQemu(file);
    expect(bitmaps.map(({ trust }) => trust)).toEqual(['enabled', 'disabled']);
  });

  it('with snapshots', async () => {
    img('create', '-q', '-f', 'qcow2', 'snapshots.qcow2', '10M');
    io('snapshots.qcow2', 'write 0 1M');
    img('snapshot', '-c', 'one', 'snapshots.qcow2');
    img('snapshot', '-c', 'two', 'snapshots.qcow2');
    img('bitmap', '--add', 'snapshots.qcow2', 'b');
    io('snapshots.qcow2', 'write 512k 1M');
    const { header } = await expectAsQemu('snapshots.qcow2');
    expect(header.snapshotCount).toBe(2);
  });

  it('with long and strange names', async () => {
    const names = ['n'.repeat(1023), 'grüße 世界', 'a/b c'];
    img('create', '-q', '-f', 'qcow2', 'names.qcow2', '1M');
    for (const name of names) img('bitmap', '--add', 'names.qcow2', name);
    expect((await read('names.qcow2')).bitmaps.map(({ name }) => name.text)).toEqual(names);
  });

  it('that were made old are stale', async () => {
    img('create', '-q', '-f', 'qcow2', 'amended.qcow2', '1M');
    img('bitmap', '--add', 'amended.qcow2', 'b');
    img('amend', '-o', 'compat=0.10', 'amended.qcow2');
    const { header, bitmaps, findings } = await read('amended.qcow2');
    expect(header.version).toBe(2);
    expect(bitmaps.map(({ trust }) => trust)).toEqual(['stale']);
    expect(findings.list).toMatchObject([{ code: 'qcow2-stale' }]);
  });

  it('that nobody closed have orphans, beside others that are fine', async () => {
    img('create', '-q', '-f', 'qcow2', 'crashed.qcow2', '1M');
    img('bitmap', '--add', 'crashed.qcow2', 'lost');
    spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'write 0 64k', '-c', 'abort', 'crashed.qcow2'], { cwd: folder });
    img('bitmap', '--add', 'crashed.qcow2', 'fresh');
    const { bitmaps } = await read('crashed.qcow2');
    expect(bitmaps.map(({ name, trust }) => [name.text, trust])).toEqual([
      ['lost', 'in-use-orphaned'],
      ['fresh', 'enabled'],
    ]);
  });

  it('and are cut off at a table, or made to point at guest data, are not read as clean', async () => {
    img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', 'cut.qcow2', '1M');
    img('bitmap', '--add', 'cut.qcow2', 'b');
    io('cut.qcow2', 'write 0 64k');
    const bytes = new Uint8Array(readFileSync(join(folder, 'cut.qcow2')));
    const { bitmaps, header } = decodeQcow2(bytes);
    const { entry, table } = bitmaps[0] as Qcow2Image['bitmaps'][number];
    const l1Word = new DataView(bytes.buffer).getBigUint64(header.l1Offset);
    const l2 = Number(l1Word & 0x00ff_ffff_ffff_fe00n);
    const guest = Number(new DataView(bytes.buffer).getBigUint64(l2) & 0x00ff_ffff_ffff_fe00n);
    const overlapping = decodeQcow2(patched({ bytes }, entry.tableOffset, u64(guest)));
    expect(overlapping.bitmaps[0]?.fault).toMatchObject({ code: 'qcow2-cluster-referenced', offset: l2 });
    const beyond = decodeQcow2(patched({ bytes }, entry.offset, u64(Math.ceil(bytes.length / 4096) * 4096)));
    expect(beyond.bitmaps[0]?.fault?.code).toBe('qcow2-table-outside');
    expect(table?.kinds.data).toBe(1);
  });
});

describeWithQemu('the images that the tests build', () => {
  it('are good for QEMU, and their bits are what it reads', async () => {
    const forms = arbitraryImage.filter(({ form }) => !((form.incompatible ?? 0) & 1) && !form.backing);
    // QEMU wants larger clusters beside 16-byte L2 entries, and room for its refcounts.
    const usual = forms.filter(({ form }) => !((form.incompatible ?? 0) & 24) && (form.refcountBits ?? 16) > 2);
    for (const [index, { form, image }] of fc.sample(usual, { numRuns: 12, seed: 1 }).entries()) {
      const file = `built-${index}.qcow2`;
      writeFileSync(join(folder, file), image.bytes);
      img('check', '-q', file);
      const { bitmaps } = decodeQcow2(image.bytes);
      expect(bitmaps.length).toBe(form.bitmaps?.length);
      for (const { name, bits } of bitmaps)
        expect([...(bits?.extents() ?? [])]).toEqual(await extentsOfQemu(file, name.text));
    }
  });
});
