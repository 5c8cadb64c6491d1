import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeCapture, encodeSection } from '../../src/capture/capture-encoder.js';
import { bitDifferences } from '../../src/set/compare-sets.js';
import { entriesOf, type SetEntry } from '../../src/set/rename-set.js';
import { formatSetJson } from '../../src/set/set-json.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { collect, type Sketch, setOf } from '../support/sets.js';
import { VECTORS } from '../support/vectors.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-compare-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, ...sketches: Sketch[]): string {
  const path = join(folder, name);
  writeFileSync(path, formatSetJson(setOf(...sketches)));
  return path;
}

const compare = (a: Sketch[], b: Sketch[], ...options: string[]): Promise<CliResult> =>
  runCli('compare', fileOf('a.json', ...a), fileOf('b.json', ...b), ...options);

describe('compare', () => {
  it('finds nothing between equals', async () => {
    const same = [{ dirty: [[0, 65_536]] }, { name: 'b1', recording: false }] satisfies Sketch[];
    expect(await compare(same, same)).toEqual({
      ...{ code: 0, stderr: '' },
      stdout: 'disk0/b0: equal\ndisk0/b1: equal\n2 bitmaps: 2 equal, 0 different, 0 only in A, 0 only in B\n',
      stdoutBytes: expect.anything(),
    });
  });

  it('shows fields, and extents that only one has', async () => {
    const a: Sketch = { persistent: true, dirty: [[0, 131_072]] };
    const b: Sketch = {
      granularity: 4096,
      dirty: [
        [4096, 4096],
        [131_072, 4096],
      ],
    };
    const { code, stdout } = await compare([a], [b]);
    expect(code).toBe(1);
    expect(stdout.replace(/ +/g, ' ')).toBe(
      [
        'disk0/b0: different',
        ' granularity: 65536 in A, 4096 in B',
        ' persistent: true in A, false in B',
        ' only in A 0 4096',
        ' only in A 8192 122880',
        ' only in B 131072 4096',
        '1 bitmap: 0 equal, 1 different, 0 only in A, 0 only in B\n',
      ].join('\n'),
    );
  });

  it('shows bitmaps that only one has', async () => {
    const { code, stdout } = await compare([{ name: 'x' }, { name: 'y' }], [{ name: 'y' }, { name: 'z' }]);
    expect(code).toBe(1);
    expect(stdout).toContain('disk0/x: only in A\ndisk0/y: equal\ndisk0/z: only in B\n');
  });

  it('tells disks of two sizes apart', async () => {
    const { code, stdout } = await compare([{ size: 2 ** 20 }], [{ size: 2 ** 21 }]);
    expect([code, stdout]).toEqual([1, expect.stringContaining('  size: 1048576 in A, 2097152 in B\n')]);
  });

  it('gives one JSON document', async () => {
    const { code, stdout } = await compare([{ dirty: [[0, 65_536]] }, { name: 'x' }], [{ recording: false }], '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      equal: false,
      counts: { equal: 0, different: 1, onlyInA: 1, onlyInB: 0 },
      bitmaps: [
        {
          ...{ node: 'disk0', name: 'b0', status: 'different', bytesOnlyInA: 65_536, bytesOnlyInB: 0 },
          fields: [{ field: 'recording', a: true, b: false }],
          extents: [['a', 0, 65_536]],
        },
        { node: 'disk0', name: 'x', status: 'only-in-a', extents: [] },
      ],
    });
  });

  for (const profile of ['qemu', 'compact'] as const) {
    it(`finds a set equal to its capture in ${profile}, though that does not tell where the disk ends`, async () => {
      const sketches: Sketch[] = [
        { node: 'd0', size: 1_000_003, granularity: 512, dirty: [[999_936, 67]] },
        { node: 'd1', name: 'e' },
      ];
      const capture = join(folder, 'c.bin');
      writeFileSync(capture, collect(encodeCapture(setOf(...sketches), { profile })));
      expect(await runCli('compare', fileOf('a.json', ...sketches), capture)).toMatchObject({ code: 0, stderr: '' });
    });
  }

  it('compares with a map of nbdinfo, which tells neither names nor flags', async () => {
    const a = fileOf('a.json', { granularity: 2 ** 20, persistent: true, dirty: [[2 ** 20, 2 ** 20]] });
    const map = join(folder, 'map.json');
    writeFileSync(map, (await runCli('map', '--json', a)).stdout);
    expect(await runCli('compare', a, map)).toMatchObject({ code: 0 });
    const two = fileOf('b.json', { dirty: [[0, 65_536]] }, { name: 'b1' });
    expect(await runCli('compare', two, map)).toMatchObject({ code: 2, stdout: '' });
    expect(await runCli('compare', two, map, '--bitmap', 'b0')).toMatchObject({ code: 1 });
  });

  it('takes a kind for each input, so that a section can stand beside a set', async () => {
    const set = fileOf('a.json', { dirty: [[0, 65_536]] });
    const section = join(folder, 'a.section');
    writeFileSync(section, collect(encodeSection(setOf({ dirty: [[0, 65_536]] }))));
    const kinds = ['--format', 'section', '--format', 'auto'];
    expect(await runCli('compare', section, set, ...kinds)).toMatchObject({ code: 0, stderr: '' });
    const three = await runCli('compare', section, set, ...kinds, '--format', 'set');
    expect(three).toMatchObject({ code: 2, stderr: expect.stringContaining('found 3 for 2 input(s)') });
  });

  it('says where an input is bad, and fails', async () => {
    const cut = join(VECTORS, 'captures/cut-in-bits.bin');
    const { code, stdout, stderr } = await runCli('compare', cut, cut);
    expect([code, stdout]).toEqual([1, expect.stringContaining('1 equal')]);
    expect(stderr).toContain('stream-cut');
  });

  it('agrees with a comparison byte by byte', () => {
    const end = 64 * 512;
    const side = fc.record({
      granularity: fc.constantFrom(512, 1024, 4096),
      dirty: fc.array(fc.tuple(fc.nat(end - 1), fc.integer({ min: 1, max: 3000 })), { maxLength: 6 }),
    });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: end }), (a, b, size) => {
        const [inA, inB] = [a, b].map((one) => {
          const dirty = one.dirty
            .filter(([offset]) => offset < size)
            .map(([offset, length]): [number, number] => [offset, Math.min(length, size - offset)]);
          return entriesOf(setOf({ ...one, size, dirty }))[0] as SetEntry;
        }) as [SetEntry, SetEntry];
        const bytes = new Array<string>(size).fill('');
        let last = -1;
        for (const [s, offset, length] of bitDifferences(inA, inB)) {
          expect(offset).toBeGreaterThanOrEqual(last);
          last = offset + length;
          bytes.fill(s, offset, last);
        }
        for (let at = 0; at < size; at++) {
          const [isA, isB] = [inA.bitmap.bits.get(at), inB.bitmap.bits.get(at)];
          if ((bytes[at] as string) !== (isA === isB ? '' : isA ? 'a' : 'b')) throw new Error(`byte ${at}`);
        }
      }),
      { numRuns: 100 },
    );
  });
});
