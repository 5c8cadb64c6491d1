import { describe, expect, it } from 'vitest';
import { chopEverywhere } from '../support/chop.js';
import {
  ADVISE,
  capabilities,
  command,
  configuration,
  EOF,
  fill,
  type Part,
  part,
  qevm,
  RAM_EOS,
  start,
  str8,
  u64,
} from '../support/stream-builder.js';
import { decode, lastFinding, read, sections } from './read.js';

const PAGE = 4096;
const MEM_SIZE = 0x04;
/** A record for a block: it shows that the list ended where it should, and that the block is in it. */
const zero = (block: string): Part => [u64(0x02), str8(block), 0];
const list = (total: number, ...entries: readonly Part[]): Part => [u64(total + MEM_SIZE), entries];
const entry = (name: string, used: number | bigint, ...extras: readonly Part[]): Part => [
  str8(name),
  u64(used),
  extras,
];

const ram = (head: Part, ...body: readonly Part[]): Uint8Array => qevm(head, start(2, 'ram', [...body, RAM_EOS]), EOF);
const PC = configuration('pc');
const SHARED = configuration('pc', capabilities('x-ignore-shared'));
const POSTCOPY = [PC, command(ADVISE, [u64(PAGE | (2 << 20)), u64(PAGE)])];

/** Every list ends where the next record begins. */
const LISTS: readonly [what: string, head: Part, body: Part][] = [
  ['is empty on -machine none', PC, list(0)],
  ['has one block', PC, [list(PAGE, entry('a', PAGE)), zero('a')]],
  [
    'has several blocks',
    PC,
    [list(7 * PAGE, entry('a', PAGE), entry('/rom@b', 2 * PAGE), entry('c', 4 * PAGE)), zero('c'), zero('/rom@b')],
  ],
  ['has a name of 255 bytes', PC, [list(PAGE, entry('n'.repeat(255), PAGE)), zero('n'.repeat(255))]],
  ['has a block above 4 GiB', PC, [list(2 ** 40, entry('big', 2 ** 40)), zero('big')]],
  [
    'has addresses with x-ignore-shared',
    SHARED,
    [
      list(3 * PAGE, entry('a', PAGE, u64(0)), entry('b', PAGE, u64(0xfffc_0000)), entry('c', PAGE, u64(0xc_0000))),
      zero('b'),
    ],
  ],
  ['has an address of 0 last', SHARED, [list(PAGE, entry('a', PAGE, u64(0))), zero('a')]],
  [
    'has the page size of a block of large pages, in postcopy',
    POSTCOPY,
    [list(4 << 20, entry('huge', 2 << 20, u64(2 << 20)), entry('small', 2 << 20)), zero('small')],
  ],
  [
    'has the page size of the last block',
    POSTCOPY,
    [list(4 << 20, entry('small', 2 << 20), entry('huge', 2 << 20, u64(2 << 20))), zero('huge')],
  ],
  ['has page sizes of 1 GiB', POSTCOPY, [list(2 ** 30, entry('huge', 2 ** 30, u64(2 ** 30))), zero('huge')]],
  [
    'has nothing more where x-ignore-shared is off',
    PC,
    [list(2 * PAGE, entry('a', PAGE), entry('b', PAGE)), zero('b')],
  ],
];

describe('the RAM block list', () => {
  it.each(LISTS)('%s', (_what, head, body) => {
    const stream = ram(head, body);
    expect(read(stream).codes).toEqual([]);
    expect(sections(stream)).toHaveLength(1);
  });

  it.each(LISTS)('%s, however the bytes are cut', (_what, head, body) => {
    const stream = ram(head, body);
    const whole = decode(stream);
    for (const pieces of chopEverywhere(stream)) expect(decode(pieces)).toEqual(whole);
  });

  it('is followed by the next record, which is no extra: it has a flag', () => {
    for (const record of [[], u64(0x80), u64(0x200), [u64(0xc_0000 + 0x02), str8('a'), 0]]) {
      const stream = ram(SHARED, list(PAGE, entry('a', PAGE)), record);
      expect(read(stream).codes).toEqual([]);
      expect(sections(stream)).toHaveLength(1);
    }
  });

  it('is told once, in START; later sections refer to it', () => {
    const stream = qevm(
      PC,
      start(2, 'ram', [list(PAGE, entry('a', PAGE)), RAM_EOS]),
      part(2, [zero('a'), RAM_EOS]),
      EOF,
    );
    expect(read(stream).codes).toEqual([]);
  });

  it.each<[what: string, body: Part, says: RegExp]>([
    ['has a block of no bytes', list(PAGE, entry('a', 0)), /block "a" has 0 bytes, where 1 to 4096 are left/],
    [
      'has a block larger than all of RAM',
      list(PAGE, entry('a', PAGE + 1)),
      /block "a" has 4097 bytes, where 1 to 4096 are left/,
    ],
    [
      'has a block larger than what is left',
      list(3 * PAGE, entry('a', 2 * PAGE), entry('b', 2 * PAGE)),
      /block "b" has 8192 bytes, where 1 to 4096 are left/,
    ],
    ['has a block without a name', list(PAGE, entry('', PAGE)), /a RAM block without a name/],
    ['has more RAM than a number holds', [u64((1n << 60n) + 4n)], /a RAM size above 2\^53-1 bytes/],
  ])('is ram-invalid where it %s', (_what, body, says) => {
    expect(lastFinding(ram(PC, body))).toMatchObject({ code: 'ram-invalid', message: expect.stringMatching(says) });
  });

  it('is u64-too-large where a block has more bytes than a number holds', () => {
    const finding = lastFinding(ram(PC, list(PAGE, entry('a', 1n << 60n))));
    expect(finding).toMatchObject({ code: 'u64-too-large', message: expect.stringContaining('ram.block.usedLength') });
  });

  it('has as many blocks as allowed', () => {
    const blocks = Array.from({ length: 5 }, (_, at) => entry(`b${at}`, PAGE));
    const stream = ram(PC, list(5 * PAGE, ...blocks));
    expect(read(stream, { limits: { maxRamBlocks: 5 } }).codes).toEqual([]);
    const finding = lastFinding(stream, { limits: { maxRamBlocks: 4 } });
    expect(finding).toMatchObject({ code: 'limit', message: 'more than 4 RAM blocks; raise maxRamBlocks' });
  });

  it('is stream-cut wherever it is cut', () => {
    const stream = ram(SHARED, list(2 * PAGE, entry('a', PAGE, u64(0)), entry('b', PAGE, u64(0))));
    const bodyStart = stream.length - 1 - 5 - 8 - 2 * (2 + 8 + 8) - 8;
    for (let length = bodyStart; length < stream.length - 6; length++) {
      expect(lastFinding(stream.subarray(0, length))).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });

  it('is not confused by a page size and an address that are zero', () => {
    const stream = ram(SHARED, list(2 * PAGE, entry('a', PAGE, fill(8)), entry('b', PAGE, fill(8))), zero('a'));
    expect(read(stream).codes).toEqual([]);
  });
});
