import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { Duplex, Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { connectTo } from '../../src/io/connect.js';
import { tapMigration } from '../../src/io/tap-migration.js';
import type { TapNotice } from '../../src/io/tap-options.js';
import * as build from '../support/stream-builder.js';
import { readStream, vectorOf } from '../support/vectors.js';
import { connected, dribble, webOf } from '../support/wire.js';

const SMALL = readStream(vectorOf('captures/small-qcow2-persistent.bin'));
/** A place inside the bits. */
const CUT = 600;
const SHUT = build.hex('0001 0004 00000000');
const SHUT_FAILED = build.hex('0001 0004 00000001');

let folder: string;
/** The source, its end at the tap, the tap's end at the destination, the destination. */
let source: Socket;
let fromSource: Socket;
let toDestination: Socket;
let destination: Socket;
let notices: TapNotice[];
beforeEach(async () => {
  folder = mkdtempSync(joinPath(tmpdir(), 'dirtybitmap-tap-'));
  [fromSource, source] = await connected(folder);
  [toDestination, destination] = await connected(folder);
  notices = [];
});
afterEach(() => {
  for (const socket of [source, fromSource, toDestination, destination]) socket.destroy();
  rmSync(folder, { recursive: true });
});

const onNotice = (notice: TapNotice): void => void notices.push(notice);
const kinds = (): string[] => notices.map(({ kind }) => kind);
const dirty = ({ reader }: Awaited<ReturnType<typeof tapMigration>>): number[] =>
  reader.bitmaps.map(({ bits }) => bits.count());

/** All that a peer hears until the other side ends. */
async function heard(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece));
  await once(socket, 'end');
  return Buffer.concat(pieces);
}

/** A recording that collects; `gate` lets its writes go on. */
function collector(gate: () => Promise<void> = async () => {}): { stream: Writable; bytes: () => Buffer } {
  const pieces: Buffer[] = [];
  const stream = new Writable({
    highWaterMark: 1,
    write(piece: Buffer, _encoding, done) {
      pieces.push(piece);
      gate().then(() => done(), done);
    },
  });
  return { stream, bytes: () => Buffer.concat(pieces) };
}

describe('tapMigration', () => {
  it('passes bytes, answers and ends of directions on, byte by byte, and reads along', async () => {
    const record = collector();
    const meta = collector();
    const options = { onNotice, record: record.stream, recordMeta: meta.stream };
    const tapping = tapMigration(fromSource, toDestination, options);
    const there = heard(destination);
    const back = heard(source);
    await dribble(source, SMALL);
    source.end();
    // The one direction has ended, the other has not.
    expect(Buffer.compare(await there, SMALL)).toBe(0);
    await dribble(destination, SHUT);
    destination.end();
    expect((await back).toString('hex')).toBe(Buffer.from(SHUT).toString('hex'));
    const result = await tapping;
    expect(result).toMatchObject({
      ...{ channel: 'migration', complete: true, phase: 'complete', error: undefined, answer: 0, recorded: true },
      ...{ forwardBytes: SMALL.length, backBytes: SHUT.length, otherChannels: 0 },
    });
    expect(dirty(result)).toEqual([3_342_336]);
    expect(result.reader.findings.list).toEqual([]);
    expect(notices).toEqual([]);
    expect(Buffer.compare(record.bytes(), SMALL)).toBe(0);
    const reader = new CaptureReader();
    reader.push(meta.bytes());
    reader.finish();
    expect(reader.bitmaps.map(({ bits }) => bits.count())).toEqual([3_342_336]);
  });

  it('passes on what it has read before it reads more', async () => {
    const tapping = tapMigration(fromSource, toDestination);
    source.write(SMALL.subarray(0, 8));
    expect((await once(destination, 'data'))[0]).toHaveLength(8);
    source.write(SMALL.subarray(8, 9));
    expect((await once(destination, 'data'))[0]).toHaveLength(1);
    source.end();
    destination.end();
    await tapping;
  });

  it('takes WHATWG streams', async () => {
    const tapping = tapMigration(webOf(fromSource), webOf(toDestination));
    const there = heard(destination);
    const back = heard(source);
    source.end(SMALL);
    expect(Buffer.compare(await there, SMALL)).toBe(0);
    destination.end(SHUT);
    expect((await back).length).toBe(SHUT.length);
    expect(await tapping).toMatchObject({ complete: true, answer: 0 });
  });

  it.each([
    ['garbage', Buffer.alloc(300_000, 0x47), 'magic-invalid'],
    ['a stream that is damaged in its middle', Buffer.from(SMALL).fill(0xee, CUT), 'flags-two-kinds'],
  ])('passes %s on unchanged, and says once that it cannot be read', async (_what, bytes, code) => {
    const record = collector();
    const tapping = tapMigration(fromSource, toDestination, { onNotice, record: record.stream });
    const there = heard(destination);
    destination.end();
    source.end(bytes);
    expect(Buffer.compare(await there, bytes)).toBe(0);
    const { reader } = await tapping;
    expect(reader.findings.list.filter(({ severity }) => severity === 'error').map((one) => one.code)).toContain(code);
    expect(Buffer.compare(record.bytes(), bytes)).toBe(0);
  });

  it('passes all on where who looks on throws', async () => {
    const tapping = tapMigration(fromSource, toDestination, {
      onNotice: (notice) => {
        notices.push(notice);
        throw new Error('deaf');
      },
      onProgress: () => {
        throw new Error('blind');
      },
    });
    const there = heard(destination);
    destination.end();
    await dribble(source, SMALL, 100);
    source.end();
    expect(Buffer.compare(await there, SMALL)).toBe(0);
    await tapping;
    expect(notices).toEqual([{ kind: 'decoding-failed', message: expect.stringContaining('blind') }]);
  });

  it('says that the destination could not load it', async () => {
    const tapping = tapMigration(fromSource, toDestination, { onNotice });
    source.write(SMALL);
    await once(destination, 'data');
    destination.resume().end(SHUT_FAILED);
    await once(source.resume(), 'end');
    source.end();
    expect((await tapping).answer).toBe(1);
    expect(kinds()).toEqual(['answer']);
  });

  it('sees nothing of TLS, says so, and records nothing', async () => {
    const record = collector();
    const meta = collector();
    const options = { onNotice, record: record.stream, recordMeta: meta.stream };
    const tapping = tapMigration(fromSource, toDestination, options);
    const bytes = Buffer.concat([build.hex('16 03 01 02 00'), Buffer.alloc(1000, 7)]);
    const there = heard(destination);
    destination.end();
    await dribble(source, bytes.subarray(0, 9));
    source.end(bytes.subarray(9));
    expect(Buffer.compare(await there, bytes)).toBe(0);
    expect(await tapping).toMatchObject({ channel: 'tls', recorded: false, metaRecorded: false, complete: false });
    expect(kinds()).toEqual(['blind']);
    expect(record.bytes()).toHaveLength(0);
  });

  it('reads no more than a stalled destination takes', async () => {
    let goOn = (): void => {};
    let taken = 0;
    const stalled = new Duplex({
      read() {
        this.push(null);
      },
      write(piece: Buffer, _encoding, done) {
        taken += piece.length;
        goOn = done;
      },
    });
    const tapping = tapMigration(fromSource, stalled);
    for (let count = 0; count < 100; count++) source.write(Buffer.alloc(65_536, 1));
    source.end();
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    // Of one read, and no more is read however long it takes.
    expect(taken).toBe(65_536);
    expect(fromSource.bytesRead).toBeLessThan(4 * 65_536);
    while (!stalled.writableFinished) {
      await setImmediate();
      goOn();
    }
    expect(taken).toBe(6_553_600);
    await tapping;
  });

  it('waits for a slow recording, and loses nothing of it', async () => {
    const record = collector(async () => void (await setImmediate()));
    const tapping = tapMigration(fromSource, toDestination, { record: record.stream });
    const there = heard(destination);
    destination.end();
    const bytes = Buffer.alloc(2 ** 20, 3);
    bytes.set(SMALL);
    source.end(bytes);
    expect(Buffer.compare(await there, bytes)).toBe(0);
    expect((await tapping).recorded).toBe(true);
    expect(Buffer.compare(record.bytes(), bytes)).toBe(0);
  });

  it('goes on where recording fails, and says so once', async () => {
    const record = collector(() => Promise.reject(new Error('no space left')));
    const tapping = tapMigration(fromSource, toDestination, { onNotice, record: record.stream });
    const there = heard(destination);
    destination.end();
    await dribble(source, SMALL, 100);
    source.end();
    expect(Buffer.compare(await there, SMALL)).toBe(0);
    expect(await tapping).toMatchObject({ recorded: false, complete: true });
    expect(notices).toEqual([{ kind: 'record-failed', message: expect.stringContaining('no space left') }]);
  });

  it('ends the destination where the source breaks, after what came before', async () => {
    const tapping = tapMigration(fromSource, toDestination);
    const there = heard(destination);
    source.write(SMALL.subarray(0, CUT));
    await once(destination, 'data');
    fromSource.destroy(Object.assign(new Error('x'), { code: 'ECONNRESET' }));
    expect((await there).length).toBe(CUT);
    destination.end();
    const result = await tapping;
    expect(result).toMatchObject({ complete: false, error: { code: 'peer-closed' } });
    expect(result.error?.message).toContain('the source: the connection broke: it was reset');
    expect(result.reader.findings.list.map(({ code }) => code)).toContain('stream-cut');
  });

  it('lets a destination take all of a source that has gone, and whose answers nobody hears', async () => {
    const tapping = tapMigration(fromSource, toDestination);
    const there = heard(destination);
    source.end(SMALL);
    await once(destination, 'data');
    // It has closed both directions.
    source.destroy();
    for (let count = 0; count < 3; count++) {
      destination.write(SHUT);
      await setImmediate();
    }
    expect(Buffer.compare(await there, SMALL)).toBe(0);
    destination.end();
    expect(await tapping).toMatchObject({ complete: true, error: undefined });
  });

  it('ends the source where the destination goes', async () => {
    const tapping = tapMigration(fromSource, toDestination);
    const gone = new Promise((resolve) => source.resume().once('close', resolve));
    source.write(SMALL.subarray(0, CUT));
    await once(destination, 'data');
    destination.destroy();
    // It notices when it writes.
    const more = setInterval(() => source.write(SMALL), 1);
    await gone;
    clearInterval(more);
    const { error } = await tapping;
    expect(error?.message).toContain('the destination: the connection broke');
  });

  it('resets the other side of a TCP connection that was reset', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const [client, [taken]] = await Promise.all([
      connectTo({ kind: 'tcp', host: '127.0.0.1', port }),
      once(server, 'connection') as Promise<[Socket]>,
    ]);
    const tapping = tapMigration(fromSource, client);
    const failed = once(taken, 'error');
    fromSource.destroy(Object.assign(new Error('x'), { code: 'ECONNRESET' }));
    taken.resume();
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' });
    server.close();
    await tapping;
  });

  it.each([
    ['breaks the connection', 'in a precopy', [], 'precopy'],
    ['leaves the connection', 'in a postcopy', [build.packaged(build.command(build.LISTEN))], 'postcopy'],
  ] as const)(
    '%s %s where a bitmap is half changed and the rest cannot be followed',
    async (what, _when, more, phase) => {
      const head = build.qevm(
        build.configuration(),
        build.start(3, 'dirty-bitmap', [build.startChunk(build.B0), build.startChunk({ bitmap: 'b1' }), build.EOS]),
        build.part(3, [build.zeroesChunk(0, 1, build.B0), build.zeroesChunk(0, 1, { bitmap: 'b1' }), build.EOS]),
        more,
      );
      const changes = { drop: ({ bitmap }: { bitmap: { text: string } }) => bitmap.text === 'b1' };
      const tapping = tapMigration(fromSource, toDestination, { changes, onNotice });
      const there = heard(destination);
      const ended = once(source.resume(), 'end');
      source.write(head);
      await once(destination, 'data');
      source.write(build.fill(20, 0xee));
      if (what === 'leaves the connection') {
        await once(destination, 'data');
        source.end(build.fill(1000, 0xdd));
        expect((await there).subarray(-1000).every((byte) => byte === 0xdd)).toBe(true);
      } else {
        // Else it would hear an end only when the source makes one.
        await there;
        await ended;
      }
      destination.end();
      expect(await tapping).toMatchObject({ phase, complete: false });
      expect(kinds()).toContain('change-failed');
      expect(notices.at(-1)?.message).toContain('a bitmap was half changed: in a precopy the connection is broken');
    },
  );

  it('ends both sides when its signal is aborted', async () => {
    const stop = new AbortController();
    const tapping = tapMigration(fromSource, toDestination, { signal: stop.signal });
    source.write(SMALL.subarray(0, CUT));
    await once(destination, 'data');
    const ended = Promise.all([once(source.resume(), 'end'), once(destination, 'end')]);
    stop.abort(new Error('enough'));
    expect(await tapping).toMatchObject({ complete: false, error: { message: 'enough' } });
    await ended;
  });

  it('takes a signal that is aborted already, and connections that are closed', async () => {
    const closed = tapMigration(fromSource.destroy(), toDestination, {});
    expect((await closed).forwardBytes).toBe(0);
    const [again] = await connected(folder);
    const aborted = tapMigration(again, destination, { signal: AbortSignal.abort(new Error('no')) });
    expect(await aborted).toMatchObject({ error: { message: 'no' } });
  });
});
