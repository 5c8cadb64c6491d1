import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ReceiveOptions, receiveMigration } from '../../src/io/receive-migration.js';
import { command, configuration, join, qevm } from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';
import { connected, dribble, webOf } from '../support/wire.js';

const SMALL = readStream(vectorOf('captures/small-qcow2-persistent.bin'));
/** The same, of a source that waits for an answer. */
const ASKING = join(SMALL.subarray(0, 17), command(1), SMALL.subarray(17));
/** As far as the bitmaps and the devices go, without the mark of its end. */
const ENDLESS = ASKING.subarray(0, 863 + command(1).length);
/** A place inside the bits. */
const CUT = 600;
const SHUT_FAILED = '0001000400000001';
const SHUT = '0001000400000000';

let folder: string;
let server: Socket;
let client: Socket;
beforeEach(async () => {
  folder = mkdtempSync(joinPath(tmpdir(), 'dirtybitmap-receive-'));
  [server, client] = await connected(folder);
});
afterEach(() => {
  server.destroy();
  client.destroy();
  rmSync(folder, { recursive: true });
});

const dirty = ({ reader }: Awaited<ReturnType<typeof receiveMigration>>): number[] =>
  reader.bitmaps.map(({ bits }) => bits.count());

/** What the source hears, in hexadecimal, until the connection ends. */
async function heard(): Promise<string> {
  const pieces: Buffer[] = [];
  client.on('data', (piece) => pieces.push(piece));
  await once(client, 'end');
  client.end();
  return Buffer.concat(pieces).toString('hex');
}

describe('receiveMigration', () => {
  it('begins with a stream of machine none, as the tests below take apart', () => {
    expect(new Uint8Array(SMALL.subarray(0, 17))).toEqual(qevm(configuration()));
  });

  it('takes what comes byte by byte', async () => {
    const received = receiveMigration(server);
    await dribble(client, SMALL);
    client.end();
    const result = await received;
    expect(result).toMatchObject({ complete: true, kept: true, phase: 'complete', error: undefined });
    expect(dirty(result)).toEqual([3_342_336]);
    expect(result.reader.findings.list).toEqual([]);
  });

  it('takes WHATWG streams', async () => {
    const received = receiveMigration(webOf(server));
    client.end(SMALL);
    expect(dirty(await received)).toEqual([3_342_336]);
  });

  it('tells a source that waits only when the bitmaps are kept', async () => {
    const order: string[] = [];
    const keep: ReceiveOptions['keep'] = async (reader) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      order.push(`kept ${reader.bitmaps.length}`);
    };
    client.once('data', () => order.push('told'));
    const answer = heard();
    const received = receiveMigration(server, { keep });
    client.write(ASKING);
    client.once('data', () => client.end());
    expect((await received).complete).toBe(true);
    expect(await answer).toBe(SHUT);
    expect(order).toEqual(['kept 1', 'told']);
  });

  it('tells it that the migration failed where they cannot be kept', async () => {
    const answer = heard();
    const keep = () => Promise.reject(new Error('the disk is full'));
    const received = receiveMigration(server, { keep });
    client.write(ASKING);
    expect(await received).toMatchObject({ complete: true, kept: false, error: { message: 'the disk is full' } });
    expect(await answer).toBe(SHUT_FAILED);
  });

  it('keeps nothing of a stream that is cut, and returns what came of it', async () => {
    let kept = 0;
    const keep = async () => {
      kept++;
    };
    const received = receiveMigration(server, { keep });
    client.end(SMALL.subarray(0, CUT));
    const result = await received;
    expect(result).toMatchObject({ complete: false, error: undefined });
    expect(result.reader.findings.list.at(-1)?.code).toBe('complete-missing');
    expect(kept).toBe(0);
  });

  it('gives up on a peer that sends nothing any more', async () => {
    const received = receiveMigration(server, { timeout: 30 });
    client.write(SMALL.subarray(0, CUT));
    const result = await received;
    expect(result).toMatchObject({ complete: false, error: { code: 'peer-stalled' } });
    expect(result.reader.bytes).toBe(CUT);
  });

  it('says that the connection broke', async () => {
    const received = receiveMigration(server);
    client.write(SMALL.subarray(0, CUT), () => server.destroy(Object.assign(new Error('x'), { code: 'ECONNRESET' })));
    expect(await received).toMatchObject({ complete: false, error: { code: 'peer-closed' } });
  });

  it('lets go of a peer that sends something else, however much', async () => {
    const received = receiveMigration(server);
    client.on('error', () => {});
    const write = (): void => {
      while (!client.destroyed && client.write(Buffer.alloc(65_536, 0x47)));
    };
    client.on('drain', write);
    write();
    const result = await received;
    expect(result.reader.findings.list.map(({ code }) => code)).toContain('magic-invalid');
    expect(result.reader.bytes).toBeLessThan(2 ** 20);
  });

  it('ends when its signal is aborted, with what has come', async () => {
    const stop = new AbortController();
    const received = receiveMigration(server, {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('enough')),
    });
    client.write(SMALL.subarray(0, CUT));
    const result = await received;
    expect(result).toMatchObject({ complete: false, error: { message: 'enough' } });
    expect(result.reader.bytes).toBe(CUT);
  });

  it('does not wait for ever for a source that keeps the connection open after its end', async () => {
    const received = receiveMigration(server, { linger: 20 });
    client.write(SMALL);
    expect((await received).complete).toBe(true);
  });

  it('nor for one whose stream has no end that can be seen', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    try {
      let result: Awaited<ReturnType<typeof receiveMigration>> | undefined;
      const answer = heard();
      const received = receiveMigration(server, { linger: 20 }).then((value) => {
        result = value;
      });
      client.write(ENDLESS);
      for (let turn = 0; turn < 1000 && result === undefined; turn++) {
        vi.advanceTimersByTime(500);
        await sleep(1);
      }
      expect(result).toMatchObject({ complete: false, kept: true, phase: 'switchover', error: undefined });
      await received;
      expect(await answer).toBe(SHUT);
    } finally {
      vi.useRealTimers();
    }
  });

  it('nor, when its signal is aborted, any longer', async () => {
    const stop = new AbortController();
    const keep = async () => stop.abort(new Error('enough'));
    const received = receiveMigration(server, { keep, signal: stop.signal, linger: 60_000 });
    client.write(SMALL);
    expect(await received).toMatchObject({ complete: true, kept: true, error: undefined });
  });

  it('nor for one that sends on and on', async () => {
    const received = receiveMigration(server, { linger: 50 });
    client.on('error', () => {});
    client.write(SMALL);
    while (!client.destroyed) {
      client.write(Buffer.alloc(10));
      await sleep(5);
    }
    expect(await received).toMatchObject({ complete: true, kept: true, error: undefined });
  });
});
