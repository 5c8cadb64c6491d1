import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../src/io/address.js';

describe('an address', () => {
  it.each([
    ['unix:/run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
    ['unix:a:b', { kind: 'unix', path: 'a:b' }],
    ['tcp:localhost:4444', { kind: 'tcp', host: 'localhost', port: 4444 }],
    ['tcp:0.0.0.0:0', { kind: 'tcp', host: '0.0.0.0', port: 0 }],
    ['tcp:[::1]:1', { kind: 'tcp', host: '::1', port: 1 }],
  ])('%s is read, and written the same', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(formatAddress(parseAddress(text))).toBe(text);
  });

  it('without a host is of the loopback, not of every network as in QEMU', () => {
    expect(parseAddress('tcp::4444')).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 4444 });
  });

  it.each(['', 'unix:', 'tcp:host', 'tcp:host:', 'tcp:host:65536', 'tcp:::1:4', 'fd:3', `unix:/${'x'.repeat(107)}`])(
    '%j is none',
    (text) => {
      expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'argument' }));
    },
  );
});
