import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeSection } from '../../src/capture/capture-encoder.js';
import { formatSetJson } from '../../src/set/set-json.js';
import { readVector } from '../qcow2/vectors.js';
import { runCli } from '../support/run-cli.js';
import { collect, type Sketch, setOf } from '../support/sets.js';
import { VECTORS } from '../support/vectors.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const GOOD = join(VECTORS, 'captures/small-qcow2-persistent.bin');
const OTHER = join(VECTORS, 'captures/disabled-bitmap.bin');
const CUT = join(VECTORS, 'captures/cut-in-bits.bin');

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-report-'));
  out = join(folder, 'report.html');
});
afterEach(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function setFile(name: string, ...sketches: Sketch[]): string {
  return file(name, formatSetJson(setOf(...sketches)));
}

const page = (): string => readFileSync(out, 'utf8');
const headings = (html: string): string[] =>
  [...html.matchAll(/<h[2-5]>(.*?)<\/h/g)].map(([, text = '']) => text.replace(/<[^>]*>/g, ''));

describe('report', () => {
  it('of a capture shows its bitmaps, its timeline and its bytes', async () => {
    const { code, stdout, stderr } = await runCli('report', GOOD, '-o', out);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(`${out}: report of 1 input: 1 bitmap, 0 findings\n`);
    expect(page()).toMatch(/^<!doctype html>\n/);
    expect(headings(page())).toEqual([
      ...[
        'Summary',
        'Findings',
        GOOD,
        'Bitmaps',
        'disk0/b0',
        'Extent sizes',
        'Timeline',
        'Where the bytes went',
        'Bytes',
      ],
      'chunk 0x1c START DEVICE_NAME BITMAP_NAME at 86 (0x56)',
      ...[expect.stringContaining('chunk 0x40 BITS'), expect.stringContaining('chunk 0x20 COMPLETE')],
    ]);
    expect(page()).toContain('3.19 MiB (3342336), 4.98 %');
  });

  it('is the same each time', async () => {
    await runCli('report', GOOD, CUT, '-o', out);
    const first = page();
    await runCli('report', GOOD, CUT, '-o', out, '--force');
    expect(page()).toBe(first);
  });

  it('of a bad input is written, and the exit code says so', async () => {
    const { code } = await runCli('report', CUT, '-o', out);
    expect(code).toBe(1);
    expect(page()).toContain('<code>stream-cut</code>');
    expect(headings(page())).toContain('error stream-cut at 3000 (0xbb8)');
  });

  it('does not take the place of a file without being told', async () => {
    file('report.html', 'mine');
    const refused = await runCli('report', GOOD, '-o', out);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('output-exists')]);
    expect(page()).toBe('mine');
    expect((await runCli('report', GOOD, '-o', out, '--force')).code).toBe(0);
    expect(page()).toContain('disk0/b0');
  });

  it('never takes the place of an input', async () => {
    const set = setFile('set.json', {});
    symlinkSync(set, join(folder, 'link.json'));
    const { code, stderr } = await runCli('report', set, '-o', join(folder, 'link.json'), '--force');
    expect([code, stderr]).toEqual([2, expect.stringContaining('is one of the inputs')]);
    expect(readFileSync(set, 'utf8')).toMatch(/^{ "dirtybitmap"/);
  });

  it('writes to standard output and nothing else there', async () => {
    const { stdout, code } = await runCli('report', GOOD, '-o', '-');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
  });

  it('of several inputs is written although one cannot be read; of that one alone it is not', async () => {
    const missing = join(folder, 'missing');
    const { code, stderr } = await runCli('report', GOOD, missing, '-o', out);
    expect([code, stderr]).toEqual([3, expect.stringContaining('file-access')]);
    expect(headings(page())).toEqual(expect.arrayContaining(['disk0/b0', missing]));
    expect(page()).toContain('It could not be read');
    const alone = await runCli('report', missing, '-o', join(folder, 'alone.html'));
    expect([alone.code, existsSync(join(folder, 'alone.html'))]).toEqual([3, false]);
  });

  it('of two inputs shows where they differ', async () => {
    await runCli('report', GOOD, OTHER, '-o', out);
    expect(page()).toContain('Only in A: 3.12 MiB (3272704). Only in B: 232 KiB (237568). In both: 68 KiB (69632).');
    const b = setFile('b.json', { dirty: [[0, 65536]] });
    await runCli('report', b, b, '-o', out, '--force');
    expect(page()).toContain('equal');
  });

  it('of three inputs shows no differences', async () => {
    await runCli('report', GOOD, OTHER, CUT, '-o', out);
    expect(headings(page())).not.toContain('Differences');
  });

  it('takes sections, sets and maps', async () => {
    const section = file('section.bin', collect(encodeSection(setOf({ name: 'c', dirty: [[65536, 65536]] }))));
    const set = setFile('set.json', { name: 'd' });
    const map = file('map.json', '[{"offset":0,"length":65536,"type":1,"description":"dirty"}]');
    const { code } = await runCli(
      'report',
      section,
      set,
      map,
      '-o',
      out,
      '--format',
      'section',
      '--format',
      'auto',
      '--format',
      'auto',
    );
    expect(code).toBe(0);
    expect(headings(page())).toEqual(expect.arrayContaining(['disk0/c', 'disk0/d', 'the bitmap']));
    expect(headings(page())).toContain('chunk 0x1c START DEVICE_NAME BITMAP_NAME at 0 (0x0)');
  });

  it('says where the size of the disk is not known', async () => {
    await runCli('report', setFile('set.json', { size: null, dirty: [[0, 65536]] }), '-o', out);
    expect(page()).toContain('does not tell the size of the disk');
    await runCli('report', setFile('set.json', { dirty: [[0, 65536]] }), '-o', out, '--force');
    expect(page()).not.toContain('does not tell the size of the disk');
  });

  it('of a pipe has the bytes of its beginning', () => {
    const html = execFileSync(process.execPath, [MAIN, 'report', '-', '-o', '-'], {
      input: readFileSync(GOOD),
      encoding: 'utf8',
    });
    expect(headings(html)).toContain('chunk 0x1c START DEVICE_NAME BITMAP_NAME at 86 (0x56)');
  });

  it('of an image says whose bits are lost', async () => {
    const { code } = await runCli('report', join(VECTORS, 'qcow2/images/in-use.qcow2'), '-o', out);
    expect(code).toBe(0);
    expect(page()).toContain('not known');
    expect(headings(page())).toContain('warning qcow2-in-use-orphaned at 45056 (0xb000)');
  });

  it.each([[], ['--chain']])(
    'of an image that nobody can open is a page with the reason, also alone (%j)',
    async (...args) => {
      const image = file(
        'bad.qcow2',
        gunzipSync(readFileSync(join(VECTORS, 'qcow2/images/bad-dir-overlaps-l1.qcow2.gz'))),
      );
      const { code, stderr } = await runCli('report', image, '-o', out, ...args);
      expect([code, stderr]).toEqual([1, expect.stringContaining('qcow2-name-size')]);
      expect(page()).toContain('qcow2-name-size');
    },
  );
});

describe('report --chain', () => {
  it('shows the layers side by side', async () => {
    const [top = ''] = ['chain-top', 'chain-mid', 'chain-base'].map((name) =>
      file(`${name}.qcow2`, readVector(`${name}.qcow2`)),
    );
    const { code } = await runCli('report', top, '--chain', '-o', out);
    expect(code).toBe(0);
    expect(headings(page())).toEqual(
      expect.arrayContaining(['Bitmap top0, layer by layer', 'Bitmap common, layer by layer']),
    );
    expect(page()).toContain('All layers');
    expect(page()).toContain('does not have it: what changed there since is not known');
  });

  it('is refused where there is no image, before anything is written', async () => {
    const { code, stderr } = await runCli('report', GOOD, '--chain', '-o', out);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--chain is about qcow2 images')]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says where the chain is broken', async () => {
    const { code } = await runCli('report', file('top.qcow2', readVector('chain-top.qcow2')), '--chain', '-o', out);
    expect(code).toBe(1);
    expect(page()).toContain('chain-mid.qcow2');
    expect(headings(page())).toContain('Backing chain');
  });
});
