import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { jsonLocation } from './backing-json.js';
import { colonLocation, uriLocation } from './backing-uri.js';
import type { BackingLocation } from './location.js';

/** What stands before the first colon, where no slash comes before it. */
const PROTOCOL = /^([^/:]*):(.*)$/s;
/** Characters of a name, at most; more than QEMU and Linux take. */
const MAX_NAME = 4096;
/** Options of QEMU's driver for directories. */
const FAT_OPTIONS = /^(?:(?:rw|floppy|12|16|32|label=[^:]*):)*/;

/**
 * Where a backing string points. It is a file name unless a colon comes before the first slash (`./a:b` is a file): then
 * it is `json:`, `fat:` and a directory, a URI, or a protocol with its own form. Nothing is opened or fetched.
 * Source: merge-and-chain.md section 11; QEMU's prefixes `file:`, `host_device:` and `host_cdrom:` count, too.
 * @throws DirtyBitmapError `backing-string`.
 * @example
 * parseBackingString('nbd+tcp://example.org:6000/blah'); // { kind: 'network', protocol: 'nbd', host: 'example.org', ... }
 */
export function parseBackingString(text: string): BackingLocation {
  if (text === '' || text.length > MAX_NAME || text.includes('\0')) {
    throw refused(text, `a name of 1 to ${MAX_NAME} characters without a NUL byte`);
  }
  const [, protocol, rest = ''] = PROTOCOL.exec(text) ?? [];
  if (protocol === undefined) return { kind: 'file', path: text, relative: !text.startsWith('/') };
  const location = protocolLocation(protocol, rest, text);
  if (typeof location === 'string') throw refused(text, location);
  if (location.kind === 'network' || location.path !== '') return location;
  throw refused(text, `a path after "${protocol}:"`);
}

/** Where it points, or what was expected instead. */
function protocolLocation(protocol: string, rest: string, text: string): BackingLocation | string {
  if (protocol === '') return 'a protocol before the colon, or "./" before a file name';
  if (protocol === 'json') return jsonLocation(rest);
  if (protocol === 'fat') return { kind: 'dir', path: rest.replace(FAT_OPTIONS, '') };
  if (protocol === 'file') return { kind: 'file', path: rest };
  if (protocol === 'host_device' || protocol === 'host_cdrom') return { kind: 'block', path: rest };
  return rest.startsWith('//') ? uriLocation(text) : colonLocation(protocol, rest);
}

function refused(text: string, expected: string): DirtyBitmapError {
  const advice = 'write the right one with qemu-img rebase -u';
  return new DirtyBitmapError('backing-string', `expected ${expected}, found ${quoted(text, 256)}; ${advice}`);
}
