import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/io/address.js';
import { connectTo } from '../../src/io/connect.js';
import { Listener } from '../../src/io/listen.js';
import { MigrationPair, nullDisk } from '../support/migration-pair.js';
import { bitmapsOf } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { hex } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';
import { whenThere } from '../support/wire.js';
import { describeWithQemu } from '../support/with-qemu.js';

const SMALL = readStream(vectorOf('captures/small-qcow2-persistent.bin'));

let folder: string;
let listen: string;
let onward: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-tap-'));
  listen = `unix:${join(folder, 'tap.sock')}`;
  onward = `unix:${join(folder, 'to.sock')}`;
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = (name: string): string => join(folder, name);

/** Begins to tap, and goes on when it listens, or has refused to. */
async function start(...args: string[]): Promise<{ readonly result: Promise<CliResult> }> {
  const result = runCli('tap', '--listen', listen, '--connect', onward, ...args);
  await whenThere(file('tap.sock'), result);
  return { result };
}

/** A destination that takes everything and answers. */
async function destination(answer = hex('0001 0004 00000000')): Promise<{ bytes: () => Buffer; server: Server }> {
  const pieces: Buffer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (piece) => pieces.push(piece)).on('error', () => {});
    socket.on('end', () => socket.end(answer));
  }).listen(file('to.sock'));
  await once(server, 'listening');
  return { bytes: () => Buffer.concat(pieces), server };
}

/** Sends a stream as a source does. */
async function send(...pieces: Uint8Array[]): Promise<void> {
  const socket = await connectTo(parseAddress(listen), { allowHalfOpen: true });
  for (const piece of pieces) socket.write(piece);
  socket.end();
  await new Promise((resolve) =>
    socket
      .on('error', () => {})
      .resume()
      .once('close', resolve),
  );
}

describe('tap', () => {
  it('shows and records what passes', async () => {
    const { bytes, server } = await destination();
    const { result } = await start('--record', file('all.bin'), '--record-meta', file('meta.bin'), '--json');
    await send(SMALL);
    const { code, stdout, stderr } = await result;
    server.close();
    expect([code, Buffer.compare(bytes(), SMALL)], stderr).toEqual([0, 0]);
    expect(Buffer.compare(readFileSync(file('all.bin')), SMALL)).toBe(0);
    const document = JSON.parse(stdout);
    const info = async (name: string): Promise<object> =>
      JSON.parse((await runCli('info', '--json', file(name))).stdout);
    const { bitmaps, capture } = (await info('all.bin')) as { bitmaps: unknown; capture: object };
    expect(document).toMatchObject({ input: listen, bytes: SMALL.length, bitmaps, capture });
    expect(document.tap).toEqual({
      ...{ to: onward, channel: 'migration', backBytes: 8, otherChannels: 0, answer: 0, changes: [] },
      ...{ recorded: [file('all.bin'), file('meta.bin')], partial: [], notices: [] },
    });
    expect(await info('meta.bin')).toMatchObject({ bitmaps });
    expect(stderr.split('\n').slice(0, 2)).toEqual([
      `dirtybitmap: waits at ${listen}, and passes on to ${onward}`,
      'dirtybitmap: setup: the source begins',
    ]);
    expect([existsSync(file('tap.sock')), existsSync(file('all.bin.partial'))]).toEqual([false, false]);
  });

  it('keeps a recording of a stream that is cut beside its name', async () => {
    const { server } = await destination();
    const { result } = await start('--record', file('all.bin'), '--record-meta', file('meta.bin'));
    await send(SMALL.subarray(0, 700));
    const { code, stdout, stderr } = await result;
    server.close();
    expect(code).toBe(1);
    expect(stdout).toContain('error stream-cut at 700');
    expect(stderr).toContain(`what came is kept in ${file('all.bin.partial')}`);
    expect(readFileSync(file('all.bin.partial'))).toHaveLength(700);
    expect([existsSync(file('all.bin')), existsSync(file('meta.bin'))]).toEqual([false, false]);
    expect(existsSync(file('meta.bin.partial'))).toBe(true);
  });

  it('keeps what passed under its name where only the decoding failed', async () => {
    const { bytes, server } = await destination();
    const { result } = await start('--record', file('all.bin'));
    const garbage = Buffer.alloc(1000, 0x47);
    await send(garbage);
    const { code, stderr } = await result;
    server.close();
    expect([code, stderr]).toEqual([1, expect.stringContaining('magic-invalid')]);
    expect([bytes().length, readFileSync(file('all.bin')).length]).toEqual([1000, 1000]);
  });

  it('says that the destination could not load it', async () => {
    const { server } = await destination(hex('0001 0004 00000001'));
    const { result } = await start();
    await send(SMALL);
    const { code, stderr } = await result;
    server.close();
    expect([code, stderr]).toEqual([1, expect.stringContaining('the destination says that loading failed (1)')]);
  });

  it('says that TLS blinds it, and that nothing was recorded', async () => {
    const { bytes, server } = await destination();
    const { result } = await start('--record', file('all.bin'));
    await send(hex('16 03 01 00 05'), Buffer.alloc(100));
    const { code, stdout, stderr } = await result;
    server.close();
    expect([code, stderr]).toEqual([1, expect.stringContaining('the connection is encrypted (TLS)')]);
    expect(stdout).toBe(`passed: 105 B to ${onward}, 8 B back\n`);
    expect([bytes().length, existsSync(file('all.bin')), existsSync(file('all.bin.partial'))]).toEqual([
      105,
      false,
      false,
    ]);
  });

  it('passes on what the disk does not take', async () => {
    const { bytes, server } = await destination();
    const { result } = await start('--record', '/dev/full');
    await send(SMALL);
    const { code, stderr } = await result;
    server.close();
    expect([code, bytes().length]).toEqual([3, SMALL.length]);
    expect(stderr).toContain('recording of the stream has stopped, the bytes go on: ENOSPC');
  });

  it('refuses before it listens what could not be', async () => {
    writeFileSync(file('x'), 'precious');
    const refused = async (...args: string[]): Promise<unknown[]> => {
      const { code, stderr } = await runCli('tap', '--listen', listen, '--connect', onward, ...args);
      return [code, stderr];
    };
    expect(await refused('--record', file('x'))).toEqual([2, expect.stringContaining('output-exists')]);
    expect(await refused('--record-meta', file('no/x'))).toEqual([3, expect.stringContaining('file-access')]);
    expect(await refused('--connect', listen)).toEqual([2, expect.stringContaining('speak with itself')]);
    expect(await refused('--record', file('new'), '--record-meta', file('x'))).toEqual([2, expect.anything()]);
    expect([existsSync(file('new.partial')), readFileSync(file('x'), 'utf8')]).toEqual([false, 'precious']);
    const taken = await Listener.open(parseAddress(listen));
    expect(await refused('--record', file('new'))).toEqual([2, expect.stringContaining('address-in-use')]);
    await taken.close();
    expect(existsSync(file('new.partial'))).toBe(false);
  });

  it('refuses to record both in one file', async () => {
    const one = await runCli(
      ...['tap', '--listen', listen, '--connect', onward, '--force'],
      ...['--record', file('r'), '--record-meta', `${folder}/./r`],
    );
    expect([one.code, one.stderr]).toEqual([2, expect.stringContaining('--record and --record-meta are one file')]);
    expect(existsSync(file('r.partial'))).toBe(false);
  });

  it('goes on where nobody reads what it says', { timeout: 60_000 }, async () => {
    const { bytes, server } = await destination();
    const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
    const args = ['--import', 'tsx', main, 'tap', '--listen', listen, '--connect', onward, '--record', file('all.bin')];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'exit');
    child.stderr.once('data', () => {
      child.stderr.destroy();
      child.stdout.destroy();
    });
    await whenThere(file('tap.sock'), ended);
    await send(SMALL.subarray(0, 600), SMALL.subarray(600));
    expect(await ended).toEqual([0, null]);
    server.close();
    expect(Buffer.compare(bytes(), SMALL)).toBe(0);
    expect(Buffer.compare(readFileSync(file('all.bin')), SMALL)).toBe(0);
    expect(existsSync(file('tap.sock'))).toBe(false);
  });

  it('says that the destination is not there', async () => {
    const { result } = await start('--record', file('all.bin'));
    await send(SMALL);
    expect(await result).toMatchObject({ code: 3, stderr: expect.stringContaining('there is no such socket') });
    expect([existsSync(file('tap.sock')), existsSync(file('all.bin.partial'))]).toEqual([false, false]);
  });

  it('changes what it is told to, says so, and records what goes on', async () => {
    const stream = readStream(vectorOf('captures-10.0/small-qcow2-persistent.bin'));
    const { bytes, server } = await destination();
    const args = [
      '--rename',
      'disk0=disk1',
      '--rename',
      'x/y=x/z',
      '--drop-switchover-start',
      '--record',
      file('all.bin'),
    ];
    const { result } = await start(...args);
    await send(stream);
    const { code, stdout, stderr } = await result;
    server.close();
    // Nothing came for one of them.
    expect(code).toBe(1);
    expect(stderr).toContain('dirtybitmap: disk0/b0: renamed to disk1/b0\n');
    expect(stderr).toContain('dirtybitmap: SWITCHOVER_START: dropped\n');
    expect(stderr).toContain('dirtybitmap: nothing came for --rename x/y=x/z\n');
    expect(stdout).toContain('changed: disk0/b0: renamed to disk1/b0\nchanged: SWITCHOVER_START: dropped\n');
    expect(stdout).toContain('disk1  b0');
    expect(bytes()).toHaveLength(stream.length - 5);
    expect(Buffer.compare(readFileSync(file('all.bin')), bytes())).toBe(0);
  });

  it('refuses changes that make no sense, before it listens', async () => {
    for (const args of [
      ['--rename', 'disk0'],
      ['--drop', ''],
      ['--add', file('none.json')],
      ['--add', 'vectors/captures/small-qcow2-persistent.log'],
    ]) {
      const { code } = await runCli('tap', '--listen', listen, '--connect', onward, ...args);
      expect([args, code > 0]).toEqual([args, true]);
    }
    expect(existsSync(file('tap.sock'))).toBe(false);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends cleanly with %s', { timeout: 60_000 }, async (signal) => {
    const { server } = await destination();
    const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
    const args = ['tap', '--listen', listen, '--connect', onward, '--record', file('all.bin')];
    const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.stdout.resume();
    const ended = new Promise((resolve) => child.once('exit', (code, by) => resolve(code ?? by)));
    const said = async (text: string): Promise<void> => {
      while (!stderr.includes(text) && child.exitCode === null) await sleep(10);
    };
    await said('waits at');
    const socket = createConnection(file('tap.sock')).on('error', () => {});
    socket.write(SMALL.subarray(0, 700));
    await said('switchover: ');
    child.kill(signal);
    expect(await ended).toBe(1);
    server.close();
    expect(stderr).toContain(`the migration was ended here: ${signal} came`);
    expect(stderr).toContain(`what came is kept in ${file('all.bin.partial')}`);
    expect(readFileSync(file('all.bin.partial'))).toHaveLength(700);
    expect(existsSync(file('tap.sock'))).toBe(false);
  });
});

describeWithQemu('tap, between two QEMUs', () => {
  let pair: MigrationPair;
  afterEach(() => pair.quit());

  /** What passes behind the tap, seen without it. */
  async function witness(): Promise<{ bytes: () => Buffer; server: Server }> {
    const pieces: Buffer[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const next = createConnection({ path: join(pair.folder, 'migration.sock'), allowHalfOpen: true });
      socket.on('data', (piece) => pieces.push(piece));
      socket
        .on('error', () => {})
        .pipe(next)
        .on('error', () => {})
        .pipe(socket);
    }).listen(file('to.sock'));
    await once(server, 'listening');
    return { bytes: () => Buffer.concat(pieces), server };
  }

  /** Two bitmaps of a disk, b0 and b1. */
  async function startPair(...names: string[]): Promise<void> {
    pair = await MigrationPair.start({ source: [nullDisk('disk0', 2 ** 30)] });
    for (const [name, granularity] of [
      ['b0', 65_536],
      ['b1', 4096],
    ] as const) {
      await pair.source.execute('block-dirty-bitmap-add', { node: 'disk0', name, granularity });
      await pair.source.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 1M 1M"' });
    }
    for (const qemu of [pair.source, pair.destination]) {
      const capabilities = names.map((capability) => ({ capability, state: true }));
      await qemu.execute('migrate-set-capabilities', { capabilities });
    }
  }

  /** Migrates through the tap, in postcopy slowly so that it has something to do. */
  async function migrate(postcopy: boolean): Promise<void> {
    const limit = (bytes: number): Promise<unknown> =>
      pair.source.execute('migrate-set-parameters', { 'max-bandwidth': bytes, 'downtime-limit': postcopy ? 1 : 300 });
    if (postcopy) await limit(2_000_000);
    await pair.source.execute('migrate', { uri: listen });
    if (!postcopy) return;
    await pair.source.execute('migrate-start-postcopy');
    await limit(100_000_000);
  }

  const shown = async (qemu: MigrationPair['source']): Promise<object[]> =>
    (await bitmapsOf(qemu)).map(({ busy: _busy, ...rest }) => rest);

  it.each([
    ['precopy', [], false],
    ['precopy with a return path', ['return-path'], false],
    ['postcopy', [], true],
    ['postcopy with a return path', ['return-path'], true],
    ['postcopy of RAM too', ['postcopy-ram'], true],
  ])('%s: changes nothing, and records it all', async (_what, names, postcopy) => {
    await startPair(...names);
    const before = await shown(pair.source);
    const { bytes, server } = await witness();
    const { result } = await start('--record', file('all.bin'), '--record-meta', file('meta.bin'), '--json');
    await migrate(postcopy);
    const { code, stdout, stderr } = await result;
    expect(code, stderr).toBe(0);
    await pair.arrived();
    server.close();
    expect(await shown(pair.destination)).toEqual(before);
    expect(Buffer.compare(readFileSync(file('all.bin')), bytes())).toBe(0);
    const document = JSON.parse(stdout);
    expect(document.capture).toMatchObject({ complete: true, postcopy });
    expect(document.tap.answer).toBe(names.length > 0 ? 0 : null);
    const { bitmaps } = document;
    const hashes = (list: readonly object[]): string[] => list.map((one) => (one as { sha256: string }).sha256).sort();
    expect(hashes(bitmaps)).toEqual(hashes(before));
    for (const name of ['all.bin', 'meta.bin']) {
      const info = JSON.parse((await runCli('info', '--json', file(name))).stdout);
      expect(info).toMatchObject({ bitmaps, capture: { complete: true, postcopy } });
    }
  });

  it.each([
    ['precopy', false],
    ['postcopy', true],
  ])('%s: the destination has the bitmaps as they were changed', async (_what, postcopy) => {
    await startPair('return-path');
    const [b0, b1] = await shown(pair.source);
    await runCli('convert', 'vectors/captures/small-qcow2-persistent.bin', '-O', 'set', '-o', file('one.json'));
    const set = JSON.parse(readFileSync(file('one.json'), 'utf8'));
    const [node] = set.nodes;
    const [bitmap] = node.bitmaps;
    const added = { ...bitmap, name: 'mine', granularity: 65_536, persistent: false, dirty: [[0, 131_072]] };
    writeFileSync(
      file('add.json'),
      JSON.stringify({ ...set, nodes: [{ node: 'disk0', size: 2 ** 30, bitmaps: [added] }] }),
    );
    const { server } = await witness();
    const changes = ['--rename', 'disk0/b0=disk0/moved', '--drop', 'disk0/b1', '--add', file('add.json')];
    const { result } = await start(...changes, '--record', file('all.bin'), '--json');
    await migrate(postcopy);
    const { code, stdout, stderr } = await result;
    expect(code, stderr).toBe(0);
    await pair.arrived();
    server.close();
    const there = await shown(pair.destination);
    expect(there).toEqual([
      expect.objectContaining({ name: 'mine', granularity: 65_536, count: 131_072, recording: true }),
      { ...b0, name: 'moved' },
    ]);
    const { tap, capture } = JSON.parse(stdout);
    expect(capture).toMatchObject({ complete: true, postcopy });
    expect(tap.changes.map((change: { what: string }) => change.what).sort()).toEqual(['added', 'dropped', 'renamed']);
    expect(JSON.stringify(there)).not.toContain((b1 as { sha256: string }).sha256);
  });
});
