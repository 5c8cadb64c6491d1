import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCases } from '../chain/merge-cases.js';
import { runCli } from '../support/run-cli.js';
import { VECTORS } from '../support/vectors.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-plan-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** What `query-named-block-nodes` would have returned. */
function nodesFile(nodes: Readonly<Record<string, readonly object[]>>, wrap: boolean): string {
  const list = Object.entries(nodes).map(([node, bitmaps]) => ({ 'node-name': node, 'dirty-bitmaps': bitmaps }));
  const path = join(folder, 'nodes.json');
  writeFileSync(path, JSON.stringify(wrap ? { return: list, id: 'libvirt-7' } : list));
  return path;
}

describe('plan', () => {
  it('refuses nodes that nest without end, and says which nodes it knows nothing of', async () => {
    const path = join(folder, 'deep.json');
    writeFileSync(path, '['.repeat(200_000) + ']'.repeat(200_000));
    const args = ['plan', 'delete', '--chain', 'a,b', '--bitmap', 'x', '--nodes'];
    expect(await runCli(...args, path)).toMatchObject({
      ...{ code: 1, stderr: expect.stringMatching(/^dirtybitmap: set-invalid: .*more than 1024 levels.*\n$/) },
    });
    const known = nodesFile({ a: [{ name: 'x', granularity: 512 }] }, false);
    expect((await runCli(...args, known)).stderr).toContain('--nodes tells of no node "b"');
  });

  it('makes no script that a shell cannot run', async () => {
    const one = (at: number): object => ({
      ...{ name: `${at}`.padEnd(1000, 'n'), granularity: 512, recording: true, persistent: true },
    });
    const script = async (count: number): Promise<object> => {
      const path = nodesFile({ a: Array.from({ length: count }, (_, at) => one(at)), b: [] }, false);
      const merge = ['plan', 'merge', '--chain', 'a', '--top', 'a', '--target', 'b'];
      return await runCli(...merge, '-o', 'sh', '--nodes', path);
    };
    expect(await script(10)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^#!\/bin\/sh\n/) });
    expect(await script(150)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('use --apply') });
  });

  it('prints exactly the actions of every case', async () => {
    for (const [at, one] of readCases(join(VECTORS, 'merge')).entries()) {
      const { top, base, target, bitmap, dstBitmap, writeBitmapNode } = one.args;
      const option = (name: string, value: string | null): string[] => (value === null ? [] : [name, value]);
      const common = ['--nodes', nodesFile(one.nodes, at % 2 === 0), '--chain', one.chain.join(','), '-o', 'qmp'];
      const args =
        one.operation === 'checkpoint-delete'
          ? ['delete', ...common, ...option('--bitmap', bitmap)]
          : [
              ...[
                'merge',
                ...common,
                ...option('--top', top),
                ...option('--base', base),
                ...option('--target', target),
              ],
              ...[
                ...option('--bitmap', bitmap),
                ...option('--into', dstBitmap),
                ...option('--write-node', writeBitmapNode),
              ],
            ];
      const { code, stdout, stderr } = await runCli('plan', ...args);
      expect(JSON.parse(stdout), one.name).toEqual(one.expected ?? []);
      expect(JSON.stringify(JSON.parse(stdout))).toBe(JSON.stringify(one.expected ?? []));
      if (Object.keys(one.nodes).length > 0) expect(stderr).toContain('sizes of disks are not compared');
      expect(code, one.name).toBe(one.expectedError === undefined ? 0 : 1);
    }
  });

  it('tells a person what is done, what is left out and why, and what QEMU would refuse', async () => {
    const on = { granularity: 65_536, recording: true, persistent: true, busy: false };
    const path = nodesFile(
      {
        top: [
          { name: 'a', ...on },
          { name: 'x', ...on, recording: false },
        ],
        base: [],
      },
      false,
    );
    const { code, stdout } = await runCli(
      'plan',
      'merge',
      '--nodes',
      path,
      '--chain',
      'top,base',
      '--target',
      'mirror',
    );
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'one transaction:',
      '  add "a" to mirror (persistent, recording, granularity 65536)',
      '  merge into "a" of mirror: top/a',
      'left out:',
      '  top/x: it does not record on top',
      'problems:',
      '  QEMU tells of no node "mirror", the target',
      '',
    ]);
  });

  it.each([
    ['no JSON', '{', 'set-invalid'],
    ['no array', '{"return": 1}', 'set-invalid'],
    ['a node without a name', '[{}]', 'set-invalid'],
    ['a node twice', '[{"node-name":"a"},{"node-name":"a"}]', 'set-invalid'],
    [
      'a granularity that is none',
      '[{"node-name":"a","dirty-bitmaps":[{"name":"b","granularity":-1}]}]',
      'set-invalid',
    ],
  ])('refuses %s', async (_, text, rule) => {
    const path = join(folder, 'nodes.json');
    writeFileSync(path, text);
    const result = await runCli('plan', 'merge', '--nodes', path, '--chain', 'a', '--target', 'a');
    expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`dirtybitmap: ${rule}`) });
  });

  it('is used wrongly with a chain that makes no sense', async () => {
    const path = nodesFile({ a: [] }, false);
    const wrong = (...more: string[]): Promise<{ code: number }> =>
      runCli('plan', 'merge', '--nodes', path, '--target', 'a', ...more);
    expect((await wrong('--chain', 'a,,b')).code).toBe(2);
    expect((await wrong('--chain', 'a,b', '--top', 'c')).code).toBe(2);
    expect((await wrong()).code).toBe(2);
  });
});
