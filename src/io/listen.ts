import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, isAbsolute } from 'node:path';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type Address, formatAddress } from './address.js';
import { connectTo } from './connect.js';
import { inTime } from './in-time.js';

/** How a socket is listened on. */
export interface ListenOptions {
  /** Connections that are open at once. Default 1. */
  readonly most?: number | undefined;
  /** Called for each connection that is closed because there are as many as there may be. */
  readonly onRefused?: ((from: string) => void) | undefined;
}

/** How long a socket that is there may take to say that it is alive, in milliseconds. */
const PATIENCE = 2000;
/** A line of /proc/net/unix whose socket listens (flag 0x10000), with its path. */
const LISTENING = /^\S+ \S+ \S+ [\da-f]*1[\da-f]{4} \S+ \S+ +\d+ ([^@\n].*)$/gm;
/** Owner alone reads and writes. */
const MODE = 0o600;

/** A socket that others connect to. A unix socket is its owner's alone, and is removed when it is closed. */
export class Listener {
  /** Where it listens; a port of 0 is replaced by the one that was given. */
  readonly address: Address;
  readonly #server: Server;
  readonly #options: ListenOptions;
  readonly #open = new Set<Socket>();
  readonly #ready: Socket[] = [];
  #arrived: (() => void) | undefined;

  private constructor(server: Server, address: Address, options: ListenOptions) {
    this.#server = server;
    this.address = address;
    this.#options = options;
    server.on('connection', (socket) => this.#connection(socket));
    // A connection that could not be taken (too many open files) is its peer's loss, not ours.
    server.on('error', () => {});
  }

  /**
   * Begins to listen.
   * @throws DirtyBitmapError `address-in-use` where another listens there, or the path is that of no socket;
   * `file-access` where it cannot be made.
   */
  static async open(address: Address, options: ListenOptions = {}): Promise<Listener> {
    if (address.kind === 'unix') await clearPath(address);
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    try {
      if (address.kind === 'unix') bindPrivately(server, address.path);
      else server.listen({ host: address.host, port: address.port });
      await once(server, 'listening');
      // A worker has no umask of its own.
      if (address.kind === 'unix') chmodSync(address.path, MODE);
    } catch (error) {
      server.close();
      throw notMade(address, error as NodeJS.ErrnoException);
    }
    const port = (server.address() as AddressInfo).port;
    return new Listener(server, address.kind === 'tcp' ? { ...address, port } : address, options);
  }

  /**
   * The next connection; its bytes wait until they are asked for.
   * @throws the reason of an aborted signal.
   */
  async accept(signal?: AbortSignal): Promise<Socket> {
    signal?.throwIfAborted();
    for (;;) {
      const next = this.#ready.shift();
      // Its peer may have thought better of it.
      if (next !== undefined && !next.destroyed) return next;
      if (next !== undefined) continue;
      const arrived = new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
      await inTime(arrived, { signal }, () => new Error());
    }
  }

  /** Listens no more; connections that were taken stay, those that were not are closed. */
  async close(): Promise<void> {
    for (const socket of this.#ready) socket.destroy();
    this.#server.close();
  }

  #connection(socket: Socket): void {
    // A peer may reset a connection that nobody reads yet.
    socket.on('error', () => {});
    if (this.#open.size >= (this.#options.most ?? 1)) {
      this.#options.onRefused?.(socket.remoteAddress ?? 'a local process');
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    this.#ready.push(socket);
    this.#arrived?.();
  }
}

/** Between its making and a chmod the socket would be open to others. */
function bindPrivately(server: Server, path: string): void {
  let before: number | undefined;
  try {
    before = process.umask(0o177);
  } catch {
    // A worker has no umask of its own.
  }
  try {
    server.listen(path);
  } finally {
    if (before !== undefined) process.umask(before);
  }
}

/** Removes the socket that a process left that is gone. Anything else that is there stays. */
async function clearPath(address: Address & { readonly kind: 'unix' }): Promise<void> {
  const { path } = address;
  let found: ReturnType<typeof lstatSync>;
  try {
    found = lstatSync(path);
  } catch {
    return;
  }
  if (!found.isSocket()) throw inUse(address, 'what is there is no socket');
  // A QEMU with -incoming takes one connection only: it would not survive being asked.
  if (isListenedOn(path)) throw inUse(address, 'somebody listens there');
  try {
    (await connectTo(address, { timeout: PATIENCE })).destroy();
  } catch (error) {
    const cause = (error as DirtyBitmapError).cause as NodeJS.ErrnoException | undefined;
    // Where it came too late, there is none.
    if (cause?.code !== 'ECONNREFUSED') throw inUse(address, 'it cannot be told whether somebody listens there');
    unlinkSync(path);
    return;
  }
  throw inUse(address, 'somebody listens there');
}

/** Whether the kernel lists a socket at a path that takes connections. Those of other network namespaces it does not list. */
function isListenedOn(path: string): boolean {
  let table: string;
  try {
    table = readFileSync('/proc/net/unix', 'latin1');
  } catch {
    return false;
  }
  const name = Buffer.from(path).toString('latin1');
  return [...table.matchAll(LISTENING)].some(([, bound = '']) => {
    // Where a path was given as relative, nobody knows to which folder.
    return bound === name || (!isAbsolute(bound) && basename(bound) === basename(name)) || sameFile(bound, path);
  });
}

function sameFile(bound: string, path: string): boolean {
  try {
    const [a, b] = [statSync(Buffer.from(bound, 'latin1')), statSync(path)];
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false;
  }
}

function inUse(address: Address, why: string): DirtyBitmapError {
  return new DirtyBitmapError('address-in-use', `${formatAddress(address)} is taken: ${why}; choose another`);
}

function notMade(address: Address, error: NodeJS.ErrnoException): DirtyBitmapError {
  if (error.code === 'EADDRINUSE') return inUse(address, 'somebody listens there');
  const denied =
    address.kind === 'tcp' || existsSync(dirname(address.path)) ? 'permission denied' : 'there is no such folder';
  const reasons: Readonly<Record<string, string>> = {
    // Node says so too where the folder is not there.
    EACCES: denied,
    ENOENT: denied,
    EADDRNOTAVAIL: 'this machine has no such address',
  };
  // The folder was there: somebody has removed the socket, or it may not be changed.
  const why = (error.syscall !== 'chmod' && reasons[error.code ?? '']) || error.message;
  const message = `${quoted(formatAddress(address), 256)} cannot be listened on: ${why}`;
  return new DirtyBitmapError('file-access', message, { cause: error });
}
