import { networkLocation, uriLocation } from './backing-uri.js';
import type { BackingLocation, Slice } from './location.js';

/** An object without the surprises of JavaScript's: `__proto__` is a key like any other. */
type Options = ReadonlyMap<string, unknown>;

const HOST_DRIVERS: ReadonlyMap<string, 'file' | 'block'> = new Map([
  ['file', 'file'],
  ['host_device', 'block'],
  ['host_cdrom', 'block'],
]);
const NETWORK_DRIVERS: readonly string[] =
  'nbd http https ftp ftps tftp ssh rbd iscsi gluster nfs nvme sheepdog vxhs'.split(' ');

/**
 * Where the options of `json:` point, or what was expected instead. Dotted keys are options of options; it is
 * `{"file": {...}}` or `{"driver": ...}`; the only driver of a format is `raw`, once, with a file inside.
 * Source: merge-and-chain.md section 11.
 */
export function jsonLocation(text: string): BackingLocation | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'JSON after "json:"';
  }
  const root = unflattened(json);
  if (typeof root === 'string') return root;
  if (root.has('driver')) return root.get('driver') === 'raw' ? rawLocation(root) : driverLocation(root);
  const file = root.get('file');
  return file instanceof Map ? driverLocation(file) : 'json: with "driver" or "file"';
}

function rawLocation(raw: Options): BackingLocation | string {
  const file = raw.get('file');
  if (!(file instanceof Map)) return 'json: driver raw with "file", an object';
  const location = driverLocation(file);
  const slice = sliceOf(raw);
  if (typeof location === 'string' || slice === undefined) return location;
  return typeof slice === 'string' ? slice : { ...location, slice };
}

function sliceOf(raw: Options): Slice | string | undefined {
  if (!raw.has('offset') && !raw.has('size')) return undefined;
  const offset = bytesOf(raw.get('offset') ?? 0);
  const size = raw.has('size') ? bytesOf(raw.get('size')) : 0;
  if (offset === undefined || size === undefined) return 'json: "offset" and "size" in bytes';
  return raw.has('size') ? { offset, size } : { offset };
}

/** QEMU takes numbers as texts, too. */
function bytesOf(value: unknown): number | undefined {
  const bytes = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return Number.isSafeInteger(bytes) && (bytes as number) >= 0 ? (bytes as number) : undefined;
}

function driverLocation(options: Options): BackingLocation | string {
  const driver = textOf(options, 'driver') ?? '';
  const kind = HOST_DRIVERS.get(driver);
  if (kind !== undefined) {
    const path = textOf(options, 'filename');
    return path === undefined || path.includes('\0') ? `json: driver ${driver} with "filename"` : { kind, path };
  }
  if (!NETWORK_DRIVERS.includes(driver)) return 'json: with a driver of a protocol, or raw with a file inside';
  const uri = textOf(options, 'url') ?? textOf(options, 'uri') ?? textOf(options, 'filename');
  return uri === undefined ? serverLocation(driver, options) : uriLocation(uri);
}

function serverLocation(driver: string, options: Options): BackingLocation | string {
  const server = serverOf(options.get('server')) ?? options;
  const unix = textOf(server, 'type') === 'unix';
  const socket =
    textOf(server, 'socket') ?? (server === options && driver !== 'nbd' ? undefined : textOf(server, 'path'));
  const host = unix ? undefined : (textOf(server, 'host') ?? textOf(options, 'portal'));
  const path = ['export', 'path', 'image', 'volume', 'target', 'vdi', 'device'].map((key) => textOf(options, key));
  const parts = { host, port: textOf(server, 'port'), socket, user: textOf(options, 'user') };
  return networkLocation(driver, { ...parts, path: path.find((value) => value !== undefined && value !== socket) });
}

/** The first of several servers. */
function serverOf(value: unknown): Options | undefined {
  if (!(value instanceof Map)) return undefined;
  return value.get('0') instanceof Map ? value.get('0') : value;
}

/** An option that is a text with something in it, or a number. */
function textOf(options: Options, key: string): string | undefined {
  const value = options.get(key);
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The options with dotted keys taken apart, or what was expected instead. */
function unflattened(json: unknown): Options | string {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'json: with an object';
  const root = new Map<string, unknown>();
  for (const [keys, value] of leaves(json)) {
    let at = root;
    for (const key of keys.slice(0, -1)) {
      const next = at.get(key) ?? new Map<string, unknown>();
      if (!(next instanceof Map)) return 'json: with each option once';
      at.set(key, next);
      at = next;
    }
    const last = keys.at(-1) as string;
    if (at.has(last)) return 'json: with each option once';
    at.set(last, value);
  }
  return root;
}

/** Every value that is no object or array, with the keys that lead to it; not recursive, as the text may come from anybody. */
function leaves(json: object): readonly (readonly [keys: readonly string[], value: unknown])[] {
  const found: [readonly string[], unknown][] = [];
  const rest: [readonly string[], object][] = [[[], json]];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const [above, object] = next;
    for (const [key, value] of Object.entries(object)) {
      const keys = [...above, ...key.split('.')];
      if (typeof value === 'object' && value !== null) rest.push([keys, value]);
      else found.push([keys, value]);
    }
  }
  return found;
}
