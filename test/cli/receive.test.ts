import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/io/address.js';
import { connectTo } from '../../src/io/connect.js';
import { bitmapsOf, Qemu } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { command, join as joined } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';
import { whenThere } from '../support/wire.js';
import { describeWithQemu } from '../support/with-qemu.js';

let folder: string;
let address: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-receive-'));
  address = `unix:${join(folder, 'in.sock')}`;
  out = join(folder, 'out.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

const nodeOf = (filename: string): string =>
  JSON.stringify({ driver: 'qcow2', 'node-name': 'disk0', file: { driver: 'file', filename } });

/** Begins to receive, and goes on when it listens, or has refused to. */
async function start(...args: string[]): Promise<{ readonly result: Promise<CliResult> }> {
  const result = runCli('receive', '--listen', address, ...args);
  await whenThere(join(folder, 'in.sock'), result);
  return { result };
}

describe('receive', () => {
  it('writes nothing of a source that is cut, and keeps what came beside the target', async () => {
    const { result } = await start('-o', out, '--once');
    const socket = await connectTo(parseAddress(address), { allowHalfOpen: true });
    socket.end(readStream(vectorOf('captures/small-qcow2-persistent.bin')).subarray(0, 700));
    const { code, stderr, stdout } = await result;
    expect(code).toBe(1);
    expect(stderr).toContain(`what came is kept in ${out}.partial`);
    expect(stdout).toContain('error stream-cut at 700');
    expect(existsSync(out)).toBe(false);
    expect(existsSync(join(folder, 'in.sock'))).toBe(false);
    const partial = JSON.parse(readFileSync(`${out}.partial`, 'utf8'));
    expect(partial.nodes[0].bitmaps[0]).toMatchObject({ name: 'b0', granularity: 65_536 });
    expect((await runCli('info', `${out}.partial`)).code).toBe(0);
  });

  it('refuses before it listens what could not be written', async () => {
    writeFileSync(out, 'precious');
    const there = await runCli('receive', '--listen', address, '-o', out);
    expect([there.code, there.stderr]).toEqual([2, expect.stringContaining('output-exists')]);
    const image = await runCli('receive', '--listen', address, '--into', `qcow2:${out}`);
    expect([image.code, image.stderr]).toEqual([1, expect.stringContaining('qcow2-magic')]);
    const loops = await runCli('receive', '--listen', address, '--json');
    expect([loops.code, loops.stderr]).toEqual([2, expect.stringContaining('give --once too')]);
    expect(readFileSync(out, 'utf8')).toBe('precious');
  });

  it('refuses an image that is given twice, or that somebody has open', async () => {
    const image = join(folder, 'a.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '64M']);
    symlinkSync(image, join(folder, 'b.qcow2'));
    const into = ['--into', `disk0=qcow2:${image}`, '--into', `disk1=qcow2:${join(folder, 'b.qcow2')}`];
    const twice = await runCli('receive', '--listen', address, ...into);
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('one image was given twice')]);
    const holder = await Qemu.start('qemu-system-x86_64', ['-machine', 'none', '-blockdev', nodeOf(image)], folder);
    const locked = await runCli('receive', '--listen', address, '--into', `qcow2:${image}`);
    expect([locked.code, locked.stderr]).toEqual([3, expect.stringContaining('image-locked')]);
    await holder.quit();
  });

  it('writes nothing beside the set to standard output with -o -', async () => {
    const { result } = await start('-o', '-', '--once');
    const socket = await connectTo(parseAddress(address));
    socket.end(readStream(vectorOf('captures/small-qcow2-persistent.bin'))).resume();
    const { code, stdout } = await result;
    expect([code, JSON.parse(stdout).nodes.length]).toEqual([0, 1]);
  });

  it('never takes the place of what came before of another migration', async () => {
    writeFileSync(`${out}.partial`, 'precious');
    const { result } = await start('-o', out, '--once');
    const socket = await connectTo(parseAddress(address));
    socket.end(readStream(vectorOf('captures/small-qcow2-persistent.bin')).subarray(0, 700)).resume();
    const { code, stderr } = await result;
    expect([code, stderr]).toEqual([1, expect.stringContaining(`kept in ${out}.partial.2`)]);
    expect(stderr).toContain('the source does not store its persistent bitmaps any more');
    expect(readFileSync(`${out}.partial`, 'utf8')).toBe('precious');
  });

  it('with --json tells in one document what could not be written, and what was', async () => {
    const image = join(folder, 'a.qcow2');
    // A disk of another size.
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '32M']);
    const { result } = await start('--into', `qcow2:${image}`, '--once', '--json');
    const socket = await connectTo(parseAddress(address));
    socket.end(readStream(vectorOf('captures/small-qcow2-persistent.bin'))).resume();
    const { code, stdout } = await result;
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      bitmaps: [{ name: 'b0', count: 3_342_336 }],
      written: [],
      partial: `${image}.partial`,
      error: { code: 'size-differs' },
    });
  });

  it('does not say that all is well when it is ended before a migration came', async () => {
    const { result } = await start('-o', out, '--once', '--json');
    process.emit('SIGINT', 'SIGINT');
    const { code, stdout } = await result;
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { error: { code: 'peer-closed' } }]);
  });

  it('ends without --once when what it wrote is in the way of the next', async () => {
    const { result } = await start('-o', out);
    for (const bytes of [700, Number.POSITIVE_INFINITY]) {
      const socket = await connectTo(parseAddress(address));
      const stream = readStream(vectorOf('captures/small-qcow2-persistent.bin'));
      await new Promise((resolve) => socket.once('close', resolve).resume().end(stream.subarray(0, bytes)));
    }
    const { code, stderr } = await result;
    // That of the worst migration.
    expect([code, stderr]).toEqual([1, expect.stringContaining('is in the way of the next migration')]);
    expect(existsSync(out)).toBe(true);
  });

  it.each([
    [['-O', 'capture'], '-O is about what -o writes'],
    [['--machine', 'pc'], '--machine is about'],
    [['--rest', 'clean'], '--rest is about images'],
    [['--into', 'x.qcow2'], 'expected qcow2:IMAGE or NODE=qcow2:IMAGE'],
    [['--listen', 'nonsense'], 'expected unix:PATH or tcp:HOST:PORT'],
    [['--timeout', '-1'], 'expected 0 to 86400 seconds'],
  ])('says what is wrong with %j', async (args, message) => {
    const { code, stderr } = await runCli('receive', '--listen', address, ...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it('refuses a second connection while one is open, with a word', async () => {
    const { result } = await start('--once');
    const first = await connectTo(parseAddress(address), { allowHalfOpen: true });
    const second = await connectTo(parseAddress(address));
    await new Promise((resolve) => second.once('close', resolve).resume());
    first.end(readStream(vectorOf('captures/small-qcow2-persistent.bin')));
    const { code, stderr } = await result;
    expect([code, stderr]).toEqual([0, expect.stringContaining('a second connection (a local process) was refused')]);
  });

  it('says that the other side hangs', async () => {
    const { result } = await start('--once', '--timeout', '0.05');
    const socket = await connectTo(parseAddress(address));
    const { code, stderr } = await result;
    expect([code, stderr]).toEqual([3, expect.stringContaining('peer-stalled')]);
    socket.destroy();
  });

  it('waits for the next migration without --once, and ends with a signal', { timeout: 60_000 }, async () => {
    const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
    const args = ['--import', 'tsx', main, 'receive', '--listen', address, '-o', out, '--force'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.stdout.resume();
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    const said = async (text: string): Promise<void> => {
      while (!stderr.includes(text) && child.exitCode === null) await sleep(10);
    };
    await said('waits at');
    const stream = readStream(vectorOf('captures/small-qcow2-persistent.bin'));
    for (let at = 0; at < 2; at++) {
      const socket = await connectTo(parseAddress(address));
      await new Promise((resolve) => socket.once('close', resolve).resume().end(stream));
    }
    const third = await connectTo(parseAddress(address));
    third.on('error', () => {}).write(stream.subarray(0, 700));
    while (stderr.split('switchover: ').length < 4 && child.exitCode === null) await sleep(10);
    child.kill('SIGTERM');
    expect(await ended).toBe(3);
    expect(stderr).toContain('the migration was ended here in the middle: SIGTERM came');
    expect(stderr).toContain(`what came is kept in ${out}.partial`);
    expect(existsSync(join(folder, 'in.sock'))).toBe(false);
    expect(JSON.parse(readFileSync(out, 'utf8')).nodes).toHaveLength(1);
  });

  /** `receive` in a process of its own, whose standard output takes nothing: of a full disk, or that nobody reads. */
  async function deaf(
    kind: 'full' | 'gone',
    ...args: string[]
  ): Promise<{ said: () => string; ended: Promise<unknown> }> {
    const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
    const full = openSync('/dev/full', 'w');
    const words = ['--import', 'tsx', main, 'receive', '--listen', address, ...args];
    const child = spawn(process.execPath, words, { stdio: ['ignore', kind === 'full' ? full : 'pipe', 'pipe'] });
    closeSync(full);
    child.stdout?.destroy();
    let stderr = '';
    child.stderr?.on('data', (text) => {
      stderr += text;
    });
    const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
    await whenThere(join(folder, 'in.sock'), ended);
    return { said: () => stderr, ended };
  }

  it('ends in order where its output cannot be written, after what is under way', { timeout: 60_000 }, async () => {
    const { said, ended } = await deaf('full', '-o', out);
    const socket = await connectTo(parseAddress(address));
    socket.on('error', () => {}).end(readStream(vectorOf('captures/small-qcow2-persistent.bin')));
    expect(await ended).toBe(3);
    expect(said().match(/the output cannot be written: ENOSPC/g)).toHaveLength(1);
    expect(existsSync(join(folder, 'in.sock'))).toBe(false);
    expect(JSON.parse(readFileSync(out, 'utf8')).nodes).toHaveLength(1);
  });

  it.each([
    ['full', 'ENOSPC'],
    ['gone', 'EPIPE'],
  ] as const)(
    'tells the source that it failed where the bitmaps go to an output that is %s',
    {
      timeout: 60_000,
    },
    async (kind, code) => {
      const { said, ended } = await deaf(kind, '-o', '-', '--once');
      const socket = await connectTo(parseAddress(address));
      const small = readStream(vectorOf('captures/small-qcow2-persistent.bin'));
      socket.on('error', () => {});
      const answer = once(socket, 'data');
      socket.write(joined(small.subarray(0, 17), command(1), small.subarray(17)));
      expect((await answer)[0].toString('hex')).toBe('0001000400000001');
      expect(await ended).toBe(3);
      expect(said()).toMatch(new RegExp(`standard output cannot be written: .*${code}`));
    },
  );
});

describeWithQemu('receive, with a real source', () => {
  let qemu: Qemu;
  afterEach(async () => {
    await qemu.quit();
  });

  /** A QEMU with two disks: b0 on disk0, b1 (disabled) and b2 on disk1. */
  async function source(...machine: string[]): Promise<void> {
    const disks = ['disk0', 'disk1'].map((name) => ({ driver: 'null-co', 'node-name': name, size: 2 ** 30 }));
    const args = [...machine, ...disks.flatMap((disk) => ['-blockdev', JSON.stringify(disk)])];
    qemu = await Qemu.start('qemu-system-x86_64', args, folder);
    await qemu.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    await qemu.execute('block-dirty-bitmap-add', { node: 'disk1', name: 'b2', granularity: 4096 });
    for (const [disk, where] of [
      ['disk0', '1M 1M'],
      ['disk1', '3M 4k'],
    ]) {
      await qemu.execute('human-monitor-command', { 'command-line': `qemu-io ${disk} "write ${where}"` });
    }
    await qemu.execute('block-dirty-bitmap-add', { node: 'disk1', name: 'b1', disabled: true });
  }

  async function capabilities(...names: string[]): Promise<void> {
    const on = names.map((capability) => ({ capability, state: true }));
    await qemu.execute('migrate-set-capabilities', { capabilities: on });
  }

  /** Waits for the end of the migration as the source sees it. */
  async function ended(): Promise<string> {
    for (;;) {
      const { status = 'none' } = await qemu.execute<{ readonly status?: string }>('query-migrate');
      if (['completed', 'failed', 'cancelled'].includes(status)) return status;
      await sleep(10);
    }
  }

  type Shown = { node: string; name: string; count: number; sha256: string; recording: boolean };
  const told = (stdout: string): Shown[] =>
    (JSON.parse(stdout).bitmaps as Shown[])
      .map(({ node, name, count, recording, sha256 }) => ({ node, name, count, recording, sha256 }))
      .sort((a, b) => (`${a.node}/${a.name}` < `${b.node}/${b.name}` ? -1 : 1));
  const real = async (): Promise<Shown[]> =>
    (await bitmapsOf(qemu)).map(({ node, name, count, recording, sha256 }) => ({
      ...{ node, name, count, recording, sha256 },
    }));

  it.each([
    ['precopy', ['-machine', 'none'], ['dirty-bitmaps'], false],
    ['precopy with a return path', ['-machine', 'none'], ['dirty-bitmaps', 'return-path'], false],
    ['precopy of a PC', ['-machine', 'pc', '-m', '32'], ['dirty-bitmaps', 'return-path'], false],
    ['postcopy', ['-machine', 'pc', '-m', '32'], ['dirty-bitmaps'], true],
    ['postcopy with a return path', ['-machine', 'pc', '-m', '32'], ['dirty-bitmaps', 'return-path'], true],
    ['postcopy of RAM too', ['-machine', 'pc', '-m', '32'], ['dirty-bitmaps', 'postcopy-ram'], true],
  ])('%s: has the bitmaps that the source has, which goes on afterwards', async (_what, machine, names, postcopy) => {
    await source(...machine);
    await capabilities(...names);
    // As slow as that, a postcopy has something to do.
    if (postcopy) await qemu.execute('migrate-set-parameters', { 'max-bandwidth': 400_000, 'downtime-limit': 1 });
    const { result } = await start('-o', out, '--once', '--json');
    await qemu.execute('migrate', { uri: address });
    if (postcopy) await qemu.execute('migrate-start-postcopy');
    const { code, stdout, stderr } = await result;
    expect(code, stderr).toBe(0);
    expect(await ended()).toBe('completed');
    expect(JSON.parse(stdout).capture).toMatchObject({ complete: true, postcopy });
    expect(told(stdout)).toEqual(await real());
    expect(stderr.includes('postcopy-ram is on')).toBe(names.includes('postcopy-ram'));
    const compared = await runCli('info', '--json', out);
    expect(told(compared.stdout)).toEqual(told(stdout));
    await qemu.execute('cont');
    expect(await qemu.execute('query-status')).toMatchObject({ running: true });
  });

  it('puts them into images, each node its own, which QEMU opens', async () => {
    await source('-machine', 'none');
    await capabilities('dirty-bitmaps', 'return-path');
    const images = ['disk0', 'disk1'].map((node) => join(folder, `${node}.qcow2`));
    for (const image of images) execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1G']);
    const into = images.flatMap((image, at) => ['--into', `disk${at}=qcow2:${image}`]);
    const { result } = await start(...into, '--once');
    await qemu.execute('migrate', { uri: address });
    const { code, stdout, stderr } = await result;
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`${images[0]}: bitmap "b0" added: 1 MiB (1048576) dirty, records writes`);
    const info = JSON.parse(
      execFileSync('qemu-img', ['info', '--output=json', images[1] ?? ''], { encoding: 'utf8' }),
    ) as { 'format-specific': { data: { bitmaps: { name: string; flags: string[] }[] } } };
    const { bitmaps } = info['format-specific'].data;
    expect(Object.fromEntries(bitmaps.map(({ name, flags }) => [name, flags]))).toEqual({ b1: [], b2: ['auto'] });
  });

  it('tells the source where they cannot be kept, and it goes on as if nothing had been', async () => {
    await source('-machine', 'none');
    await capabilities('dirty-bitmaps', 'return-path');
    const { result } = await start('-o', out, '-O', 'nbdinfo', '--once');
    await qemu.execute('migrate', { uri: address });
    const { code, stderr } = await result;
    expect([code, stderr]).toEqual([2, expect.stringContaining('a map of nbdinfo is of one bitmap, found 3')]);
    expect(stderr).toContain(`kept in ${out}.partial`);
    expect(await ended()).toBe('failed');
  });

  it('of a migration that is cancelled in the middle has what came, and no more', async () => {
    await source('-machine', 'pc', '-m', '64');
    await capabilities('dirty-bitmaps');
    await qemu.execute('migrate-set-parameters', { 'max-bandwidth': 100_000 });
    const { result } = await start('-o', out, '--once');
    await qemu.execute('migrate', { uri: address });
    await sleep(200);
    await qemu.execute('migrate_cancel');
    const { code, stderr, stdout } = await result;
    expect([code, stdout]).toEqual([1, expect.stringContaining('cut short')]);
    expect(stderr).toContain(`what came is kept in ${out}.partial`);
    expect(existsSync(out)).toBe(false);
    expect(await ended()).toBe('cancelled');
  });

  it('of one whose QEMU is killed in the middle too', async () => {
    await source('-machine', 'pc', '-m', '64');
    await capabilities('dirty-bitmaps');
    await qemu.execute('migrate-set-parameters', { 'max-bandwidth': 100_000 });
    const { result } = await start('--once');
    await qemu.execute('migrate', { uri: address });
    await sleep(200);
    qemu.kill();
    const { code, stdout } = await result;
    expect([code, stdout]).toEqual([1, expect.stringContaining('cut short')]);
  });
});
