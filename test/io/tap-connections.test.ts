import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Address } from '../../src/io/address.js';
import { connectTo } from '../../src/io/connect.js';
import { Listener } from '../../src/io/listen.js';
import { tapConnections } from '../../src/io/tap-connections.js';
import type { TapNotice, TapOptions, TappedMigration } from '../../src/io/tap-options.js';
import { hex } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';

const MAIN = readStream(vectorOf('captures-10.0/multifd-unix.bin'));
const BESIDE = readStream(vectorOf('captures-10.0/multifd-unix.channel0.bin'));

let folder: string;
let tapAt: Address;
let destinationAt: Address;
let listener: Listener;
let destination: Listener;
let notices: TapNotice[];
const opened: Socket[] = [];
beforeEach(async () => {
  folder = mkdtempSync(joinPath(tmpdir(), 'dirtybitmap-taps-'));
  tapAt = { kind: 'unix', path: joinPath(folder, 'tap.sock') };
  destinationAt = { kind: 'unix', path: joinPath(folder, 'to.sock') };
  listener = await Listener.open(tapAt, { most: 8 });
  destination = await Listener.open(destinationAt, { most: 8 });
  notices = [];
});
afterEach(async () => {
  await Promise.all([listener.close(), destination.close()]);
  for (const socket of opened.splice(0)) socket.destroy();
  rmSync(folder, { recursive: true });
});

function tap(options: TapOptions = {}): Promise<TappedMigration> {
  const connect = (signal: AbortSignal): Promise<Socket> => connectTo(destinationAt, { signal, allowHalfOpen: true });
  return tapConnections(listener, connect, { ...options, onNotice: (notice) => void notices.push(notice) });
}

async function come(): Promise<Socket> {
  const socket = await connectTo(tapAt, { allowHalfOpen: true });
  opened.push(socket.on('error', () => {}));
  return socket;
}

/** What a connection at the destination gets, until it ends; then it ends, too. */
async function got(): Promise<string> {
  const socket = await destination.accept();
  opened.push(socket);
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece)).resume();
  await once(socket, 'end');
  socket.end();
  return Buffer.concat(pieces).toString('latin1');
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

describe('tapConnections', () => {
  it('passes further channels on in the order in which they come, and looks at the main one', async () => {
    const tapping = tap();
    const main = await come();
    const beside = await come();
    const silent = await come();
    // A side channel may speak before the main one.
    beside.end(BESIDE);
    silent.end();
    main.resume().write(MAIN.subarray(0, 3));
    main.end(MAIN.subarray(3));
    const first = await got();
    expect(first === text(MAIN)).toBe(true);
    expect((await got()) === text(BESIDE)).toBe(true);
    expect(await got()).toBe('');
    const result = await tapping;
    expect(result).toMatchObject({ channel: 'migration', complete: true, otherChannels: 2, error: undefined });
    expect(result.reader.bitmaps.length).toBeGreaterThan(0);
    expect(notices.map(({ kind }) => kind)).toEqual(['channel', 'channel']);
    expect(notices[0]?.message).toMatch(/^multifd is on/);
  });

  it('does not disturb the destination for one who only looks whether somebody listens', async () => {
    const tapping = tap();
    (await come()).destroy();
    const main = await come();
    main.resume().end(MAIN);
    expect((await got()) === text(MAIN)).toBe(true);
    expect((await tapping).otherChannels).toBe(0);
  });

  it('looks at no channel that is encrypted', async () => {
    const tapping = tap();
    (await come()).resume().end(hex('16 03 01 00'));
    expect(await got()).toBe('\x16\x03\x01\x00');
    expect(notices.map(({ kind }) => kind)).toEqual(['blind']);
    expect(await tapping).toMatchObject({ channel: 'tls', complete: false, otherChannels: 0 });
  });

  it('fails where the destination is not there', async () => {
    await destination.close();
    const tapping = tap();
    tapping.catch(() => {});
    const main = await come();
    const closed = new Promise((resolve) =>
      main
        .resume()
        .once('close', resolve)
        .once('end', () => main.end()),
    );
    main.write(MAIN);
    await expect(tapping).rejects.toMatchObject({ code: 'file-access' });
    await closed;
  });

  it('ends with its signal before anything came, and removes its socket', async () => {
    const stop = new AbortController();
    const tapping = tap({ signal: stop.signal });
    await setImmediate();
    stop.abort(new Error('enough'));
    await expect(tapping).rejects.toThrow('enough');
    await listener.close();
    expect(existsSync(joinPath(folder, 'tap.sock'))).toBe(false);
  });

  it('ends with its signal where a source has come and says nothing, and in the middle', async () => {
    for (const bytes of [MAIN.subarray(0, 0), MAIN.subarray(0, 100)]) {
      const stop = new AbortController();
      const tapping = tap({ signal: stop.signal });
      const main = await come();
      const ended = once(main.resume(), 'end');
      main.write(bytes);
      const there = bytes.length > 0 ? got() : undefined;
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      stop.abort(new Error('enough'));
      if (there === undefined) await expect(tapping).rejects.toThrow('enough');
      else expect(await tapping).toMatchObject({ error: { message: 'enough' }, complete: false });
      await ended;
      await there;
    }
  });
});
