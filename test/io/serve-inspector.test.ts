import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { byteRange } from '../../src/io/byte-range.js';
import { InspectorServer } from '../../src/io/serve-inspector.js';

const PAGE = '<p>page</p>';
const BYTES = Uint8Array.from({ length: 700_000 }, (_, at) => at % 251);

let folder: string;
let path: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-serve-'));
  path = join(folder, 'file.bin');
  writeFileSync(path, BYTES);
  writeFileSync(join(folder, 'other.bin'), 'secret');
});
afterAll(() => rmSync(folder, { recursive: true }));

let server: InspectorServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function start(file: string | undefined = path): Promise<URL> {
  server = await InspectorServer.start({ page: PAGE, file, port: 0 });
  return new URL(server.url);
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A request whose path goes out as it is: a URL would be made tidy. */
async function ask(at: URL, path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const { hostname, port } = at;
    request({ hostname, port, path, method, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }),
      );
    })
      .on('error', reject)
      .end();
  });
}

/** Sends text as it is, and goes away with the first bytes that come. */
async function raw(at: URL, text: string): Promise<string> {
  return await new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(at.port), at.hostname, () => socket.write(text));
    socket.once('data', (bytes) => {
      answer = bytes.toString('latin1');
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(answer));
  });
}

describe('the server of the inspector', () => {
  it('serves the page and the file, whole and in parts', async () => {
    const at = await start();
    expect(at.hostname).toBe('127.0.0.1');
    expect(at.pathname).toMatch(/^\/[\w-]{22}\/$/);
    const page = await ask(at, at.pathname);
    expect([page.status, page.body.toString()]).toEqual([200, PAGE]);
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    expect(page.headers['access-control-allow-origin']).toBeUndefined();
    const whole = await ask(at, `${at.pathname}file`);
    expect([whole.status, whole.body.equals(BYTES)]).toEqual([200, true]);
    const head = await ask(at, `${at.pathname}file`, 'HEAD');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '700000', 0]);
    const part = await ask(at, `${at.pathname}file`, 'GET', { range: 'bytes=300-600299' });
    expect([part.status, part.headers['content-range']]).toEqual([206, 'bytes 300-600299/700000']);
    expect(part.body.equals(BYTES.subarray(300, 600_300))).toBe(true);
    const behind = await ask(at, `${at.pathname}file`, 'GET', { range: 'bytes=700000-' });
    expect([behind.status, behind.headers['content-range']]).toEqual([416, 'bytes */700000']);
  });

  it('serves many parts without a trace', async () => {
    const at = await start();
    const warnings: Error[] = [];
    const note = (warning: Error): number => warnings.push(warning);
    process.on('warning', note);
    for (let from = 0; from < 100; from++)
      expect((await ask(at, `${at.pathname}file`, 'GET', { range: `bytes=${from}-${from}` })).body[0]).toBe(from);
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  it('has nothing at any other path', async () => {
    const at = await start();
    const root = at.pathname;
    const paths = [
      '/',
      root.slice(0, -1),
      `${root.toUpperCase()}`,
      `${root}other.bin`,
      `${root}file/`,
      `${root}file?`,
      `${root}./file`,
      `${root}../file`,
      `${root}..%2fother.bin`,
      `${root}file/../other.bin`,
      `${root}file%00`,
      `${root}%66ile`,
      `/${root}`,
      '/../../../../etc/passwd',
      '/..%2f..%2fetc/passwd',
      `${at.origin}${root}`,
      '*',
      '/favicon.ico',
    ];
    for (const path of paths) {
      const { status, body } = await ask(at, path);
      expect([path, status, body.toString()]).toEqual([path, 404, 'there is nothing here\n']);
    }
  });

  it('answers no other host and takes no other method', async () => {
    const at = await start();
    const hosts = ['evil.example', `evil.example:${at.port}`, '127.0.0.1', `127.0.0.1:${Number(at.port) + 1}`, '[::1]'];
    for (const host of hosts) {
      const { status, body } = await ask(at, at.pathname, 'GET', { host });
      expect([host, status, body.toString().includes('page')]).toEqual([host, 421, false]);
    }
    expect(await raw(at, `GET ${at.pathname} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1.1 421 /);
    expect(await raw(at, `GET ${at.pathname} HTTP/1.1\r\n\r\n`)).toMatch(/^HTTP\/1.1 400 /);
    expect((await ask(at, at.pathname, 'GET', { host: `localhost:${at.port}` })).status).toBe(200);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])
      for (const path of [at.pathname, `${at.pathname}file`]) expect((await ask(at, path, method)).status).toBe(405);
  });

  it('outlives peers that go away in the middle, and nonsense', async () => {
    const at = await start();
    for (const text of [
      `GET ${at.pathname}file HTTP/1.1\r\nHost: ${at.host}\r\n\r\n`,
      'nonsense\r\n\r\n',
      '\0'.repeat(9999),
    ]) {
      await raw(at, text);
    }
    expect((await ask(at, at.pathname)).status).toBe(200);
  });

  it('breaks off where the file was made shorter', async () => {
    const other = join(folder, 'shorter.bin');
    writeFileSync(other, BYTES);
    const at = await start(other);
    truncateSync(other, 10);
    expect((await ask(at, `${at.pathname}file`, 'HEAD')).headers['content-length']).toBe('10');
    expect((await ask(at, `${at.pathname}file`, 'GET', { range: 'bytes=10-20' })).status).toBe(416);
  });

  it('has no file where none was given', async () => {
    const at = await start(undefined as unknown as string);
    await server?.close();
    server = await InspectorServer.start({ page: PAGE, file: undefined, port: 0 });
    const alone = new URL(server.url);
    expect(at.pathname).not.toBe(alone.pathname);
    expect((await ask(alone, alone.pathname)).status).toBe(200);
    expect((await ask(alone, `${alone.pathname}file`)).status).toBe(404);
  });

  it('serves no folder, no device, nothing that is not there, and not where another does', async () => {
    for (const file of [folder, '/dev/zero', join(folder, 'nothing')])
      await expect(InspectorServer.start({ page: PAGE, file, port: 0 })).rejects.toMatchObject({ code: 'file-access' });
    const at = await start();
    await expect(InspectorServer.start({ page: PAGE, file: path, port: Number(at.port) })).rejects.toMatchObject({
      code: 'address-in-use',
    });
  });
});

describe('a range', () => {
  it.each([
    [undefined, undefined],
    ['bytes=0-', { start: 0, end: 100 }],
    ['bytes=0-0', { start: 0, end: 1 }],
    ['bytes=99-99', { start: 99, end: 100 }],
    ['bytes=10-1000', { start: 10, end: 100 }],
    ['bytes=-10', { start: 90, end: 100 }],
    ['bytes=-1000', { start: 0, end: 100 }],
    ['bytes=-0', 'none'],
    ['bytes=100-', 'none'],
    ['bytes=9999999999999999-', 'none'],
    ['bytes=5-4', undefined],
    ['bytes=-', undefined],
    ['bytes=0-1,5-6', undefined],
    ['bytes=a-b', undefined],
    ['bytes=00000000000000000000001-', undefined],
    ['lines=0-1', undefined],
  ])('%s', (header, expected) => expect(byteRange(header, 100)).toEqual(expected));

  it('of a file without bytes is none', () => expect(byteRange('bytes=0-', 0)).toBe('none'));
});
