import { createConnection, type Socket } from 'node:net';
import { DirtyBitmapError } from '../errors.js';
import { type Address, formatAddress } from './address.js';
import { inTime } from './in-time.js';

/** How a connection is made. */
export interface ConnectOptions {
  /** How long the other side may take, in milliseconds. Default: for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Whether each direction ends for itself; else the connection is over when the other side ends its own. */
  readonly allowHalfOpen?: boolean | undefined;
}

/**
 * A connection.
 * @throws DirtyBitmapError `file-access` where nobody listens; `peer-stalled` where nobody takes the connection in time;
 * the reason of an aborted signal.
 */
export async function connectTo(address: Address, options: ConnectOptions = {}): Promise<Socket> {
  const where = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  const socket = createConnection({ ...where, allowHalfOpen: options.allowHalfOpen === true, noDelay: true });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(refused(address, error)));
  });
  try {
    await inTime(connected, options, () => late(address));
    return socket;
  } catch (error) {
    // What comes after is nobody's business.
    socket.on('error', () => {}).destroy();
    throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nobody listens',
  EACCES: 'permission denied',
  ENOTFOUND: 'there is no such host',
  EAGAIN: 'too many others wait to be taken',
};

function refused(address: Address, cause: NodeJS.ErrnoException): DirtyBitmapError {
  const why = REASONS[cause.code ?? ''] ?? cause.message;
  return new DirtyBitmapError('file-access', `no connection to ${formatAddress(address)}: ${why}`, { cause });
}

function late(address: Address): DirtyBitmapError {
  return new DirtyBitmapError('peer-stalled', `nobody takes the connection to ${formatAddress(address)} in time`);
}
