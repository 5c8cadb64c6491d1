import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { densityBars, densityGraph } from '../../src/report/density-bar.js';
import { formatSetJson } from '../../src/set/set-json.js';
import { readVector } from '../qcow2/vectors.js';
import { runCli, runCliOn } from '../support/run-cli.js';
import { setOf } from '../support/sets.js';
import { anyBitmap } from './any-bitmap.js';

const MiB = 2 ** 20;
const UTF8 = { LANG: 'C.UTF-8' };

let folder = '';
let file = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-bars-'));
  file = join(folder, 'set.json');
  writeFileSync(file, formatSetJson(setOf({ size: 64 * MiB, dirty: [[0, 32 * MiB]] })));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('info and map on a terminal', () => {
  it('draw a bar for each bitmap', async () => {
    const bar = /^disk0\/b0 {2}\|█{29}·{29}\| {2}50.0 %$/m;
    expect((await runCliOn({ env: UTF8, columns: 80 }, 'info', file)).stdout).toMatch(bar);
    expect((await runCliOn({ env: UTF8, columns: 80 }, 'map', file)).stdout).toMatch(bar);
  });

  it.each([
    ['NO_COLOR is set', { ...UTF8, NO_COLOR: '1' }],
    ['the terminal is a dumb one', { ...UTF8, TERM: 'dumb' }],
    ['the locale is not UTF-8', { LANG: 'de_DE.ISO-8859-1' }],
    ['LC_ALL overrules LANG', { ...UTF8, LC_ALL: 'C' }],
    ['there is no locale', {}],
  ])('draw in ASCII where %s', async (_, env) => {
    const { stdout } = await runCliOn({ env, columns: 60 }, 'info', file);
    expect(stdout).toMatch(/^disk0\/b0 {2}\|#{19}\.{19}\| {2}50.0 %$/m);
  });

  it('draw nothing where nobody looks, nor into JSON', async () => {
    expect((await runCli('info', file)).stdout).not.toContain('|');
    expect((await runCli('map', file)).stdout).not.toContain('|');
    const { stdout } = await runCliOn({ env: UTF8, columns: 80 }, 'map', '--json', file);
    expect(JSON.parse(stdout)).toHaveLength(2);
  });
});

describe('map --graph', () => {
  it('draws the disk in rows, also into a pipe', async () => {
    const { stdout, code } = await runCli('map', '--graph', file);
    const lines = stdout.trimEnd().split('\n');
    expect([code, lines.length]).toEqual([0, 1 + 16 + 1]);
    expect(lines[0]).toBe('32 MiB (33554432) of 64 MiB dirty (50.0 %), a character is 64 KiB');
    expect(lines[1]).toBe(`                 0 |${'#'.repeat(64)}|    100 %`);
    expect(lines[9]).toBe(`          33554432 |${'.'.repeat(64)}|      0 %`);
  });

  it('draws what changed on all layers of a chain', async () => {
    for (const name of ['chain-top', 'chain-mid', 'chain-base'])
      writeFileSync(join(folder, `${name}.qcow2`), readVector(`${name}.qcow2`));
    const { stdout, code } = await runCli('map', '--graph', '--chain', join(folder, 'chain-top.qcow2'));
    expect([code, stdout.split('\n')[0]]).toEqual([
      0,
      '128 KiB (131072) of 2 MiB dirty (6.25 %), a character is 4 KiB',
    ]);
  });

  it('is instead of a list, so not with --json', async () => {
    expect((await runCli('map', '--graph', '--json', file)).code).toBe(2);
  });

  it('of a disk without bytes says so', () => {
    expect(
      densityGraph({ bits: new Bitmap(512, { size: 0 }), coveredBytes: 0 }, { unicode: false, columns: 80 }),
    ).toEqual(['nothing is known of the disk, or it has no bytes']);
  });
});

describe('a bar', () => {
  const shape = { unicode: false, columns: 60 };
  const bar = (bits: Bitmap, size: number): string => {
    const [line = ''] = densityBars([{ node: undefined, name: nameFromText('b'), bits, coveredBytes: size }], shape);
    return line.slice(line.indexOf('|') + 1, line.lastIndexOf('|'));
  };

  it('shows a single dirty granule, and a single clean one', () => {
    fc.assert(
      fc.property(anyBitmap(), ({ bits, size }) => {
        const drawn = bar(bits, size);
        expect(drawn.length).toBe(60 - 'b'.length - '  ||  >99.99 %'.length);
        expect(/[^.]/.test(drawn)).toBe(!bits.isEmpty());
        expect(/^#*$/.test(drawn)).toBe(bits.nextClean(0) < 0);
      }),
    );
  });

  it('cannot move a cursor, whatever the bitmap is called', () => {
    const hostile = {
      node: undefined,
      name: nameFromText('\u001b[2J\u202ex'),
      bits: new Bitmap(512),
      coveredBytes: 512,
    };
    expect(densityBars([hostile], shape)[0]).toMatch(/^\\x1b\[2J\\u\{202e\}x {2}\|/);
  });

  it('is left out where no bits are, and so many are drawn', () => {
    const one = { node: undefined, name: nameFromText('b'), bits: new Bitmap(512, { size: 512 }), coveredBytes: 512 };
    const lines = densityBars([{ ...one, bits: undefined }, ...Array.from({ length: 103 }, () => one)], shape);
    expect([lines.length, lines.at(-1)]).toEqual([101, 'and 3 more']);
  });
});
