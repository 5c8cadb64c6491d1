import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { receiveMigration } from '../../src/io/receive-migration.js';
import { sendMigration } from '../../src/io/send-migration.js';
import { setOf } from '../support/sets.js';
import { hex } from '../support/stream-builder.js';
import { connected, webOf } from '../support/wire.js';

const SET = setOf({ dirty: [[65_536, 131_072]] });
/** 2 MiB of bits that cannot be left out. */
const LARGE = setOf({ granularity: 512, size: 2 ** 33, dirty: [[0, 2 ** 33]] });

let folder: string;
let server: Socket;
let client: Socket;
beforeEach(async () => {
  folder = mkdtempSync(joinPath(tmpdir(), 'dirtybitmap-send-'));
  [server, client] = await connected(folder);
});
afterEach(() => {
  server.destroy();
  client.destroy();
  rmSync(folder, { recursive: true });
});

describe('sendMigration', () => {
  it('sends what receiveMigration takes, and hears that it is loaded', async () => {
    const [sent, received] = await Promise.all([sendMigration(client, SET), receiveMigration(server)]);
    expect(sent).toEqual({ bytes: received.reader.bytes, loaded: true });
    expect(received.reader.bitmaps.map(({ bits }) => bits.count())).toEqual([131_072]);
  });

  it('over WHATWG streams, in the compact profile, for a machine', async () => {
    const options = { machine: 'pc-q35-7.2', profile: 'compact' } as const;
    const [sent, received] = await Promise.all([sendMigration(webOf(client), SET, options), receiveMigration(server)]);
    expect(sent.loaded).toBe(true);
    expect(received.reader.summary.machine).toBe('pc-q35-7.2');
  });

  it('does not ask where the other side cannot answer', async () => {
    const reader = new CaptureReader();
    server.on('data', (piece) => reader.push(piece)).on('end', () => server.end());
    server.resume();
    const sent = await sendMigration(client, SET, { returnPath: false });
    expect(sent.loaded).toBeUndefined();
    if (!server.readableEnded) await once(server, 'end');
    reader.finish();
    expect(reader.summary).toMatchObject({ complete: true, commands: ['POSTCOPY_ADVISE'] });
  });

  it('makes no more than a slow reader takes', async () => {
    let bytes = 0;
    const onProgress = (sent: number): void => {
      bytes = sent;
    };
    const sending = sendMigration(client, LARGE, { onProgress });
    sending.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    // What sockets hold, and one window.
    expect(bytes).toBeLessThan(1_500_000);
    const received = receiveMigration(server);
    await sending;
    expect((await received).reader.bitmaps[0]?.bits.count()).toBe(2 ** 33);
  });

  it('gives up on a reader that takes nothing', async () => {
    await expect(sendMigration(client, LARGE, { timeout: 30 })).rejects.toMatchObject({ code: 'peer-stalled' });
  });

  it('gives up on one that takes all and says nothing', async () => {
    server.resume();
    await expect(sendMigration(client, SET, { timeout: 30 })).rejects.toMatchObject({ code: 'peer-stalled' });
  });

  it('says that QEMU closed without a word, as it does when it refuses a stream', async () => {
    server.once('data', () => server.destroy()).resume();
    await expect(sendMigration(client, SET)).rejects.toMatchObject({ code: 'peer-closed' });
  });

  it('says that QEMU says that it failed', async () => {
    server.once('data', () => server.write(hex('0002 0004 00000001 0001 0004 00000001'))).resume();
    await expect(sendMigration(client, SET)).rejects.toMatchObject({
      code: 'peer-closed',
      message: expect.stringContaining('loading failed (1)'),
    });
  });

  it('ends when its signal is aborted, also while it waits for its rate', async () => {
    const stop = new AbortController();
    const options = { rate: 1, signal: stop.signal, onProgress: () => stop.abort(new Error('enough')) };
    await expect(sendMigration(client, SET, options)).rejects.toThrow('enough');
  });

  it('keeps to a rate', async () => {
    const parts: number[] = [];
    server.on('data', (piece) => parts.push(piece.length)).resume();
    const sending = sendMigration(client, LARGE, { rate: 20_000, returnPath: false, onProgress: () => {} });
    sending.catch(() => {});
    while (parts.length < 4) await once(server, 'data');
    // A step of a twentieth of a second each; two may come together.
    expect(Math.max(...parts)).toBeLessThanOrEqual(2 * 1000);
    client.destroy();
  });

  it('lets go of the connection where a rate is none', async () => {
    await expect(sendMigration(client, SET, { rate: 0 })).rejects.toMatchObject({ code: 'argument' });
    expect(client.destroyed).toBe(true);
  });

  it('sends nothing of a set that no stream holds', async () => {
    const set = setOf({ name: '' });
    let bytes = 0;
    server.on('data', (piece) => {
      bytes += piece.length;
    });
    server.resume();
    await expect(sendMigration(client, set)).rejects.toMatchObject({ code: 'name-empty' });
    expect(bytes).toBe(0);
  });
});
