import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasWriter } from '../../src/io/image-lock.js';
import type { ChainDocument } from '../../src/report/chain-document.js';
import { type ChainFile, chainImage } from '../chain/chain-cases.js';
import { readVector } from '../qcow2/vectors.js';
import { runCli } from '../support/run-cli.js';
import { describeWithQemu } from '../support/with-qemu.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-chain-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => `${folder}/${name}`;

/** Copies of images of the vectors; the path of the first. */
function vectors(...names: string[]): string {
  for (const name of names) writeFileSync(at(`${name}.qcow2`), readVector(`${name}.qcow2`));
  return at(`${names[0]}.qcow2`);
}

/** Images made for the test; the path of the first. */
function images(...files: ChainFile[]): string {
  for (const file of files) {
    mkdirSync(dirname(at(file.path)), { recursive: true });
    writeFileSync(at(file.path), chainImage(file, folder));
  }
  return at(files[0]?.path ?? '');
}

const over = (path: string, backing: string, backingFormat: string | null = 'qcow2'): ChainFile => ({
  ...{ path, format: 'qcow2', backing, backingFormat },
});
const raw = (path: string): ChainFile => ({ path, format: 'raw', size: 1024 });

async function chain(path: string, ...more: string[]): Promise<ChainDocument & { code: number; stderr: string }> {
  const { code, stdout, stderr } = await runCli('chain', path, '--format', 'qcow2', '--json', ...more);
  return { ...JSON.parse(stdout), code, stderr };
}

describe('chain', () => {
  it('shows what QEMU made, as a tree', async () => {
    const top = vectors('chain-top', 'chain-mid', 'chain-base');
    const { code, stdout, stderr } = await runCli('chain', top, '--format', 'qcow2');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.replaceAll(folder, 'DIR').split('\n')).toEqual([
      'DIR/chain-top.qcow2: qcow2 (declared), 2 MiB (2097152)',
      '   bitmap top0: enabled, 128 KiB (131072) dirty, granularity 4 KiB',
      '└─ DIR/chain-mid.qcow2: qcow2 (recorded), 1 MiB (1048576)',
      '      bitmap mid0: enabled, 64 KiB (65536) dirty, granularity 4 KiB',
      '      bitmap common: enabled, 64 KiB (65536) dirty, granularity 4 KiB',
      '   └─ DIR/chain-base.qcow2: qcow2 (recorded), 1 MiB (1048576)',
      '         bitmap base0: enabled, 64 KiB (65536) dirty, granularity 4 KiB',
      '         bitmap common: enabled, 64 KiB (65536) dirty, granularity 4 KiB',
      '',
      '3 layers, end terminated: "DIR/chain-base.qcow2" has no backing file',
      '',
      'info chain-size-differs: the disk of "DIR/chain-mid.qcow2" has 1048576 bytes, that of its overlay 2097152: what lies beyond its end reads as zeroes',
      '',
    ]);
  });

  it('takes an undeclared top as raw, and says on stderr what to pass', async () => {
    const path = vectors('chain-top');
    for (const more of [[], ['--json'], ['--format', 'raw']]) {
      const { code, stdout, stderr } = await runCli('chain', path, ...more);
      expect([code, stdout.includes('raw')]).toEqual([0, true]);
      const said = more.includes('raw')
        ? ''
        : expect.stringMatching(/^dirtybitmap: chain-top-undeclared: .*--format qcow2\n$/);
      expect(stderr).toEqual(said);
    }
    expect((await runCli('chain', path, '--format', 'vmdk')).code).toBe(2);
  });

  it('shows what could be read of a chain with a missing layer', async () => {
    const path = vectors('chain-top', 'chain-mid');
    const { code, stdout, stderr } = await runCli('chain', path, '--format', 'qcow2');
    expect(code).toBe(1);
    expect(stdout).toContain(`2 layers, end error: backing-missing at ${at('chain-base.qcow2')}`);
    expect(stderr).toContain(`the backing file "chain-base.qcow2" of "${at('chain-mid.qcow2')}"`);
    expect(await chain(path)).toMatchObject({
      ...{ code: 1, end: 'error', layers: { length: 2 } },
      error: { code: 'backing-missing', brokenAt: { overlay: at('chain-mid.qcow2'), path: at('chain-base.qcow2') } },
    });
    expect(await runCli('chain', at('nope'))).toMatchObject({ code: 3, stdout: '' });
  });

  it('follows relative names through symbolic links, from the path as given', async () => {
    // Beside the link, not beside what it leads to.
    images(over('real/top', '../other/mid'), over('deep/other/mid', 'base', 'raw'), raw('deep/other/base'));
    images(raw('other/mid'));
    mkdirSync(at('deep/links'), { recursive: true });
    symlinkSync('../../real/top', at('deep/links/top'));
    const { layers, end } = await chain(at('deep/links/top'));
    expect([layers.map(({ path }) => path), end]).toEqual([
      ['links/top', 'links/../other/mid', 'links/../other/base'].map((name) => at(`deep/${name}`)),
      'terminated',
    ]);
  });

  it('knows a file by what it is: a loop through a hard link, a link and another name', async () => {
    images(over('a', 'link'), over('b', './sub/../c'));
    mkdirSync(at('sub'));
    symlinkSync('b', at('link'));
    linkSync(at('a'), at('c'));
    const { error, code } = await chain(at('a'));
    expect([code, error?.code, error?.brokenAt.cycle]).toEqual([
      ...[1, 'chain-loop', [at('a'), at('link'), at('./sub/../c')]],
    ]);
  });

  it.each([
    ['a directory', () => mkdirSync(at('below')), 'backing-unreadable', 'it is a directory'],
    ['a pipe that nobody writes', () => execFileSync('mkfifo', [at('below')]), 'backing-unreadable', 'neither a file'],
    ['a link to itself', () => symlinkSync('below', at('below')), 'backing-unreadable', 'round in circles'],
    ['a link to nothing', () => symlinkSync('nothing', at('below')), 'backing-missing', 'no such file'],
    ['below a file', () => writeFileSync(at('x'), ''), 'backing-missing', 'no directory', 'x/below'],
  ])('does not read a backing file that is %s', async (_, make, rule, text, name = 'below') => {
    const path = images(over('top', name, 'raw'));
    make();
    expect((await chain(path)).error).toMatchObject({ code: rule, message: expect.stringContaining(text) });
  });

  it('wants recorded formats, and says how to record them', async () => {
    const path = images(over('top', 'mid', null), over('mid', 'base', 'raw'), raw('base'));
    const { code, error, layers } = await chain(path);
    expect([code, error?.code, layers.length]).toEqual([1, 'backing-format-unset', 1]);
    expect(error?.message).toContain(`qemu-img rebase -u -f qcow2 -F FORMAT -b mid ${path}`);
  });

  it('keeps to the depth', async () => {
    const files = Array.from({ length: 6 }, (_, index) => over(`l${index}`, `l${index + 1}`));
    const path = images(...files, { path: 'l6', format: 'qcow2' });
    expect(await chain(path)).toMatchObject({ code: 0, layers: { length: 7 } });
    expect(await chain(path, '--limit', 'maxChainDepth=6')).toMatchObject({
      code: 1,
      error: { code: 'chain-too-deep' },
    });
  });

  it('shows data files, damage and what no terminal should see', async () => {
    const path = vectors('extdata');
    expect(await chain(path)).toMatchObject({ code: 1, layers: [{ dataFile: { raw: 'extdata.raw', exists: false } }] });
    writeFileSync(at('extdata.raw'), '');
    expect(await chain(path)).toMatchObject({
      code: 0,
      layers: [{ dataFile: { path: at('extdata.raw'), exists: true } }],
    });
    const { stdout } = await runCli('chain', images(over('x', 'nbd:host:1:exportname=\x1b[2J')), '--format', 'qcow2');
    expect(stdout).toContain('└─ nbd host:1 \\x1b[2J: qcow2 (recorded), size not known, not read');
    expect(stdout).toContain('end unknown');
    expect(await chain(vectors('bad-table-beyond-eof'))).toMatchObject({
      code: 1,
      layers: [{ bitmaps: [{ trust: 'damaged' }] }],
    });
    expect((await runCli('chain', vectors('bad-unknown-incompatible'), '--format', 'qcow2')).stderr).toMatch(
      /^dirtybitmap: qcow2-incompatible-unknown at 72: /,
    );
  });
});

describe('map --chain', () => {
  const mid = (): string => vectors('chain-mid', 'chain-base');
  const dirty = (stdout: string): unknown =>
    JSON.parse(stdout)
      .filter(({ type }: { type: number }) => type === 1)
      .map(({ offset, length }: { offset: number; length: number }) => [offset, length]);

  it('ORs a bitmap of all layers, and only when it is asked to', async () => {
    const together = await runCli('map', mid(), '--chain', '--bitmap', 'common', '--json');
    expect([together.code, dirty(together.stdout)]).toEqual([0, [[0, 131_072]]]);
    expect(dirty((await runCli('map', mid(), '--bitmap', 'common', '--json')).stdout)).toEqual([[65_536, 65_536]]);
  });

  it('has a bitmap of the top alone where no other layer has it', async () => {
    const path = vectors('chain-top', 'chain-mid', 'chain-base');
    const { code, stdout, stderr } = await runCli('map', path, '--chain', '--json');
    expect([code, stderr, dirty(stdout)]).toEqual([
      0,
      '',
      [
        [131_072, 65_536],
        [1_048_576, 65_536],
      ],
    ]);
  });

  it('says why there is none', async () => {
    const map = async (path: string, ...more: string[]) => await runCli('map', path, '--chain', ...more);
    expect(await map(vectors('chain-top', 'chain-mid', 'chain-base'), '--bitmap', 'common')).toMatchObject({
      ...{
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^dirtybitmap: chain-bitmap-invalid: .*does not have it/),
      },
    });
    expect(await map(mid(), '--bitmap', 'nope')).toMatchObject({ code: 2 });
    expect(await map(mid())).toMatchObject({ code: 2, stderr: expect.stringContaining('several bitmaps') });
    expect(await map(vectors('in-use'), '--bitmap', 'live')).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('it is in-use-orphaned on') },
    });
    rmSync(at('chain-base.qcow2'));
    expect(await map(at('chain-mid.qcow2'), '--bitmap', 'common')).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('backing-missing') },
    });
    expect(await map(images(raw('raw')), '--bitmap', 'x')).toMatchObject({ code: 1 });
    expect((await map('-')).code).toBe(2);
    expect((await map(mid(), '--format', 'capture')).code).toBe(2);
  });

  it('notes that a layer is of another size', async () => {
    const image = readFileSync(vectors('chain-mid', 'chain-base'));
    image.writeUInt32BE(2 ** 19, 28);
    writeFileSync(at('chain-mid.qcow2'), image);
    const { code, stdout, stderr } = await runCli(
      'map',
      at('chain-mid.qcow2'),
      '--chain',
      '--bitmap',
      'common',
      '--json',
    );
    expect([code, dirty(stdout)]).toEqual([0, [[0, 131_072]]]);
    expect(stderr).toContain('has 1048576 bytes, that of the top 524288');
  });
});

describeWithQemu('chains as QEMU sees them', () => {
  const qemuImg = (...args: string[]): string => execFileSync('qemu-img', args, { encoding: 'utf8', cwd: folder });

  it('have the same files, formats and sizes', async () => {
    mkdirSync(at('a/b'), { recursive: true });
    qemuImg('create', '-f', 'raw', 'base.raw', '3M');
    qemuImg('create', '-f', 'qcow2', '-o', 'compat=0.10', '-b', '../base.raw', '-F', 'raw', 'a/one.qcow2');
    qemuImg('create', '-f', 'qcow2', '-b', '../one.qcow2', '-F', 'qcow2', 'a/b/two.qcow2', '5M');
    symlinkSync('b/two.qcow2', at('a/link'));
    qemuImg('create', '-f', 'qcow2', '-b', './b/two.qcow2', '-F', 'qcow2', 'a/top:x.qcow2');
    const path = at('a/top:x.qcow2');
    const theirs = JSON.parse(qemuImg('info', '--backing-chain', '--output=json', path)) as Record<string, unknown>[];
    const { layers, end } = await chain(path);
    expect(end).toBe('terminated');
    expect(layers.map((layer) => [layer.path, layer.format, layer.virtualSize ?? layer.fileSize])).toEqual(
      theirs.map((image) => [image['filename'], image['format'], image['virtual-size']]),
    );
  });

  it('QEMU looks for a relative data file in its working directory, and joins nothing to json: and file:', () => {
    mkdirSync(at('sub'));
    execFileSync('qemu-img', ['create', '-f', 'qcow2', '-o', 'data_file=d.raw', 'data.qcow2', '1M'], {
      cwd: at('sub'),
    });
    execFileSync('qemu-img', ['create', '-f', 'qcow2', 'base.qcow2', '1M'], { cwd: at('sub') });
    for (const [name, backing] of Object.entries({
      json: 'json:{"file.driver":"file","file.filename":"base.qcow2"}',
      file: 'file:base.qcow2',
    })) {
      execFileSync('qemu-img', ['create', '-f', 'qcow2', '-b', backing, '-F', 'qcow2', name], { cwd: at('sub') });
      expect(() =>
        execFileSync('qemu-img', ['info', '--backing-chain', `sub/${name}`], { cwd: folder, stdio: 'pipe' }),
      ).toThrow(/No such file/);
    }
    const open = (cwd: string, path: string): string =>
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read 0 512', path], { cwd, stdio: 'pipe', encoding: 'utf8' });
    expect(open(at('sub'), 'data.qcow2')).toContain('read 512/512');
    expect(() => open(folder, 'sub/data.qcow2')).toThrow(/d\.raw/);
  });

  it('are said to be open where a QEMU writes them', async () => {
    const path = vectors('chain-mid', 'chain-base');
    const qemu = spawn('qemu-io', ['-f', 'qcow2', path], { stdio: ['pipe', 'ignore', 'ignore'] });
    try {
      for (let tries = 0; tries < 200 && (await hasWriter(path)) !== true; tries++) await sleep(50);
      const { layers, findings } = await chain(path);
      expect(layers[0]?.bitmaps.map(({ trust }) => trust)).toEqual(['in-use-live', 'in-use-live']);
      expect(layers[1]).toMatchObject({ writerPresent: false, bitmaps: [{ trust: 'enabled' }, { trust: 'enabled' }] });
      expect(findings).toMatchObject([{ code: 'chain-layer-open' }]);
    } finally {
      qemu.stdin.end();
      await once(qemu, 'exit');
    }
  });
});
