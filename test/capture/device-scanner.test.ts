import { describe, expect, it } from 'vitest';
import { ByteQueue } from '../../src/bytes/byte-queue.js';
import { DeviceScanner } from '../../src/capture/device-scanner.js';
import { resolveLimits } from '../../src/limits.js';
import { errorOf } from '../bytes/error-of.js';
import { EOF, fill, footer, full, join, type Part, u32 } from '../support/stream-builder.js';

const SECTION = { id: 7, name: 'dev', instance: 0, version: 1 };

/** Scans bytes that begin at the body of a device with the id 7; id 2 is an iterable, 3 a device. */
function scan(body: Part, form: { maxSections?: number } = {}) {
  const bytes = join(body);
  const queue = new ByteQueue();
  let asked = 0;
  const known = (id: number) => {
    asked++;
    return id === 2 ? ('iterable' as const) : id === 3 ? ('device' as const) : undefined;
  };
  const limits = resolveLimits(form.maxSections === undefined ? {} : { maxSections: form.maxSections });
  const scanner = new DeviceScanner(queue, { known, tail: false, total: undefined }, limits);
  scanner.begin(SECTION, 0, undefined);
  queue.push(bytes);
  return { places: () => scanner.run(true), asked: () => asked, length: bytes.length };
}

/** A header that could be one, with an id of its own, and no body. */
const header = (id: number): Part => full(id, 'x', [], { footer: false });

describe('the search for the end of a device', () => {
  it('finds the chain of devices that leads to the end', () => {
    const { places } = scan([fill(3), footer(7), full(8, 'a', fill(4)), full(9, 'b', fill(5)), EOF]);
    expect(places()?.map(({ section, bodyOffset, bodyEnd }) => [section.name, bodyEnd - bodyOffset])).toEqual([
      ['dev', 3],
      ['a', 4],
      ['b', 5],
    ]);
  });

  it('follows all possibilities until one of them leads on', () => {
    // The device holds what looks like its own end and the begin of another, twice.
    const planted = [footer(7), header(50), fill(4), footer(7), header(51), fill(4)];
    const { places } = scan([planted, footer(7), full(8, 'a', [fill(2), footer(50), fill(2)]), EOF]);
    expect(places()?.map(({ section, bodyOffset, bodyEnd }) => [section.name, bodyEnd - bodyOffset])).toEqual([
      ['dev', join(planted).length],
      ['a', 2 + 5 + 2],
    ]);
  });

  it('gives up where there are more possible ends than allowed', () => {
    const planted = Array.from({ length: 20 }, (_, at) => [footer(7), header(100 + at)]);
    expect(errorOf(() => scan(planted, { maxSections: 10 }).places())).toMatchObject({
      code: 'device-unsized',
      offset: 0,
      message: expect.stringContaining('too many possible ends'),
    });
  });

  it.each([
    ['PART of a section that is not known', [0x02, u32(9)]],
    ['a section of an id that is taken', header(2)],
    ['a section that could be one', header(77)],
    ['PART of a device', [0x02, u32(3)]],
  ])('costs a few steps a byte, however many possible ends a hostile device makes up: %s', (_what, follows) => {
    const many = 2000;
    // Each pair makes one more section with the id 99 that may have begun; then each footer may be the end of all of them.
    const begun = Array.from({ length: many }, () => [footer(7), header(99)]);
    const ended = Array.from({ length: many }, () => [footer(99), follows]);
    const scanned = scan([begun, ended, fill(400, 0xff)]);
    try {
      scanned.places();
    } catch {
      // Too many of them is a right answer.
    }
    expect(scanned.asked()).toBeGreaterThan(many);
    expect(scanned.asked()).toBeLessThan(scanned.length);
  });
});
