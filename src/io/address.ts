import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';

/** Where a socket is. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  /** Without a host: the loopback. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

const LOOPBACK = '127.0.0.1';
const MAX_PORT = 65_535;
/** Bytes of a path that a system takes as the name of a socket, its NUL not counted. */
const MAX_PATH = 107;

/**
 * An address as QEMU writes it: `unix:PATH` or `tcp:HOST:PORT`, an IPv6 host in brackets. Where no host is given it is the
 * loopback, which is not so in QEMU.
 * @throws DirtyBitmapError `argument`.
 */
export function parseAddress(text: string): Address {
  const path = /^unix:(.+)$/s.exec(text)?.[1];
  if (path !== undefined) {
    if (Buffer.byteLength(path) > MAX_PATH) {
      throw wrong(text, `a socket's path has at most ${MAX_PATH} bytes, this one ${Buffer.byteLength(path)}`);
    }
    return { kind: 'unix', path };
  }
  const [, bracketed, host, digits] = /^tcp:(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > MAX_PORT) {
    throw wrong(text, 'expected unix:PATH or tcp:HOST:PORT (an IPv6 host in brackets)');
  }
  return { kind: 'tcp', host: bracketed || host || LOOPBACK, port };
}

/** The text that {@link parseAddress} reads. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `tcp:${host}:${address.port}`;
}

function wrong(text: string, why: string): DirtyBitmapError {
  return new DirtyBitmapError('argument', `address ${quoted(text, 256)}: ${why}`);
}
