import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InfoDocument } from '../../src/report/input-report.js';
import { runCli } from '../support/run-cli.js';
import {
  B0,
  bitmapStream,
  bitsChunk,
  completeChunk,
  EOS,
  fill,
  join,
  startChunk,
  zeroesChunk,
} from '../support/stream-builder.js';
import { VECTORS } from '../support/vectors.js';

const good = joinPath(VECTORS, 'captures/small-qcow2-persistent.bin');
const cut = joinPath(VECTORS, 'captures/cut-in-bits.bin');
const empty = joinPath(VECTORS, 'captures/empty-clean.bin');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(joinPath(tmpdir(), 'dirtybitmap-inputs-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with these bytes. */
function file(name: string, bytes: Uint8Array | string): string {
  const path = joinPath(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function infoOf(path: string): Promise<InfoDocument> {
  return JSON.parse((await runCli('info', '--json', path)).stdout) as InfoDocument;
}

const codesOf = (info: InfoDocument): string[] => info.findings.map((finding) => finding.code);

describe('an input that is bad', () => {
  it('is what map tells, rather than that it has no bitmap', async () => {
    const { code, stderr } = await runCli('map', file('junk', 'no stream'));
    expect(code).toBe(1);
    expect(stderr).toContain('magic-invalid');
  });

  it('that cannot be opened exits with 3, and does not hide the others', async () => {
    const { code, stdout, stderr } = await runCli('info', '--json', good, joinPath(folder, 'nothing'));
    const [first, second] = JSON.parse(stdout) as [InfoDocument, { error: { code: string } }];
    expect(code).toBe(3);
    expect(first.bitmaps[0]?.name).toBe('b0');
    expect(second.error.code).toBe('file-access');
    expect(stderr).toContain('there is no such file');
  });

  it('with a byte order mark is told so', async () => {
    const { code, stderr } = await runCli('info', file('bom.json', '\ufeff{"dirtybitmap":1,"nodes":[]}'));
    expect(code).toBe(1);
    expect(stderr).toContain('byte order mark');
  });

  it('keeps control characters of its names off the terminal, and out of the JSON', async () => {
    const set = { dirtybitmap: 1, nodes: [{ node: 'd\u001b[31m', size: 0, bitmaps: [] }] };
    const name = '\u009b31m\u202ex';
    const bitmap = { name, granularity: 512, recording: true, persistent: false, dirty: [] };
    const path = file('nasty.json', JSON.stringify({ ...set, nodes: [{ node: 'd', size: 512, bitmaps: [bitmap] }] }));
    for (const args of [['info'], ['info', '--json'], ['check', '--json'], ['trace']]) {
      const { stdout, stderr } = await runCli(...args, path);
      expect(`${stdout}${stderr}`).not.toMatch(/[^\P{C}\n]/u);
    }
    expect((await infoOf(path)).bitmaps[0]?.name).toBe(name);
  });
});

describe('a command line that is wrong', () => {
  it('is an error as data too', async () => {
    const { code, stdout } = await runCli('info', '--json', '--bogus', good);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'argument' } });
  });

  it('reads standard input twice', async () => {
    const { code, stderr } = await runCli('check', '-', '-');
    expect(code).toBe(2);
    expect(stderr).toContain('only once');
  });

  it('has an offset behind the end, whatever the command', async () => {
    for (const command of ['info', 'map', 'trace']) {
      expect((await runCli(command, '--offset', '1g', good)).code).toBe(2);
    }
  });

  it('names a limit that there is not', async () => {
    expect((await runCli('info', '--limit', 'maxNothing=1', good)).code).toBe(2);
  });
});

describe('limits', () => {
  it('can be given on the command line', async () => {
    const { code, stdout } = await runCli('check', '--limit', 'maxBitsBytes=64', good);
    expect(code).toBe(1);
    expect(stdout).toContain('bits-size-limit');
  });

  it('leave out hashes that would take too long, all bitmaps together', async () => {
    const { stdout } = await runCli('info', '--json', '--limit', 'maxHashBytes=8', empty);
    const info = JSON.parse(stdout) as InfoDocument;
    expect(info.bitmaps[0]?.sha256).toBeNull();
    expect(codesOf(info)).toEqual(['sha256-skipped']);
  });
});

describe('what a cut stream has', () => {
  it('counts the bytes that are there', async () => {
    const info = await infoOf(cut);
    const sections = info.capture?.sections.reduce((sum, section) => sum + section.bytes, 0) ?? 0;
    expect(info.bitmaps[0]?.wireBytes).toBeLessThan(info.bytes);
    // Header, configuration and ADVISE are no sections.
    expect(sections).toBe(info.bytes - 8 - 9 - 5);
  });

  it('has no dirty granule behind the last of the range', async () => {
    // 3 granules and all bits of their word set; the padding of 32 bytes is not all there.
    const stream = bitmapStream(join(startChunk(B0), EOS), bitsChunk(0, 3 * 128, fill(32, 0xff)));
    const whole = stream.lastIndexOf(0xff);
    const info = await infoOf(file('cut-past', stream.slice(0, whole - 4)));
    expect(info.bitmaps[0]).toMatchObject({ count: 3 * 65_536, coveredBytes: 3 * 65_536 });
    expect(codesOf(info)).toContain('bits-past-end');
  });

  it('has its holes told, though it was not completed', async () => {
    const stream = bitmapStream(join(startChunk(B0), EOS), join(zeroesChunk(8192, 8192), EOS));
    const { stdout } = await runCli('check', file('hole', stream));
    expect(stdout).toContain('chunk-gap');
  });
});

describe('a chunk of no sectors', () => {
  it('is wrong where a range follows', async () => {
    const stream = bitmapStream(
      join(startChunk(B0), EOS),
      join(zeroesChunk(0, 0), zeroesChunk(0, 8192), completeChunk(), EOS),
    );
    const { code, stdout } = await runCli('check', file('none-then-some', stream));
    expect(code).toBe(1);
    expect(stdout).toContain('sector-count-zero');
  });
});
