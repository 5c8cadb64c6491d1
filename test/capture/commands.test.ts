import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/capture/items.js';
import { chopEverywhere } from '../support/chop.js';
import { command, configuration, EOF, fill, hex, join, type Part, qevm, str8, u64 } from '../support/stream-builder.js';
import { decode, lastFinding, read } from './read.js';

const stream = (...items: readonly Part[]): Uint8Array => qevm(configuration(), ...items, EOF);
const OFFSET = 17;

/** The command events of a stream. */
function commandsOf(...items: readonly Part[]): (Omit<Command, 'payload'> & { payload: number[] })[] {
  return decode(stream(...items)).events.flatMap((event) => ('command' in event ? [event.command as never] : []));
}

const RAM_DISCARD = [0, str8('pc.ram'), 0, u64(0x1000), u64(0x2000), u64(0x8000), u64(0x1000)];

/** Every command that is known, with a payload that it may have. */
const KNOWN: readonly [id: number, name: string, payload: Part][] = [
  [1, 'OPEN_RETURN_PATH', []],
  [2, 'PING', hex('00000042')],
  [3, 'POSTCOPY_ADVISE', []],
  [3, 'POSTCOPY_ADVISE', [u64(4096), u64(4096)]],
  [4, 'POSTCOPY_LISTEN', []],
  [5, 'POSTCOPY_RUN', []],
  [6, 'POSTCOPY_RAM_DISCARD', RAM_DISCARD],
  [8, 'ENABLE_COLO', []],
  [9, 'POSTCOPY_RESUME', []],
  [9, 'POSTCOPY_RESUME', str8('pc.ram')],
  [10, 'RECV_BITMAP', str8('pc.ram')],
  [11, 'SWITCHOVER_START', []],
];

describe('a command', () => {
  it.each(KNOWN)('%d is %s', (id, name, payload) => {
    const bytes = [...join(payload)];
    expect(commandsOf(command(id, payload))).toEqual([
      {
        ...{ id, name, offset: OFFSET, length: 5 + bytes.length, payloadLength: bytes.length },
        ...{ payload: bytes.slice(0, 32), packageBytes: undefined },
      },
    ]);
    expect(read(stream(command(id, payload))).codes).toEqual([]);
  });

  it.each([0, 12, 13, 255, 256, 65_535])('%d is not known: command-invalid, and stepped over by its length', (id) => {
    const { findings, reader } = read(stream(command(id, fill(7, 0x7e)), command(1)));
    expect(findings[0]).toMatchObject({ code: 'command-invalid', severity: 'error', offset: OFFSET });
    expect(findings[0]?.message).toContain(`command ${id} is not known; stepped over 7 bytes of it`);
    expect(reader.summary).toMatchObject({ complete: true, commands: [`UNKNOWN_${id}`, 'OPEN_RETURN_PATH'] });
  });

  it.each([
    [1, 'OPEN_RETURN_PATH', 1, '0'],
    [2, 'PING', 3, '4'],
    [3, 'POSTCOPY_ADVISE', 8, '0 or 16'],
    [4, 'POSTCOPY_LISTEN', 4, '0'],
    [5, 'POSTCOPY_RUN', 65_535, '0'],
    [7, 'PACKAGED', 8, '4'],
    [7, 'PACKAGED', 0, '4'],
    [11, 'SWITCHOVER_START', 1, '0'],
  ])('%d (%s) with %d bytes is command-invalid, and stepped over by its length', (id, name, length, expected) => {
    const { findings, reader } = read(stream(command(id, fill(length, 0x7e)), command(4)));
    expect(findings[0]).toMatchObject({ code: 'command-invalid', offset: OFFSET });
    expect(findings[0]?.message).toContain(`command ${name} has ${length} bytes of payload, expected ${expected}`);
    expect(reader.summary.complete).toBe(true);
    expect(reader.summary.postcopy).toBe(false);
  });

  it('with a long payload is told by its first 32 bytes', () => {
    const payload = Uint8Array.from({ length: 100 }, (_, at) => at);
    expect(commandsOf(command(6, payload))).toMatchObject([
      { payload: [...payload.subarray(0, 32)], payloadLength: 100, length: 105 },
    ]);
  });

  it('with a payload that looks like items is not taken for them', () => {
    const { reader, codes } = read(stream(command(6, join(EOF, 'QEVM', fill(70, 0x01)))));
    expect(codes).toEqual([]);
    expect(reader.summary.sections).toEqual([]);
  });

  it('may stand anywhere between sections, and is the same however the bytes are cut', () => {
    const bytes = stream(
      KNOWN.map(([id, , payload]) => command(id, payload)),
      command(99, fill(40)),
    );
    const whole = decode(bytes);
    expect(whole.events.filter((event) => 'command' in event)).toHaveLength(KNOWN.length + 1);
    for (const pieces of chopEverywhere(bytes)) expect(decode(pieces)).toEqual(whole);
  });

  it('is stream-cut wherever it is cut', () => {
    const bytes = stream(command(6, fill(50)));
    for (let length = OFFSET; length < bytes.length - 1; length++) {
      expect(lastFinding(bytes.subarray(0, length))).toMatchObject({ code: 'stream-cut', offset: length });
    }
  });

  it('that comes again directly is summed up once', () => {
    const items = [
      command(1),
      command(2, u64(1).subarray(4)),
      command(2, u64(2).subarray(4)),
      command(3),
      command(2, u64(3).subarray(4)),
    ];
    expect(read(stream(items)).reader.summary.commands).toEqual([
      'OPEN_RETURN_PATH',
      'PING',
      'POSTCOPY_ADVISE',
      'PING',
    ]);
  });

  it('is summed up only so often, however many there are', () => {
    const items = Array.from({ length: 1000 }, (_, at) => command(at % 2 === 0 ? 1 : 4));
    expect(read(stream(items)).reader.summary.commands).toHaveLength(64);
  });
});
