import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QmpClient } from '../../src/io/qmp-client.js';
import type { QmpEvent } from '../../src/qmp/session.js';
import { Qemu } from '../support/qemu.js';
import { describeWithQemu } from '../support/with-qemu.js';

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}\n';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-qmp-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: { code?: string; name: string }) => error.code ?? error.name,
  );

describe('QmpClient and peers that are not nice', () => {
  let server: Server;
  const sockets: Socket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
  });

  /** A peer that greets, agrees, and then does what it likes with each line. */
  function peer(
    onLine: (line: { id: number; execute: string }, socket: Socket) => void,
    greeting = GREETING,
  ): Promise<string> {
    const path = join(folder, 'peer.sock');
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.write(greeting);
      socket.on('data', (data) => {
        for (const line of data.toString().trim().split('\n')) {
          const message = JSON.parse(line);
          if (message.execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${message.id}}\n`);
          else onLine(message, socket);
        }
      });
    });
    return new Promise((resolve) => server.listen(path, () => resolve(`unix:${path}`)));
  }

  it('a peer that does not greet: says that another client may hold the socket', async () => {
    const address = await peer(() => {}, '');
    await expect(QmpClient.connect(address, { timeout: 50 })).rejects.toMatchObject({
      code: 'qmp-timeout',
      message: expect.stringContaining('takes one client'),
    });
  });

  it.each([
    ['garbage', 'garbage\n', 'qmp-protocol'],
    ['an endless line', `{"x": "${'y'.repeat(5000)}`, 'limit'],
    ['a wrong id', '{"return": {}, "id": 77}\n', 'qmp-protocol'],
  ])('%s: the command fails, and the client is over', async (_, text, code) => {
    const address = await peer((__, socket) => void socket.write(text));
    const qmp = await QmpClient.connect(address, { limits: { maxQmpBytes: 1000 } });
    expect(await codeOf(qmp.execute('query-block'))).toBe(code);
    expect(await codeOf(qmp.execute('query-block'))).toBe(code);
    await qmp.close();
  });

  it('closes in the middle: the command is not sent again, and it is said that it may have been done', async () => {
    let got = 0;
    const address = await peer((_, socket) => {
      got++;
      socket.destroy();
    });
    const qmp = await QmpClient.connect(address);
    await expect(qmp.execute('transaction', { actions: [] })).rejects.toMatchObject({
      code: 'qmp-closed',
      message: expect.stringContaining('whether it was done is not known'),
    });
    expect(got).toBe(1);
  });

  it('does not answer: the time of the caller, and an AbortSignal', async () => {
    const address = await peer(() => {});
    const qmp = await QmpClient.connect(address);
    expect(await codeOf(qmp.execute('query-block', undefined, { timeout: 20 }))).toBe('qmp-timeout');
    expect(await codeOf(qmp.execute('query-block', undefined, { signal: AbortSignal.timeout(20) }))).not.toBe('done');
    await qmp.close();
  });

  it('a flood of events: all are told, the answer comes', async () => {
    const address = await peer(({ id }, socket) => {
      socket.write('{"event": "X", "data": {}}\n'.repeat(20_000));
      socket.write(`{"return": 5, "id": ${id}}\n`);
    });
    let events = 0;
    const qmp = await QmpClient.connect(address, { onEvent: () => events++ });
    expect(await qmp.execute('x')).toBe(5);
    expect(events).toBe(20_000);
    await qmp.close();
  });

  it('nobody listens', async () => {
    server = createServer();
    expect(await codeOf(QmpClient.connect(join(folder, 'nope')))).toBe('file-access');
    expect(await codeOf(QmpClient.connect('tcp:127.0.0.1:1'))).toBe('file-access');
  });
});

describeWithQemu('QmpClient and a real QEMU', () => {
  it('asks, is refused with reasons, hears events', async () => {
    execFileSync('qemu-img', ['create', '-f', 'qcow2', join(folder, 'a.qcow2'), '1M'], { stdio: 'ignore' });
    const more = join(folder, 'second.sock');
    const node = JSON.stringify({
      driver: 'qcow2',
      'node-name': 'n',
      file: { driver: 'file', filename: join(folder, 'a.qcow2') },
    });
    const qemu = await Qemu.start(
      'qemu-system-x86_64',
      ['-machine', 'none', '-blockdev', node, '-qmp', `unix:${more},server=on,wait=off`],
      folder,
    );
    const events: QmpEvent[] = [];
    const qmp = await QmpClient.connect(`unix:${more}`, { onEvent: (event) => events.push(event) });
    try {
      expect(qmp.version).toMatch(/^\d+\.\d+\.\d+$/);
      await qmp.execute('block-dirty-bitmap-add', { node: 'n', name: 'b' });
      await expect(qmp.execute('block-dirty-bitmap-add', { node: 'n', name: 'b' })).rejects.toMatchObject({
        code: 'qmp-refused',
        message: expect.stringContaining('already exists'),
      });
      // The socket takes one client.
      expect(await codeOf(QmpClient.connect(`unix:${more}`, { timeout: 200 }))).toBe('qmp-timeout');
      await qmp.execute('stop');
      await qmp.execute('cont');
      expect(events.map(({ name }) => name)).toEqual(['STOP', 'RESUME']);
    } finally {
      await qmp.close();
      await qemu.quit();
    }
  });
});
