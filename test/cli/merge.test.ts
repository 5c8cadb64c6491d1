import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeCapture } from '../../src/capture/capture-encoder.js';
import { entriesOf, entryLabel } from '../../src/set/rename-set.js';
import { formatSetJson, parseSetJson } from '../../src/set/set-json.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { collect, type Sketch, setOf } from '../support/sets.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-merge-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

function fileOf(name: string, ...sketches: Sketch[]): string {
  writeFileSync(at(name), formatSetJson(setOf(...sketches)));
  return at(name);
}

function captureOf(name: string, ...sketches: Sketch[]): string {
  writeFileSync(at(name), collect(encodeCapture(setOf(...sketches))));
  return at(name);
}

const merge = (...args: string[]): Promise<CliResult> => runCli('merge', ...args, '-o', at('out.json'));

function merged(): unknown {
  const set = parseSetJson(readFileSync(at('out.json')));
  return entriesOf(set).map((entry) => {
    const { recording, persistent, bits, coveredBytes } = entry.bitmap;
    return [entryLabel(entry), bits.granularity, recording, persistent, coveredBytes, [...bits.extents()]];
  });
}

describe('merge', () => {
  it('is the union, by node and name, of the smallest granularity, and says what it did', async () => {
    const a = fileOf('a.json', { persistent: true, dirty: [[0, 65_536]] }, { name: 'x' });
    const b = fileOf('b.json', { granularity: 4096, recording: false, dirty: [[65_536, 4096]] });
    const { code, stdout } = await merge(a, b);
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      'disk0/b0: union of 2 inputs; 68 KiB (69632) dirty; granularities 64 KiB, 4 KiB made 4 KiB; recording, as not all of them are; persistent, as not all of them are',
      'disk0/x: from one input; 0 B dirty',
    ]);
    expect(merged()).toEqual([
      ['disk0/b0', 4096, true, true, undefined, [[0, 69_632]]],
      ['disk0/x', 65_536, true, false, undefined, []],
    ]);
  });

  it('takes captures, of which the size is not known, and cuts at the end of what they covered', async () => {
    const a = captureOf('a.bin', { size: 1_000_003, dirty: [[983_040, 16_963]] });
    const b = captureOf('b.bin', { size: 1_000_003, granularity: 512, dirty: [[0, 512]] });
    expect(await merge(a, b)).toMatchObject({ code: 0, stderr: '' });
    expect(merged()).toEqual([
      [
        'disk0/b0',
        512,
        true,
        false,
        1_000_448,
        [
          [0, 512],
          [983_040, 17_408],
        ],
      ],
    ]);
  });

  it('lets a clean bitmap of which nothing was sent say nothing of the size', async () => {
    const clean = join(folder, 'clean.bin');
    writeFileSync(clean, collect(encodeCapture(setOf({}), { profile: 'compact' })));
    const part = join(folder, 'part.bin');
    writeFileSync(part, collect(encodeCapture(setOf({ dirty: [[0, 65_536]] }))));
    const out = join(folder, 'both.bin');
    expect(await runCli('merge', clean, part, '-O', 'capture', '-o', out)).toMatchObject({ code: 0 });
    expect(readFileSync(out)).toEqual(readFileSync(part));
  });

  it('takes a capture and a set, which tells the size', async () => {
    const a = captureOf('a.bin', { size: 1_000_003, dirty: [[983_040, 16_963]] });
    const b = fileOf('b.json', { size: 1_000_003, granularity: 512, dirty: [[0, 512]] });
    expect(await merge(a, b)).toMatchObject({ code: 0 });
    expect(merged()).toEqual([
      [
        'disk0/b0',
        512,
        true,
        false,
        undefined,
        [
          [0, 512],
          [983_040, 16_963],
        ],
      ],
    ]);
  });

  it('takes maps of nbdinfo for the only bitmap, or that of --node', async () => {
    const a = fileOf('a.json', { dirty: [[0, 65_536]] });
    const b = fileOf('b.json', { dirty: [[131_072, 65_536]] });
    writeFileSync(at('map.json'), (await runCli('map', '--json', b)).stdout);
    expect((await merge(a, at('map.json'))).code).toBe(0);
    const both = [
      [
        'disk0/b0',
        65_536,
        true,
        false,
        undefined,
        [
          [0, 65_536],
          [131_072, 65_536],
        ],
      ],
    ];
    expect(merged()).toEqual(both);
    expect((await merge(at('map.json'), at('map.json'), '--force')).stderr).toContain('give --node NODE/NAME');
    expect((await merge(at('map.json'), at('map.json'), '--force', '--node', 'd/n')).code).toBe(0);
    expect(merged()).toEqual([['d/n', 65_536, true, false, undefined, [[131_072, 65_536]]]]);
    // A map needs no names.
    const maps = await runCli('merge', at('map.json'), at('map.json'), '-O', 'nbdinfo', '-o', '-');
    expect(maps).toMatchObject({ code: 0, stdout: readFileSync(at('map.json'), 'utf8') });
  });

  it('writes any kind', async () => {
    const a = fileOf('a.json', { dirty: [[0, 65_536]] });
    const b = fileOf('b.json', { dirty: [[65_536, 65_536]] });
    expect((await runCli('merge', a, b, '-O', 'capture', '--profile', 'compact', '-o', at('out.bin'))).code).toBe(0);
    const whole = fileOf('whole.json', { dirty: [[0, 131_072]] });
    expect((await runCli('compare', at('out.bin'), whole)).code).toBe(0);
  });

  it('does not change what it cannot merge: disks of two sizes', async () => {
    const a = fileOf('a.json', { size: 2 ** 20 });
    expect(await merge(a, fileOf('b.json', { size: 2 ** 21 }))).toMatchObject({ code: 1, stdout: '' });
    const { code, stderr } = await merge(a, captureOf('b.bin', { size: 2 ** 21 }));
    expect([code, stderr]).toEqual([1, expect.stringContaining('size-differs')]);
    expect(existsSync(at('out.json'))).toBe(false);
  });

  it('wants two inputs', async () => {
    expect((await merge(fileOf('a.json', {}))).code).toBe(2);
  });
});
