import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBackingString } from '../../src/chain/backing-string.js';
import { isDirtyBitmapError } from '../../src/errors.js';

const json = (value: object): string => `json:${JSON.stringify(value)}`;

describe('backing strings, besides those of libvirt', () => {
  it.each<[string, object]>([
    ['./a:b', { kind: 'file', path: './a:b', relative: true }],
    ['fat:floppy:12:/dir', { kind: 'dir', path: '/dir' }],
    ['host_device:/dev/sda', { kind: 'block', path: '/dev/sda' }],
    ['nbd:host:10809', { kind: 'network', protocol: 'nbd', host: 'host', port: 10_809, path: '' }],
    ['nbd:[::1]:1:exportname=a:b', { kind: 'network', protocol: 'nbd', host: '::1', port: 1, path: 'a:b' }],
    ['nbd:unix:/s:exportname=x', { kind: 'network', protocol: 'nbd', transport: 'unix', socket: '/s', path: 'x' }],
    ['nbd+unix:///x?socket=/a%20b', { kind: 'network', protocol: 'nbd', transport: 'unix', socket: '/a b', path: 'x' }],
    ['rbd:pool/image@snap:id=me:key=secret', { kind: 'network', protocol: 'rbd', path: 'pool/image@snap', user: 'me' }],
    ['rbd:pool/a\\:b', { kind: 'network', protocol: 'rbd', path: 'pool/a:b' }],
    [
      'ssh://me@[fe80::1]:22/x/y',
      { kind: 'network', protocol: 'ssh', user: 'me', host: 'fe80::1', port: 22, path: 'x/y' },
    ],
    ['https://host', { kind: 'network', protocol: 'https', host: 'host', path: '' }],
    ['unknown:what/ever', { kind: 'network', protocol: 'unknown', path: 'what/ever' }],
    [
      json({ driver: 'nbd', server: { type: 'inet', host: 'h', port: '10809' }, export: 'e' }),
      { kind: 'network', protocol: 'nbd', host: 'h', port: 10_809, path: 'e' },
    ],
    [
      json({ driver: 'nbd', 'server.type': 'unix', 'server.path': '/s' }),
      { kind: 'network', protocol: 'nbd', socket: '/s', path: '' },
    ],
    [json({ driver: 'nbd', path: '/s', export: 'e' }), { kind: 'network', protocol: 'nbd', socket: '/s', path: 'e' }],
    [
      json({ driver: 'raw', file: { driver: 'gluster', path: 'p', server: [{ host: 'one' }, { host: 'two' }] } }),
      { kind: 'network', protocol: 'gluster', host: 'one', path: 'p' },
    ],
    [
      json({ file: { driver: 'https', url: 'https://h:8/p' } }),
      { kind: 'network', protocol: 'https', host: 'h', port: 8, path: 'p' },
    ],
    [
      json({ driver: 'raw', size: '4096', 'file.driver': 'host_device', 'file.filename': '/dev/x' }),
      { kind: 'block', path: '/dev/x', slice: { offset: 0, size: 4096 } },
    ],
    [
      json({ driver: 'raw', offset: 512, file: { driver: 'file', filename: '/x' } }),
      { kind: 'file', path: '/x', slice: { offset: 512 } },
    ],
  ])('%s', (text, location) => expect(parseBackingString(text)).toEqual(location));

  it.each([
    ['', 'a name of 1 to'],
    ['a\0b', 'without a NUL byte'],
    ['x'.repeat(4097), '4096 characters'],
    [':x', 'a protocol before the colon'],
    ['fat:', 'a path after "fat:"'],
    ['file:', 'a path after "file:"'],
    ['nbd:host', 'nbd:HOST:PORT'],
    ['rbd:', 'rbd:POOL/IMAGE'],
    ['nbd://host:99999/x', 'a port'],
    ['nbd://ho st:x/', 'a URI'],
    ['json:[]', 'an object'],
    ['json:null', 'an object'],
    [json({ file: 'node' }), '"driver" or "file"'],
    [json({ file: { driver: 'file', filename: 7 }, 'file.filename': '/x' }), 'each option once'],
    [json({ file: 'x', 'file.driver': 'file' }), 'each option once'],
    [json({ driver: 'file', file: { driver: 'file', filename: '/x' } }), 'with "filename"'],
    [json({ driver: 'file', filename: '/a\0b' }), 'with "filename"'],
    [
      json({ driver: 'raw', file: { driver: 'raw', file: { driver: 'file', filename: '/x' } } }),
      'a driver of a protocol',
    ],
    [json({ driver: 'raw', offset: -1, file: { driver: 'file', filename: '/x' } }), '"offset" and "size"'],
    [json({ driver: 'raw', size: 1.5, file: { driver: 'file', filename: '/x' } }), '"offset" and "size"'],
    ['json:{"__proto__":{"driver":"file","filename":"/x"}}', '"driver" or "file"'],
  ])('refuses %s', (text, expected) => {
    expect(() => parseBackingString(text)).toThrow(
      expect.objectContaining({ code: 'backing-string', message: expect.stringContaining(expected) }),
    );
  });

  it('is a file name exactly where no colon comes before the first slash', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom('a', '/', ':', '.', '\\') }),
        (text) => {
          const colon = text.indexOf(':');
          const slash = text.indexOf('/');
          if (colon < 0 || (slash >= 0 && slash < colon)) {
            expect(parseBackingString(text)).toEqual({ kind: 'file', path: text, relative: slash !== 0 });
          } else if (colon > 0) expect(parse(text)?.kind).not.toBe('file');
        },
      ),
    );
  });

  it('gives a location or its own error for anything, soon', () => {
    const begin = fc.constantFrom('json:', 'nbd:', 'rbd:', 'nbd://', 'fat:', '');
    const options = fc.object({
      key: fc.constantFrom('driver', 'file', 'file.driver', 'server', '0', 'filename', '__proto__'),
    });
    const text = fc.oneof(
      fc.tuple(begin, fc.string()).map((parts) => parts.join('')),
      options.map(json),
    );
    fc.assert(
      fc.property(text, (one) => void parse(one)),
      { numRuns: 2000 },
    );
    for (const long of [
      `json:${'['.repeat(4000)}`,
      `json:${'{"a":'.repeat(700)}1${'}'.repeat(700)}`,
      `x://${'@'.repeat(4000)}`,
    ])
      parse(long);
  });
});

function parse(text: string): ReturnType<typeof parseBackingString> | undefined {
  try {
    return parseBackingString(text);
  } catch (error) {
    if (!isDirtyBitmapError(error) || error.code !== 'backing-string') throw error;
    return undefined;
  }
}
