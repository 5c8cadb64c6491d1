import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DirtyBitmapError } from '../errors.js';
import { byteRange } from './byte-range.js';
import { accessError } from './source.js';

/** What is served. */
export interface Served {
  /** HTML. */
  readonly page: string;
  /** Path of the one file that can be had; undefined for the page alone. */
  readonly file: string | undefined;
  /** 0 for any that is free. */
  readonly port: number;
}

/** On the loopback alone: who can reach it runs on this computer. */
const HOST = '127.0.0.1';
/** No cache keeps the file, no page of others holds it, and nothing is guessed about what it is. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/**
 * Serves the inspector's page and one file, under a path that nobody can guess, until it is closed. No path of a request
 * ever becomes a path of a file.
 */
export class InspectorServer {
  /** Of the page. */
  readonly url: string;
  readonly #server: Server;
  readonly #file: FileHandle | undefined;
  readonly #page: Uint8Array;
  readonly #root: string;
  readonly #hosts: readonly string[];

  private constructor(server: Server, page: string, file: FileHandle | undefined) {
    this.#server = server;
    this.#page = new TextEncoder().encode(page);
    this.#file = file;
    this.#root = `/${randomBytes(16).toString('base64url')}/`;
    const { port } = server.address() as AddressInfo;
    this.#hosts = [HOST, 'localhost'].map((host) => (port === 80 ? host : `${host}:${port}`));
    this.url = `http://${HOST}:${port}${this.#root}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      // The reader may go away at any time, and the file may become unreadable.
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /**
   * Begins to serve.
   * @throws DirtyBitmapError `file-access` where the file cannot be read or is none; `address-in-use` for a port that
   * another has.
   */
  static async start({ page, file: path, port }: Served): Promise<InspectorServer> {
    const file = path === undefined ? undefined : await openFile(path);
    const server = createServer();
    try {
      server.listen({ host: HOST, port });
      await once(server, 'listening');
    } catch (error) {
      await file?.close();
      const { code, message } = error as NodeJS.ErrnoException;
      const inUse = code === 'EADDRINUSE';
      const why = inUse ? 'another program listens there; take another --port, or none' : message;
      throw new DirtyBitmapError(inUse ? 'address-in-use' : 'file-access', `${HOST}:${port}: ${why}`, { cause: error });
    }
    return new InspectorServer(server, page, file);
  }

  /** Serves no more; what is under way is cut off. */
  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#file?.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const { method, url, headers } = request;
    // A name that its owner points here would let a page of the web read what is served.
    if (!this.#hosts.includes(headers.host ?? '')) return refuse(response, 421, 'not for this host');
    const isPage = url === this.#root;
    const isFile = url === `${this.#root}file` && this.#file !== undefined;
    if (!isPage && !isFile) return refuse(response, 404, 'there is nothing here');
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return refuse(response, 405, 'can only be read');
    }
    if (this.#file !== undefined && isFile) return await sendFile(this.#file, request, response);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': this.#page.length });
    response.end(method === 'HEAD' ? undefined : this.#page);
  }
}

async function openFile(path: string): Promise<FileHandle> {
  let file: FileHandle | undefined;
  try {
    // A pipe that nobody writes would not even be opened.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (stat.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
    if (!stat.isFile()) throw new Error('it is read here and there, so it must be a regular file');
    return file;
  } catch (error) {
    await file?.close();
    throw accessError(path, error);
  }
}

/** The file or a part of it, as it is now. */
async function sendFile(file: FileHandle, { method, headers }: IncomingMessage, response: ServerResponse) {
  const { size } = await file.stat();
  const range = byteRange(headers.range, size);
  response.setHeader('accept-ranges', 'bytes');
  response.setHeader('content-type', 'application/octet-stream');
  if (range === 'none') {
    response.setHeader('content-range', `bytes */${size}`);
    return refuse(response, 416, 'the file ends before');
  }
  const { start, end } = range ?? { start: 0, end: size };
  if (range !== undefined) response.setHeader('content-range', `bytes ${start}-${end - 1}/${size}`);
  response.writeHead(range === undefined ? 200 : 206, { 'content-length': end - start });
  if (method === 'HEAD' || end === start) return void response.end();
  await pipeline(Readable.from(pieces(file, start, end), { objectMode: false }), response);
}

/** Bytes of one read. */
const PIECE = 1024 * 1024;

/** A part of a file. A stream of Node's own leaves a listener at the file for each part. */
async function* pieces(file: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = start; at < end; ) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(Math.min(PIECE, end - at)), 0, null, at);
    if (bytesRead === 0) throw new Error('the file was made shorter');
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${why}\n`);
}
