import type { Socket } from 'node:net';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { type QmpEvent, type QmpReply, QmpSession } from '../qmp/session.js';
import { parseAddress } from './address.js';
import { connectTo } from './connect.js';
import { inTime, type Wait } from './in-time.js';

/** Where a QMP socket is: `unix:PATH`, `tcp:HOST:PORT`, or a path. */
export type QmpAddress = string;

/** How long to wait, in milliseconds; undefined: for ever. */
export type QmpWait = Wait;

/** How a client is made. */
export interface QmpClientOptions extends QmpWait {
  readonly limits?: Partial<Limits> | undefined;
  /** Called with each event, in order with the answers. */
  readonly onEvent?: ((event: QmpEvent) => void) | undefined;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const GREETING_PATIENCE = 5000;

/**
 * A client of one QEMU. Commands may overlap; their answers come by id.
 * @example
 * const qmp = await QmpClient.connect('unix:/run/vm.qmp');
 * const nodes = await qmp.execute('query-named-block-nodes', { flat: true });
 * await qmp.close();
 */
export class QmpClient {
  /** Of the QEMU, such as `7.2.22`. */
  readonly version: string;
  readonly #socket: Socket;
  readonly #session: QmpSession;
  readonly #waiting: Map<number, Waiting>;

  private constructor(version: string, socket: Socket, session: QmpSession, waiting: Map<number, Waiting>) {
    this.version = version;
    this.#socket = socket;
    this.#session = session;
    this.#waiting = waiting;
  }

  /**
   * Connects, and agrees on the capabilities.
   * @param options `timeout` is for the connection, and again for the greeting; default 5 seconds.
   * @throws DirtyBitmapError `file-access` where nobody listens; `qmp-timeout` where QEMU does not greet, as one that has
   * another client; `qmp-protocol` where it is no QMP.
   */
  static async connect(address: QmpAddress, options: QmpClientOptions = {}): Promise<QmpClient> {
    const { timeout = GREETING_PATIENCE, signal } = options;
    const socket = await open(address, { timeout, signal });
    const session = new QmpSession(options.limits);
    const waiting = new Map<number, Waiting>();
    let version = '';
    const ready = new Promise<void>((resolve, reject) => {
      const fail = (error: unknown): void => {
        reject(error);
        end(session, waiting, error);
        socket.destroy();
      };
      socket.on('data', (piece) => {
        try {
          for (const output of session.push(piece, (bytes) => void socket.write(bytes))) {
            if (output.kind === 'greeting') version = output.version;
            else if (output.kind === 'event') options.onEvent?.(output);
            else answer(waiting, output);
          }
          if (session.state === 'ready') resolve();
        } catch (error) {
          fail(error);
        }
      });
      socket.on('error', (error) => fail(closed(address, error)));
      socket.on('close', () => fail(closed(address)));
    });
    try {
      await inTime(ready, { timeout, signal }, () => noGreeting(address));
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new QmpClient(version, socket, session, waiting);
  }

  /**
   * Does a command, once: it is never sent again.
   * @throws DirtyBitmapError `qmp-refused` with what QEMU said; `qmp-timeout` and `qmp-closed`, after which it is not
   * known whether it was done.
   */
  async execute<T = unknown>(command: string, args?: object, wait: QmpWait = {}): Promise<T> {
    const { id, bytes } = this.#session.command(command, args);
    const result = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket.write(bytes);
    return (await inTime(result, wait, () => noAnswer(command))) as T;
  }

  /** Ends the connection; commands without an answer fail. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.once('close', () => resolve()).destroy();
    });
  }
}

async function open(text: string, wait: QmpWait): Promise<Socket> {
  try {
    return await connectTo(parseAddress(/^(unix|tcp):/.test(text) ? text : `unix:${text}`), wait);
  } catch (error) {
    if (!isDirtyBitmapError(error) || error.code === 'argument') throw error;
    if (error.code === 'peer-stalled') throw noGreeting(text);
    const { message, cause } = error;
    throw new DirtyBitmapError('file-access', `QMP: ${message}; is the VM running?`, { cause });
  }
}

function answer(waiting: Map<number, Waiting>, { id, result }: QmpReply): void {
  const one = waiting.get(id);
  waiting.delete(id);
  if ('value' in result) one?.resolve(result.value);
  else one?.reject(result.error);
}

function end(session: QmpSession, waiting: Map<number, Waiting>, reason: unknown): void {
  for (const { id, error } of session.end()) {
    waiting.get(id)?.reject(reason instanceof DirtyBitmapError && reason.code !== 'qmp-closed' ? reason : error);
  }
  waiting.clear();
}

function closed(address: QmpAddress, cause?: Error): DirtyBitmapError {
  const why = cause === undefined ? 'QEMU closed it' : cause.message;
  return new DirtyBitmapError('qmp-closed', `the connection to QMP at ${quoted(address, 256)} ended: ${why}`, {
    cause,
  });
}

function noGreeting(address: QmpAddress): DirtyBitmapError {
  const message = `QEMU does not greet at ${quoted(address, 256)}: a QMP socket takes one client, and another may hold it (libvirt?)`;
  return new DirtyBitmapError(
    'qmp-timeout',
    `${message}; give this QEMU a second -qmp, or ask through the other client`,
  );
}

function noAnswer(command: string): DirtyBitmapError {
  const message = `QEMU did not answer ${command} in time: whether it was done is not known; ask again before you repeat it`;
  return new DirtyBitmapError('qmp-timeout', message);
}
