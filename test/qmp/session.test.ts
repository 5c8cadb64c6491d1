import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type QmpOutput, QmpSession } from '../../src/qmp/session.js';
import { codeOf } from '../support/chunks.js';

const GREETING = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 }, package: '' }, capabilities: ['oob'] } };
const encode = (...messages: unknown[]): Uint8Array =>
  new TextEncoder().encode(messages.map((one) => `${JSON.stringify(one)}\r\n`).join(''));

/** A session with what it sends kept. */
class World {
  readonly session: QmpSession;
  readonly sent: unknown[] = [];

  constructor(limits = {}) {
    this.session = new QmpSession(limits);
  }

  push(bytes: Uint8Array): QmpOutput[] {
    return [...this.session.push(bytes, (reply) => this.sent.push(JSON.parse(new TextDecoder().decode(reply))))];
  }

  ready(): this {
    this.push(encode(GREETING, { return: {}, id: 1 }));
    return this;
  }
}

describe('QmpSession', () => {
  it('agrees on the capabilities when QEMU greets, and is ready after that', () => {
    const world = new World();
    expect(world.session.state).toBe('greeting');
    expect(codeOf(() => world.session.command('query-block'))).toBe('state-invalid');
    expect(world.push(encode(GREETING))).toEqual([{ kind: 'greeting', version: '7.2.22' }]);
    expect(world.sent).toEqual([{ execute: 'qmp_capabilities', id: 1 }]);
    expect(world.session.state).toBe('negotiating');
    expect(world.push(encode({ return: {}, id: 1 }))).toEqual([]);
    expect(world.session.state).toBe('ready');
  });

  it('gives answers by id in whatever order, refusals as errors, and events between them', () => {
    const world = new World().ready();
    const a = world.session.command('query-block');
    const b = world.session.command('transaction', { actions: [] });
    expect(JSON.parse(new TextDecoder().decode(b.bytes))).toEqual({
      execute: 'transaction',
      arguments: { actions: [] },
      id: b.id,
    });
    const event = { timestamp: { seconds: 5, microseconds: 1 }, event: 'STOP' };
    const error = { class: 'GenericError', desc: 'Bitmap "x" is busy' };
    const outputs = world.push(encode({ error, id: b.id }, event, { return: [1], id: a.id }));
    expect(outputs).toEqual([
      {
        kind: 'reply',
        id: b.id,
        command: 'transaction',
        result: { error: expect.objectContaining({ code: 'qmp-refused' }) },
      },
      { kind: 'event', name: 'STOP', data: {}, seconds: 5 },
      { kind: 'reply', id: a.id, command: 'query-block', result: { value: [1] } },
    ]);
    expect(world.session.waiting).toBe(0);
  });

  it('takes pieces of any size, also where one message lies on many lines', () => {
    const pretty = JSON.stringify({ return: { text: 'a "}{" \\ é \n' }, id: 2 }, undefined, 4);
    const bytes = new TextEncoder().encode(`${JSON.stringify(GREETING)}\n{"return": {}, "id": 1}\n${pretty}\n`);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
        const world = new World();
        const outputs: QmpOutput[] = [];
        let asked = false;
        for (let at = 0, step = 0; at < bytes.length; step++) {
          const end = at + (sizes[step % sizes.length] as number);
          outputs.push(...world.push(bytes.slice(at, end)));
          if (world.session.state === 'ready' && !asked) {
            asked = true;
            world.session.command('x');
          }
          at = end;
        }
        expect(outputs.at(-1)).toMatchObject({
          kind: 'reply',
          command: 'x',
          result: { value: { text: 'a "}{" \\ é \n' } },
        });
      }),
      { examples: [[[1]], [[40]]], numRuns: 50 },
    );
  });

  it.each([
    ['garbage', 'hello\n', 'qmp-protocol'],
    ['another JSON', '{"jsonrpc": "2.0"}', 'qmp-protocol'],
    ['an array', '[1]', 'qmp-protocol'],
    ['no JSON within', '{abc}', 'qmp-protocol'],
    ['bytes that are no UTF-8', '{"a": "\u0000"}', 'qmp-protocol'],
    ['an endless message', `{"a": "${'x'.repeat(2000)}`, 'limit'],
  ])('%s ends it, with the same error from then on', (_, text, code) => {
    const world = new World({ maxQmpBytes: 1000 });
    expect(codeOf(() => world.push(new TextEncoder().encode(text)))).toBe(code);
    expect(world.session.state).toBe('closed');
    expect(codeOf(() => world.push(encode({})))).toBe(code);
    expect(codeOf(() => world.session.command('x'))).toBe(code);
  });

  it.each([
    ['an id that was not given', { return: {}, id: 99 }],
    ['no id', { return: {} }],
    ['an answer that is none', { id: 2 }],
    ['an error that is none', { id: 2, error: 'no' }],
  ])('%s is against the protocol', (_, message) => {
    const world = new World().ready();
    world.session.command('x');
    expect(codeOf(() => world.push(encode(message)))).toBe('qmp-protocol');
  });

  it('an endless message is not kept: what is over the limit is refused at once', () => {
    const world = new World({ maxQmpBytes: 1000 }).ready();
    const piece = new TextEncoder().encode('{'.repeat(100));
    let pieces = 0;
    expect(
      codeOf(() => {
        for (; pieces < 1000; pieces++) world.push(piece);
      }),
    ).toBe('limit');
    expect(pieces).toBeLessThan(11);
  });

  it('does not take more commands than may wait', () => {
    const world = new World({ maxQmpCommands: 2 }).ready();
    world.session.command('a');
    world.session.command('b');
    expect(codeOf(() => world.session.command('c'))).toBe('limit');
  });

  it('says which commands were not answered when the connection ends', () => {
    const world = new World().ready();
    const { id } = world.session.command('transaction');
    expect(world.session.end()).toMatchObject([{ id, command: 'transaction', error: { code: 'qmp-closed' } }]);
    expect(codeOf(() => world.session.command('x'))).toBe('qmp-closed');
  });

  it('a flood of events is handed on one by one, and nothing of it is kept', () => {
    const world = new World().ready();
    const flood = encode(...Array.from({ length: 1000 }, () => ({ event: 'BLOCK_IO_ERROR', data: { device: 'd' } })));
    let count = 0;
    for (let round = 0; round < 20; round++) count += world.push(flood).length;
    expect(count).toBe(20_000);
  });
});
