import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeFile } from '../../src/io/write-file.js';
import { encodeSetMsgpack } from '../../src/msgpack/set.js';
import { entriesOf, entryLabel } from '../../src/set/rename-set.js';
import { formatSetJson, parseSetJson } from '../../src/set/set-json.js';
import { bitmapsOf, loadStream, mapByNbdinfo } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { type Sketch, setOf } from '../support/sets.js';
import { VECTORS } from '../support/vectors.js';
import { describeWithQemu } from '../support/with-qemu.js';

const DIRTY: readonly (readonly [number, number])[] = [
  [0, 65_536],
  [2 ** 29, 2 ** 20],
];
const ONE = setOf({ persistent: true, dirty: DIRTY });
const TWO = setOf(
  { node: 'd0', name: 'a', persistent: true, dirty: DIRTY },
  { node: 'd0', name: 'b', granularity: 512, recording: false, dirty: [[512, 512]] },
  { node: 'd1', name: 'a', size: 1_000_003, dirty: [[983_040, 16_963]] },
);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-convert-'));
  writeFileSync(at('one.json'), formatSetJson(ONE));
  writeFileSync(at('two.json'), formatSetJson(TWO));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
const convert = (input: string, kind: string, output: string, ...options: string[]): Promise<CliResult> =>
  runCli('convert', at(input), '-O', kind, '-o', output === '-' || output === '' ? output : at(output), ...options);

async function good(...args: Parameters<typeof convert>): Promise<CliResult> {
  const result = await convert(...args);
  expect(result).toMatchObject({ code: 0 });
  return result;
}

/** What a set says, without the sizes that a stream does not tell. */
function contents(path: string): unknown {
  return parseSetJson(readFileSync(path)).nodes.map(({ node, bitmaps }) => [
    node.text,
    bitmaps.map(({ name, recording, persistent, bits }) => [
      ...[name.text, bits.granularity, recording, persistent],
      [...bits.extents({ clip: false })],
    ]),
  ]);
}

function namesIn(path: string): string[] {
  return entriesOf(parseSetJson(readFileSync(path))).map(entryLabel);
}

describe('convert', () => {
  it('turns a set into MessagePack and back without any change', async () => {
    await good('two.json', 'set', 'two.msgpack', '--msgpack');
    expect(readFileSync(at('two.msgpack'))).toEqual(Buffer.from(encodeSetMsgpack(TWO)));
    await good('two.msgpack', 'set', 'back.json');
    expect(readFileSync(at('back.json'), 'utf8')).toBe(formatSetJson(TWO));
  });

  it('keeps what only sets have: nodes without bitmaps, sizes that are not known, what is covered', async () => {
    const text = formatSetJson({
      nodes: [
        ...setOf({ size: null }, { name: 'c', covered: 4096 }).nodes,
        ...setOf({ node: 'e' }).nodes.map((n) => ({ ...n, bitmaps: [] })),
      ],
    });
    writeFileSync(at('in.json'), text);
    await good('in.json', 'set', 'out.json');
    expect(readFileSync(at('out.json'), 'utf8')).toBe(text);
  });

  for (const profile of ['qemu', 'compact']) {
    for (const kind of ['capture', 'section']) {
      it(`goes through a ${kind} in ${profile}`, async () => {
        await good('two.json', kind, 'out.bin', '--profile', profile);
        const format = kind === 'section' ? ['--format', 'section'] : [];
        const { stderr } = await good('out.bin', 'set', 'back.json', ...format);
        expect(contents(at('back.json'))).toEqual(contents(at('two.json')));
        // That ranges are missing is said, for it may also be a loss.
        expect(stderr.includes('were not sent and are taken as clean')).toBe(profile === 'compact');
        // What a stream covered is enough to send it again.
        await good('back.json', kind, 'again.bin', '--profile', profile);
        expect(readFileSync(at('again.bin'))).toEqual(readFileSync(at('out.bin')));
      });
    }
  }

  it('goes through a map of nbdinfo', async () => {
    await good('one.json', 'nbdinfo', 'map.json');
    const { stdout } = await runCli('map', '--json', at('one.json'));
    expect(readFileSync(at('map.json'), 'utf8')).toBe(stdout);
    await good('map.json', 'set', 'back.json', '--node', 'disk0/b0');
    expect(contents(at('back.json'))).toEqual([['disk0', [['b0', 65_536, true, false, DIRTY]]]]);
    await good('map.json', 'nbdinfo', 'again.json');
    expect(readFileSync(at('again.json'))).toEqual(readFileSync(at('map.json')));
  });

  it('writes a capture that QEMU itself wrote again: the same section', async () => {
    const vector = join(VECTORS, 'captures/small-qcow2-persistent.bin');
    await runCli('convert', vector, '-O', 'section', '-o', at('ours.bin'));
    const trace = async (path: string, ...options: string[]): Promise<string[]> => {
      const { stdout } = await runCli('trace', path, ...options);
      const chunks = stdout.split('\n').filter((line) => line.includes('  chunk ') && !line.includes(' BARE '));
      return chunks.map((line) => line.replace(/^off=\d+ /, ''));
    };
    expect(await trace(at('ours.bin'), '--format', 'section')).toEqual(await trace(vector));
  });

  it('does not take a clean bitmap of which nothing was sent for one of a disk without bytes', async () => {
    writeFileSync(at('clean.json'), formatSetJson(setOf({})));
    await good('clean.json', 'capture', 'clean.bin', '--profile', 'compact');
    await good('clean.bin', 'capture', 'again.bin', '--profile', 'compact');
    expect(readFileSync(at('again.bin'))).toEqual(readFileSync(at('clean.bin')));
    for (const kind of ['capture', 'nbdinfo']) {
      const result = await convert('clean.bin', kind, 'out');
      expect(result).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^dirtybitmap: size-unknown/),
      });
    }
    // A disk that has no bytes says so, and stays one.
    writeFileSync(at('empty.json'), formatSetJson(setOf({ size: 0 })));
    await good('empty.json', 'capture', 'empty.bin');
    await good('empty.bin', 'capture', 'empty-again.bin');
    expect(readFileSync(at('empty-again.bin'))).toEqual(readFileSync(at('empty.bin')));
  });

  it('says up to where a map goes that is made of a stream', async () => {
    await good('one.json', 'capture', 'one.bin', '--profile', 'compact');
    const { stderr } = await good('one.bin', 'nbdinfo', 'map.json');
    const { end } = JSON.parse(readFileSync(at('map.json'), 'utf8')).reduce(
      (_: unknown, run: { offset: number; length: number }) => ({ end: run.offset + run.length }),
    );
    expect(stderr).toContain(`the size of its disk is not told; the map ends at byte ${end}`);
    expect((await good('one.json', 'nbdinfo', 'map.json', '--force')).stderr).toBe('');
  });

  it('says where it writes what is not known', async () => {
    writeFileSync(at('part.json'), formatSetJson(setOf({ size: 2 ** 21, covered: 2 ** 20, dirty: [[0, 65_536]] })));
    expect((await good('part.json', 'capture', 'out.bin')).stderr).toContain('known up to byte 1048576 of 2097152');
    expect((await good('part.json', 'nbdinfo', 'map.json')).stderr).toContain('the map ends at byte 1048576');
    expect((await good('part.json', 'set', 'set.json')).stderr).toBe('');
  });

  it('renames what has = in its name', async () => {
    writeFileSync(at('odd.json'), formatSetJson(setOf({ name: 'a=b' }, { name: 'c' })));
    await good('odd.json', 'set', 'out.json', '--rename', 'disk0/a=b=disk0/d=e');
    expect(namesIn(at('out.json'))).toEqual(['disk0/d=e', 'disk0/c']);
  });

  it('takes the limits of the command line for what it writes, too', async () => {
    const many = Array.from({ length: 30 }, (_, i): Sketch => ({ name: `b${i}` }));
    writeFileSync(at('many.json'), formatSetJson(setOf(...many)));
    const few = ['--limit', 'maxBitmaps=20'];
    expect((await convert('many.json', 'set', 'out.json', ...few)).code).toBe(1);
    await good('one.json', 'capture', 'one.bin');
    expect(
      (await convert('one.json', 'capture', 'o.bin', '--into', at('one.bin'), '--limit', 'maxBitmaps=0')).code,
    ).toBe(1);
  });

  it('takes only what is selected, and renames it', async () => {
    await good('two.json', 'set', 'out.json', '--select', 'd0/a', '--select', 'b', '--rename', 'd0=d9');
    expect(namesIn(at('out.json'))).toEqual(['d9/a', 'd9/b']);
    await good('two.json', 'set', 'out.json', '--force', '--rename', 'd1/a=d0/c', '--select', 'd1/a');
    expect(namesIn(at('out.json'))).toEqual(['d0/c']);
  });

  it('writes to standard output, and nothing else there', async () => {
    const { stdout, stdoutBytes } = await good('one.json', 'set', '-');
    expect(stdout).toBe(formatSetJson(ONE));
    expect(stdoutBytes.length).toBe(readFileSync(at('one.json')).length);
  });

  it('says what it wrote', async () => {
    const { stdout } = await good('one.json', 'capture', 'out.bin', '--machine', 'pc-q35-7.2');
    expect(stdout).toContain('capture, 1 bitmap, 2.16 KiB');
    expect(JSON.parse((await runCli('info', '--json', at('out.bin'))).stdout).capture.machine).toBe('pc-q35-7.2');
  });

  const refused: readonly (readonly [string, number, string, readonly string[]])[] = [
    ['a bitmap that is not there', 2, 'bitmap-not-found', ['one.json', 'set', 'out', '--select', 'disk0/nope']],
    ['a rename of what is not there', 2, 'bitmap-not-found', ['one.json', 'set', 'out', '--rename', 'nope=x']],
    ['a rename that says nothing', 2, 'argument', ['one.json', 'set', 'out', '--rename', 'disk0']],
    ['a rename of a bitmap to a node', 2, 'argument', ['one.json', 'set', 'out', '--rename', 'disk0/b0=x']],
    ['two bitmaps of one name', 1, 'bitmap-exists', ['two.json', 'set', 'out', '--rename', 'd0/b=d0/a']],
    ['a rename to nothing', 2, 'argument', ['two.json', 'set', 'out', '--rename', 'd0/b=d0/']],
    ['an output without a name', 2, 'argument', ['one.json', 'set', '']],
    ['two kinds of one input', 2, 'argument', ['one.json', 'set', 'out', '--format', 'set', '--format', 'set']],
    ['nodes of two sizes as one', 1, 'size-differs', ['two.json', 'set', 'out', '--rename', 'd1/a=d0/c']],
    ['several bitmaps in one map', 2, 'bitmap-not-found', ['two.json', 'nbdinfo', 'out']],
    ['a machine for what has none', 2, 'argument', ['one.json', 'set', 'out', '--machine', 'none']],
    ['a profile for what has none', 2, 'argument', ['one.json', 'nbdinfo', 'out', '--profile', 'compact']],
    ['MessagePack for what is no set', 2, 'argument', ['one.json', 'capture', 'out', '--msgpack']],
    ['a name for what has one', 2, 'argument', ['one.json', 'set', 'out', '--node', 'a/b']],
    ['an input that is not there', 3, 'file-access', ['nope.json', 'set', 'out']],
    ['a folder that is not there', 3, 'file-access', ['one.json', 'set', 'nope/out']],
    ['a folder as output', 3, 'file-access', ['one.json', 'set', '.']],
  ];
  for (const [what, code, rule, [input = '', kind = '', output = '', ...options]] of refused) {
    it(`refuses ${what}, and leaves nothing`, async () => {
      const before = readdirSync(folder);
      const result = await convert(input, kind, output, ...options);
      expect(result).toMatchObject({ code, stdout: '' });
      expect(result.stderr).toMatch(new RegExp(`^dirtybitmap: ${rule}`));
      expect(result.stderr.trimEnd()).not.toContain('\n');
      expect(readdirSync(folder)).toEqual(before);
    });
  }

  it('refuses a map without names where names are needed', async () => {
    await good('one.json', 'nbdinfo', 'map.json');
    expect((await convert('map.json', 'capture', 'out.bin')).stderr).toContain('give --node NODE/NAME');
    expect((await convert('map.json', 'capture', 'out.bin', '--node', 'disk0')).code).toBe(2);
  });

  it('refuses a capture whose bitmaps are not all there, and leaves nothing', async () => {
    const result = await runCli(
      'convert',
      join(VECTORS, 'captures/cut-in-bits.bin'),
      '-O',
      'set',
      '-o',
      at('out.json'),
    );
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toContain('is bad, nothing was written');
    expect(existsSync(at('out.json'))).toBe(false);
  });

  it('asks for -O and -o', async () => {
    expect((await runCli('convert', at('one.json'), '-O', 'set')).code).toBe(2);
    expect((await runCli('convert', at('one.json'), '-o', at('x'))).code).toBe(2);
  });

  it('overwrites only with --force, and keeps mode and links', async () => {
    writeFileSync(at('out.json'), 'precious');
    chmodSync(at('out.json'), 0o640);
    symlinkSync('out.json', at('link.json'));
    expect(await convert('one.json', 'set', 'link.json')).toMatchObject({ code: 2, stdout: '' });
    expect(readFileSync(at('out.json'), 'utf8')).toBe('precious');
    await good('one.json', 'set', 'link.json', '--force');
    expect(readFileSync(at('out.json'), 'utf8')).toBe(formatSetJson(ONE));
    expect(statSync(at('out.json')).mode & 0o777).toBe(0o640);
    expect(readdirSync(folder).sort()).toEqual(['link.json', 'one.json', 'out.json', 'two.json']);
  });

  it('leaves the old file where the new one cannot be written', async () => {
    writeFileSync(at('out.bin'), 'precious');
    const result = await convert(
      'one.json',
      'capture',
      'out.bin',
      '--force',
      '--rename',
      `disk0/b0=disk0/${'x'.repeat(256)}`,
    );
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain('name-too-long');
    expect(readFileSync(at('out.bin'), 'utf8')).toBe('precious');
    expect(readdirSync(folder).sort()).toEqual(['one.json', 'out.bin', 'two.json']);
  });

  it('writes to a device without replacing it', async () => {
    const result = await runCli('convert', at('one.json'), '-O', 'capture', '-o', '/dev/null');
    expect(result.code).toBe(0);
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('takes its own input as output', async () => {
    await good('two.json', 'set', 'two.json', '--force', '--select', 'd1/a');
    expect(namesIn(at('two.json'))).toEqual(['d1/a']);
  });
});

describe('convert --into', () => {
  const vector = join(VECTORS, 'captures/small-qcow2-persistent.bin');

  it('adds and replaces, says so, and leaves the rest', async () => {
    const small = setOf(
      { node: 'd0', name: 'a', size: 2 ** 26, dirty: [[0, 65_536]] },
      { node: 'd0', name: 'b', granularity: 512, dirty: [[512, 512]] },
      { node: 'd1', name: 'a', size: 1_000_003, dirty: [[983_040, 16_963]] },
    );
    writeFileSync(at('small.json'), formatSetJson(small));
    const { stdout } = await good('small.json', 'capture', 'out.bin', '--into', vector, '--rename', 'd0/a=disk0/b0');
    expect(stdout.split('\n').slice(0, 3)).toEqual(['disk0/b0: replaced', 'd0/b: added', 'd1/a: added']);
    expect(stdout).toContain('capture, 3 bitmaps put in, ');
    const { bitmaps, capture, findings } = JSON.parse((await runCli('info', '--json', at('out.bin'))).stdout);
    expect(bitmaps.map((one: { node: string; name: string }) => `${one.node}/${one.name}`)).toEqual([
      'd0/b',
      'd1/a',
      'disk0/b0',
    ]);
    expect(capture.sections).toHaveLength(
      JSON.parse((await runCli('info', '--json', vector)).stdout).capture.sections.length,
    );
    expect(findings).toEqual([]);
  });

  it('changes nothing where the bitmaps are those it has', async () => {
    await runCli('convert', vector, '-O', 'capture', '--into', vector, '-o', at('out.bin'));
    expect(readFileSync(at('out.bin'))).toEqual(readFileSync(vector));
  });

  it('takes the capture as its own output', async () => {
    writeFileSync(at('c.bin'), readFileSync(vector));
    await good('two.json', 'capture', 'c.bin', '--into', at('c.bin'), '--force');
    expect(JSON.parse((await runCli('info', '--json', at('c.bin'))).stdout).bitmaps).toHaveLength(4);
  });

  const refused: readonly (readonly [string, number, readonly string[]])[] = [
    ['a disk of another size', 1, ['capture', 'out', '--into', vector]],
    ['another kind of output', 2, ['set', 'out', '--into', vector]],
    ['a machine', 2, ['capture', 'out', '--into', vector, '--machine', 'none']],
    ['a pipe', 2, ['capture', 'out', '--into', '-']],
    ['a capture that is cut', 1, ['capture', 'out', '--into', join(VECTORS, 'captures/cut-in-bits.bin')]],
    ['what is no capture', 1, ['capture', 'out', '--into', join(VECTORS, 'manifest.json')]],
    ['what is not there', 3, ['capture', 'out', '--into', '/nope']],
  ];
  for (const [what, code, [kind = '', output = '', ...options]] of refused) {
    it(`refuses ${what}, and leaves nothing`, async () => {
      const before = readdirSync(folder);
      expect(await convert('one.json', kind, output, ...options)).toMatchObject({ code, stdout: '' });
      expect(readdirSync(folder)).toEqual(before);
    });
  }
});

describe('writeFile', () => {
  it('shows the file only when it is complete', async () => {
    const seen: string[][] = [];
    const pieces = function* (): Generator<Uint8Array> {
      for (let piece = 0; piece < 3; piece++) {
        seen.push(readdirSync(folder));
        yield new Uint8Array(300_000).fill(piece);
      }
    };
    expect(await writeFile(at('out'), pieces())).toBe(900_000);
    expect(seen.flat().filter((name) => name === 'out')).toEqual([]);
    expect(seen.at(-1)?.filter((name) => name.startsWith('.out.'))).toHaveLength(1);
    expect(readFileSync(at('out'))[600_000]).toBe(2);
    expect(readdirSync(folder)).not.toContainEqual(expect.stringContaining('.tmp'));
  });

  it('leaves nothing when the pieces fail', async () => {
    const before = readdirSync(folder);
    const pieces = function* (): Generator<Uint8Array> {
      yield new Uint8Array(300_000);
      throw new Error('no more');
    };
    await expect(writeFile(at('out'), pieces())).rejects.toThrow('no more');
    expect(readdirSync(folder)).toEqual(before);
  });

  it('does not overwrite a file that comes while it writes', async () => {
    const pieces = function* (): Generator<Uint8Array> {
      writeFileSync(at('out'), 'precious');
      yield new Uint8Array(1);
    };
    await expect(writeFile(at('out'), pieces())).rejects.toMatchObject({ code: 'output-exists' });
    expect(readFileSync(at('out'), 'utf8')).toBe('precious');
    expect(readdirSync(folder).sort()).toEqual(['one.json', 'out', 'two.json']);
  });

  it.skipIf(!existsSync('/dev/full'))('says that there is no space', async () => {
    const result = await runCli('convert', at('one.json'), '-O', 'capture', '-o', '/dev/full');
    expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining('no space left on the device') });
  });

  it('leaves nothing when a signal ends it', async () => {
    const code = `
      import { writeFile } from ${JSON.stringify(new URL('../../src/io/write-file.ts', import.meta.url).href)};
      const pieces = async function* () { yield new Uint8Array(400000); console.log('begun'); await new Promise((done) => setTimeout(done, 60000)); };
      await writeFile(${JSON.stringify(at('out'))}, pieces(), { onSignals: true });`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', code];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    expect(readdirSync(folder)).toContainEqual(expect.stringMatching(/^\.out\..*\.tmp$/));
    child.kill('SIGTERM');
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGTERM');
    expect(readdirSync(folder).sort()).toEqual(['one.json', 'two.json']);
  });
});

describeWithQemu('convert and a real QEMU', () => {
  for (const profile of ['qemu', 'compact']) {
    it(`${profile}: from a set into a qcow2 and out of it again`, { timeout: 120_000 }, async () => {
      const image = at('disk.qcow2');
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1G']);
      await good('one.json', 'capture', 'out.bin', '--machine', 'none', '--profile', profile);

      const qemu = await loadStream(folder, at('out.bin'), [{ node: 'disk0', image }]);
      const shown = await bitmapsOf(qemu).finally(() => qemu.quit());
      expect(await qemu.quit()).toMatchObject({ exit: 0, stderr: '' });
      expect(shown).toMatchObject([{ node: 'disk0', name: 'b0', persistent: true, recording: true, busy: false }]);

      const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', image], { encoding: 'utf8' }));
      expect(info['format-specific'].data.bitmaps).toEqual([{ name: 'b0', granularity: 65_536, flags: ['auto'] }]);

      await good('one.json', 'nbdinfo', 'map.json');
      const map = await mapByNbdinfo(folder, image, 'b0');
      expect(map).toEqual(JSON.parse(readFileSync(at('map.json'), 'utf8')));

      // And what nbdinfo says of the image is the set again.
      writeFileSync(at('nbdinfo.json'), JSON.stringify(map));
      await good('nbdinfo.json', 'set', 'back.json', '--node', 'disk0/b0');
      expect(contents(at('back.json'))).toEqual([['disk0', [['b0', 65_536, true, false, DIRTY]]]]);
    });
  }
});
