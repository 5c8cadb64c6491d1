import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Chain } from '../../src/chain/layer.js';
import { openChain } from '../../src/chain/open-chain.js';
import { buildImage, type ImageForm } from '../qcow2/build-image.js';
import { VECTORS } from '../support/vectors.js';
import { judgeChainFolder } from './chain-cases.js';
import { type MemoryFiles, memoryFiles } from './memory-files.js';

const BACKING_FORMAT = 0xe2792aca;
const DATA_FILE = 0x44415441;
const RAW = new Uint8Array(1024);

/** An image over another one, whose format is recorded unless it is null. */
function over(backing: string, format: string | null = 'qcow2', more: ImageForm = {}): Uint8Array {
  const extensions: [number, string][] = format === null ? [] : [[BACKING_FORMAT, format]];
  return buildImage({ size: 1024, backing, extensions, ...more }).bytes;
}

const base = buildImage({ size: 1024 }).bytes;

async function read(files: Record<string, Uint8Array> | MemoryFiles, top = 'top', limits = {}): Promise<Chain> {
  const opener = 'opened' in files ? (files as MemoryFiles) : memoryFiles(files as Record<string, Uint8Array>);
  return await openChain(top, opener, { format: 'qcow2', limits });
}

const paths = ({ layers }: Chain): string[] => layers.map(({ path }) => path);

const verdicts: (readonly [string, string | undefined])[] = [];
for await (const verdict of judgeChainFolder(join(VECTORS, 'merge'))) verdicts.push(verdict);

describe('the cases of libvirt', () => {
  it('are there', () => expect(verdicts.length).toBeGreaterThan(50));
  for (const [name, problem] of verdicts) it(name, () => expect(problem).toBeUndefined());
});

describe('formats', () => {
  it('never guesses that of the top, and says so where it looks like something', async () => {
    const files = memoryFiles({ top: over('secret'), secret: base });
    const chain = await openChain('top', files);
    expect(chain).toMatchObject({ end: 'terminated', layers: [{ format: 'raw', formatSource: 'assumed' }] });
    expect(chain.findings.list).toMatchObject([
      { code: 'chain-top-undeclared', message: expect.stringContaining('--format qcow2') },
    ]);
    expect(files.opened).toEqual(['top']);
    expect((await openChain('top', memoryFiles({ top: RAW }))).findings.list).toEqual([]);
  });

  it.each([
    ['qcow2', base],
    ['raw', RAW],
  ])('assumes %s of a backing file that refers to no other, and says so', async (format, bytes) => {
    const chain = await read({ top: over('below', null), below: bytes });
    expect(chain.layers[1]).toMatchObject({ path: 'below', format, formatSource: 'assumed' });
    expect(chain.findings.list).toMatchObject([
      { code: 'backing-format-assumed', message: expect.stringMatching(/-F FORMAT -b below top/) },
    ]);
  });

  it.each([
    ['has a backing file of its own', over('secret')],
    ['has a data file of its own', buildImage({ incompatible: 4, extensions: [[DATA_FILE, 'secret']] }).bytes],
    ['is of a format that may have one', Uint8Array.from([...'QED\0'].map((one) => one.charCodeAt(0)))],
    ['is qcow2 of version 1', Uint8Array.of(0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1)],
  ])('does not assume that of one that %s', async (_, below) => {
    const files = memoryFiles({ top: over('below', null), below, secret: base });
    const chain = await read(files);
    expect(chain).toMatchObject({
      ...{ end: 'error', layers: [{ path: 'top' }], error: { code: 'backing-format-unset' } },
      brokenAt: { overlay: 'top', backingRaw: 'below', path: 'below' },
    });
    expect(chain.error?.message).toMatch(/"below" of "top".*qemu-img rebase -u -f qcow2 -F FORMAT -b below top/);
    expect(files.opened).toEqual(['top', 'below']);
  });

  it('takes an empty format as not recorded', async () => {
    expect((await read({ top: over('below', ''), below: RAW })).layers[1]).toMatchObject({ formatSource: 'assumed' });
  });

  it('believes what is recorded: raw is raw, whatever it looks like', async () => {
    const chain = await read({ top: over('below', 'raw'), below: over('secret') });
    expect(chain).toMatchObject({ end: 'terminated', layers: [{}, { format: 'raw', formatSource: 'recorded' }] });
  });

  it('does not know how a chain goes on in a format that is not read', async () => {
    const chain = await read({ top: over('below', 'vmdk'), below: RAW });
    expect(chain).toMatchObject({ end: 'unknown', layers: [{}, { format: 'vmdk' }] });
    expect(chain.endReason).toContain('"vmdk", which is not read');
    expect((await read({ top: over('below', 'vdi'), below: RAW })).end).toBe('terminated');
    expect((await read({ top: over('below', 'qcow2'), below: RAW })).error?.code).toBe('qcow2-magic');
  });
});

describe('what is not there, or not here', () => {
  it('tells the missing layer, the overlay that names it, and what was read', async () => {
    const chain = await read({ 'a/top': over('../b/mid'), 'b/mid': over('gone') }, 'a/top');
    expect(paths(chain)).toEqual(['a/top', 'a/../b/mid']);
    expect(chain.brokenAt).toEqual({
      ...{ overlay: 'a/../b/mid', backingRaw: 'gone', path: 'a/../b/gone', cycle: undefined },
    });
    expect(chain.error).toMatchObject({
      code: 'backing-missing',
      message: 'the backing file "gone" of "a/../b/mid", which is "a/../b/gone": there is no such file',
    });
    expect(await read({})).toMatchObject({ layers: [], end: 'error', error: { code: 'file-access' } });
  });

  it.each([
    ['nbd:unix:/run/sock:exportname=disk', { kind: 'network', protocol: 'nbd', socket: '/run/sock', path: 'disk' }],
    ['https://user:secret@host/a/b.img', { kind: 'network', protocol: 'https', user: 'user', path: 'a/b.img' }],
    ['my:thing', { kind: 'network', protocol: 'my', path: 'thing' }],
    ['fat:rw:/dir', { kind: 'dir', path: '/dir' }],
    ['json:{"driver":"file","filename":"rel"}', { kind: 'file', path: 'rel' }],
    ['file:rel', { kind: 'file', path: 'rel' }],
  ])('does not open %s', async (name, location) => {
    const files = memoryFiles({ top: over(name, 'raw'), rel: RAW, thing: RAW });
    const chain = await read(files);
    expect(chain).toMatchObject({ end: 'unknown', layers: [{ backingRaw: name }, { location, format: 'raw' }] });
    expect(files.opened).toEqual(['top']);
    expect(JSON.stringify(chain.layers[1])).not.toContain('secret');
  });

  it('opens files that have a protocol before them', async () => {
    const files = {
      top: over('file:/x/mid'),
      '/x/mid': over('json:{"file.driver":"file","file.filename":"/y"}'),
      '/y': base,
    };
    expect(paths(await read(files))).toEqual(['top', '/x/mid', '/y']);
    expect(paths(await read({ top: over('./a:b'), 'a:b': base }))).toEqual(['top', './a:b']);
  });

  it('refuses names that mean nothing, and keeps what was read', async () => {
    for (const name of ['://', 'json:{}', 'a\xff', 'a\0b', 'nbd:host', 'fat:']) {
      const chain = await read({ top: over(name) });
      expect(chain, name).toMatchObject({ end: 'error', layers: [{ path: 'top' }], error: { code: 'backing-string' } });
      expect(chain.brokenAt).toMatchObject({ overlay: 'top', path: undefined });
    }
  });

  it('reads a slice of a file as the image that it is', async () => {
    const whole = new Uint8Array(512 + base.length + 512);
    whole.set(base, 512);
    const slice = (offset: number, size: number): string =>
      `json:{"driver":"raw","offset":${offset},"size":${size},"file":{"driver":"file","filename":"/tar"}}`;
    const files = { '/tar': whole, top: over(slice(512, base.length)), other: over(slice(512, 1000), 'raw') };
    const chain = await read(files);
    expect(chain.layers[1]).toMatchObject({ path: '/tar', format: 'qcow2', fileSize: base.length, virtualSize: 1024 });
    expect((await read(files, 'other')).layers[1]).toMatchObject({ fileSize: 1000 });
    expect((await read({ ...files, top: over(slice(2 ** 52, 10), 'raw') })).layers[1]).toMatchObject({ fileSize: 0 });
  });

  it('looks whether data files are there', async () => {
    const image = (...data: [number, string][]): Uint8Array => buildImage({ incompatible: 4, extensions: data }).bytes;
    const layer = async (bytes: Uint8Array, files = {}) =>
      (await read({ 'x/top': bytes, ...files }, 'x/top')).layers[0];
    const there = await layer(image([DATA_FILE, 'd.raw']), { 'x/d.raw': RAW });
    expect(there?.dataFile).toEqual({ raw: 'd.raw', path: 'x/d.raw', exists: true });
    const missing = await layer(image([DATA_FILE, 'd.raw']));
    expect(missing?.dataFile).toMatchObject({ exists: false });
    expect(missing?.findings.list).toMatchObject([{ severity: 'error', code: 'chain-data-file' }]);
    expect((await layer(image()))?.dataFile).toEqual({ raw: undefined, path: undefined, exists: undefined });
    expect((await layer(image([DATA_FILE, 'nbd:host:1'])))?.dataFile).toMatchObject({ exists: undefined });
    expect((await layer(image([DATA_FILE, 'json:'])))?.findings.list).toMatchObject([{ code: 'chain-data-file' }]);
  });

  it('says that a program writes a layer, and what is live', async () => {
    const live = over('below', 'raw', { bitmaps: [{ name: 'b', flags: 3 }] });
    const trust = async (...writers: string[]) => await read(memoryFiles({ top: live, below: RAW }, writers));
    expect((await trust()).layers[0]?.bitmaps[0]?.trust).toBe('in-use-orphaned');
    const open = await trust('top');
    expect(open.layers[0]?.bitmaps[0]?.trust).toBe('in-use-live');
    expect(open.findings.list).toMatchObject([{ code: 'chain-layer-open' }]);
  });
});

describe('depth, loops and limits', () => {
  /** `count` images, one over the other, and a raw one. */
  const tower = (count: number): Record<string, Uint8Array> =>
    Object.fromEntries([
      ...Array.from({ length: count }, (_, at) => [`l${at}`, over(`l${at + 1}`, at === count - 1 ? 'raw' : 'qcow2')]),
      [`l${count}`, RAW],
    ]);

  it('reads 200 layers and not one more', async () => {
    expect(await read(tower(199), 'l0')).toMatchObject({ end: 'terminated', layers: { length: 200 } });
    const chain = await read(tower(200), 'l0');
    expect(chain).toMatchObject({ end: 'error', error: { code: 'chain-too-deep' }, layers: { length: 200 } });
    expect(await read(tower(3), 'l0', { maxChainDepth: 4 })).toMatchObject({ end: 'terminated' });
    expect(await read(tower(3), 'l0', { maxChainDepth: 3 })).toMatchObject({ brokenAt: { path: 'l3' } });
    const away = { top: over('nbd:h:1', 'raw') };
    expect((await read(away, 'top', { maxChainDepth: 1 })).error?.code).toBe('chain-too-deep');
  });

  it('shows the cycle, whatever the paths look like', async () => {
    const chain = await read({ top: over('x/a'), 'x/a': over('../x/b'), 'x/b': over('../x/../x/a') });
    expect(chain).toMatchObject({ error: { code: 'chain-loop' }, layers: { length: 3 } });
    expect(chain.brokenAt?.cycle).toEqual(['x/a', 'x/../x/b', 'x/../x/../x/../x/a']);
    expect(chain.error?.message).toContain('"x/a" -> "x/../x/b" -> "x/../x/../x/../x/a"');
  });

  it('ends for every way in which files can name each other', async () => {
    const graph = fc.array(fc.option(fc.nat(7)), { minLength: 8, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(graph, async (next) => {
        const files = Object.fromEntries(next.map((to, at) => [`f${at}`, to === null ? base : over(`f${to}`)]));
        const opener = memoryFiles(files);
        const chain = await read(opener, 'f0');
        // By hand: follow the names until there is none, or one comes again.
        const walked: number[] = [];
        let at: number | null = 0;
        while (at !== null && !walked.includes(at)) {
          walked.push(at);
          at = next[at] ?? null;
        }
        expect(paths(chain)).toEqual(walked.map((one) => `f${one}`));
        const cycle = at === null ? undefined : [...walked.slice(walked.indexOf(at)), at].map((one) => `f${one}`);
        expect([chain.end, chain.brokenAt?.cycle]).toEqual([at === null ? 'terminated' : 'error', cycle]);
        expect(opener.openNow()).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('gives the memory for bitmaps to all layers together', async () => {
    const bitmaps = [{ name: 'b', dirty: [[0, 1]] as const }];
    const files = { top: over('mid', 'qcow2', { bitmaps }), mid: over('low', 'qcow2', { bitmaps }), low: base };
    const whole = await read(files);
    const each = whole.layers[0]?.bitmaps[0]?.bits?.allocatedBytes ?? 0;
    expect(each).toBeGreaterThan(0);
    expect(await read(files, 'top', { maxBitmapMemory: each })).toMatchObject({
      ...{ error: { code: 'limit' }, layers: { length: 1 } },
    });
  });

  it('reads within its limits, whatever a header says', async () => {
    const images = [over('below'), over('below', null), over('x:y', 'raw', { bitmaps: [{}] }), base];
    const change = fc.tuple(fc.nat(200), fc.oneof(fc.constantFrom(0, 1, 0x80, 0xff), fc.nat(255)));
    const hostile = fc.tuple(fc.constantFrom(...images), fc.array(change, { minLength: 1, maxLength: 5 }));
    await fc.assert(
      fc.asyncProperty(hostile, hostile, fc.boolean(), async (one, other, declared) => {
        const [top, below] = [one, other].map(([image, changes]) => {
          const bytes = image.slice();
          for (const [at, value] of changes) bytes[at] = value;
          return bytes;
        });
        const files = memoryFiles({ top: top as Uint8Array, below: below as Uint8Array });
        const chain = await openChain('top', files, { format: declared ? 'qcow2' : undefined });
        expect(files.openNow()).toBe(0);
        expect(files.bytesRead()).toBeLessThan(2 ** 24);
        expect(files.opened.length).toBeLessThan(6);
        expect(chain.end === 'error').toBe(chain.error !== undefined);
        if (!declared) expect(files.opened).toEqual(['top']);
      }),
      { numRuns: 1500 },
    );
  });

  it('throws what the opener throws', async () => {
    const broken = { open: () => Promise.reject(new TypeError('no')) };
    await expect(openChain('top', broken)).rejects.toThrow(TypeError);
  });
});
