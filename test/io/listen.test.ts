import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DirtyBitmapError } from '../../src/errors.js';
import { formatAddress, parseAddress } from '../../src/io/address.js';
import { connectTo } from '../../src/io/connect.js';
import { Listener } from '../../src/io/listen.js';

vi.mock('../../src/io/connect.js', async (original) => {
  const actual = await original<{ connectTo: typeof connectTo }>();
  return { ...actual, connectTo: vi.fn(actual.connectTo) };
});

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-listen-'));
  path = join(folder, 'a.sock');
});
afterEach(() => rmSync(folder, { recursive: true }));

const unix = () => parseAddress(`unix:${path}`);

/** Makes a socket as a process leaves it that was killed. */
function leaveSocket(): void {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
  expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
  expect(existsSync(path)).toBe(true);
}

describe('Listener', () => {
  it('makes a unix socket that only its owner may use, and removes it', async () => {
    const before = process.umask();
    const listener = await Listener.open(unix());
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(process.umask()).toBe(before);
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it('refuses a path on which somebody listens, and leaves it alone', async () => {
    const other = createServer().listen(path);
    await once(other, 'listening');
    await expect(Listener.open(unix())).rejects.toMatchObject({
      code: 'address-in-use',
      message: expect.stringContaining('somebody listens there'),
    });
    expect(existsSync(path)).toBe(true);
    other.close();
  });

  it('does not ask a socket that somebody listens on: a QEMU with -incoming takes one connection, and dies of it', async () => {
    const other = createServer(() => {
      throw new Error('somebody connected');
    }).listen(path);
    await once(other, 'listening');
    await expect(Listener.open(unix())).rejects.toMatchObject({ code: 'address-in-use' });
    const link = parseAddress(`unix:${join(folder, 'other-name')}`);
    symlinkSync(path, join(folder, 'other-name'));
    await expect(Listener.open(link)).rejects.toMatchObject({ code: 'address-in-use' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(await new Promise((resolve) => other.getConnections((_error, count) => resolve(count)))).toBe(0);
    other.close();
  });

  it('refuses a path that is no socket, and leaves it alone', async () => {
    writeFileSync(path, 'precious');
    await expect(Listener.open(unix())).rejects.toMatchObject({ code: 'address-in-use' });
    expect(statSync(path).size).toBe(8);
  });

  it('takes the place of a socket whose process is gone', async () => {
    leaveSocket();
    const listener = await Listener.open(unix());
    const client = await connectTo(unix());
    (await listener.accept()).destroy();
    client.destroy();
    await listener.close();
  });

  it('leaves a socket alone that does not answer in time', async () => {
    leaveSocket();
    vi.mocked(connectTo).mockRejectedValueOnce(new DirtyBitmapError('peer-stalled', 'late'));
    await expect(Listener.open(unix())).rejects.toMatchObject({
      code: 'address-in-use',
      message: expect.stringContaining('cannot be told'),
    });
    expect(existsSync(path)).toBe(true);
  });

  it('says so where the socket is taken away before it is its own', async () => {
    const opening = Listener.open(unix());
    // It is there before the event that says so.
    for (let turn = 0; turn < 100 && !existsSync(path); turn++) await undefined;
    rmSync(path);
    await expect(opening).rejects.toMatchObject({
      code: 'file-access',
      message: expect.stringContaining('no such file'),
    });
  });

  it('tells the port that it was given, and refuses one that is taken', async () => {
    const listener = await Listener.open(parseAddress('tcp::0'));
    expect(formatAddress(listener.address)).toMatch(/^tcp:127\.0\.0\.1:[1-9]\d+$/);
    await expect(Listener.open(listener.address)).rejects.toMatchObject({ code: 'address-in-use' });
    await listener.close();
  });

  it('says why it cannot listen', async () => {
    await expect(Listener.open(parseAddress(`unix:${folder}/none/a.sock`))).rejects.toMatchObject({
      code: 'file-access',
      message: expect.stringContaining('no such folder'),
    });
  });

  it('refuses a second connection while one is open, and takes the next when that is over', async () => {
    const refused: string[] = [];
    const listener = await Listener.open(unix(), { onRefused: (from) => refused.push(from) });
    const first = await connectTo(unix());
    const taken = await listener.accept();
    const second = connect(path);
    await once(second, 'close');
    expect(refused).toEqual(['a local process']);
    expect(taken.destroyed).toBe(false);
    first.destroy();
    taken.destroy();
    await once(taken, 'close');
    const third = await connectTo(unix());
    (await listener.accept()).destroy();
    third.destroy();
    await listener.close();
  });

  it('waits no longer when its signal is aborted', async () => {
    const listener = await Listener.open(unix());
    const stop = new AbortController();
    const waiting = listener.accept(stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await listener.close();
  });
});

describe('connectTo', () => {
  it('says where nobody listens', async () => {
    await expect(connectTo(unix())).rejects.toMatchObject({
      code: 'file-access',
      message: expect.stringContaining('there is no such socket'),
    });
  });
});
