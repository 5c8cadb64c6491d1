import type { NetworkLocation } from './location.js';

/** Protocol, transport, user, host (an IPv6 address in brackets), port, path, query. */
const URI = /^([a-z][\w.-]*)(?:\+(\w+))?:\/\/(?:([^@/]*)@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?(\/[^?#]*)?(?:\?([^#]*))?$/i;
const MAX_PORT = 65_535;

/** What the parts of a URI are called where nobody says more. */
interface Parts {
  readonly transport?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly socket?: string | undefined;
  readonly path?: string | undefined;
  readonly user?: string | undefined;
}

/** Where a URI points, or what was expected instead. */
export function uriLocation(text: string): NetworkLocation | string {
  const match = URI.exec(text);
  if (match === null) return 'a URI: SCHEME[+TRANSPORT]://[HOST[:PORT]]/PATH';
  const [, protocol = '', transport, login, host, port, path, query] = match;
  const socket = /(?:^|&)socket=([^&]*)/.exec(query ?? '')?.[1];
  const user = login?.split(':')[0];
  return networkLocation(protocol, { transport, host, port, socket: socket && decoded(socket), path, user });
}

/**
 * Where the form of a protocol that is older than URIs points: `nbd:HOST:PORT[:exportname=NAME]`, `nbd:unix:SOCKET...`,
 * `rbd:POOL/IMAGE[@SNAPSHOT][:OPTION=VALUE...]`. What follows any other protocol is kept as the path.
 */
export function colonLocation(protocol: string, rest: string): NetworkLocation | string {
  if (protocol === 'rbd') {
    const [path = '', ...options] = rest.split(/(?<!\\):/).map((part) => part.replace(/\\(.)/gs, '$1'));
    const id = options.find((option) => option.startsWith('id='))?.slice(3);
    return path === '' ? 'rbd:POOL/IMAGE' : networkLocation(protocol, { path, user: id });
  }
  if (protocol !== 'nbd') return networkLocation(protocol, { path: rest });
  const [, place = '', path] = /^(.*?)(?::exportname=(.*))?$/s.exec(rest) ?? [];
  const socket = /^unix:(.+)$/s.exec(place)?.[1];
  if (socket !== undefined) return networkLocation(protocol, { transport: 'unix', socket, path });
  const [, host, port] = /^(\[[^\]]*\]|[^:]+):(\d+)$/.exec(place) ?? [];
  if (host === undefined) return 'nbd:HOST:PORT, nbd:unix:SOCKET, with or without :exportname=NAME';
  return networkLocation(protocol, { host, port, path });
}

/** A location of these parts, without those that are missing; or what was expected instead. */
export function networkLocation(protocol: string, parts: Parts): NetworkLocation | string {
  const { transport, socket, user, path = '' } = parts;
  const host = parts.host?.replace(/^\[(.*)\]$/, '$1');
  const port = parts.port === undefined ? undefined : Number(parts.port);
  if (port !== undefined && !(port <= MAX_PORT)) return `a port from 0 to ${MAX_PORT}`;
  return {
    ...{ kind: 'network', protocol, path: path.startsWith('/') ? path.slice(1) : path },
    ...(transport !== undefined && { transport }),
    ...(host && { host }),
    ...(port !== undefined && { port }),
    ...(socket && { socket }),
    ...(user && { user }),
  };
}

/** Percent signs decoded; the text as it is where that is not well-formed. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
