import { describe, expect, it } from 'vitest';
import { DirtyBitmapError } from '../../src/errors.js';
import { queryMigrationBits, queryMigrationSide } from '../../src/qmp/query-migration-side.js';
import { answers, release, toldNode } from '../support/migration-answers.js';

const refused = (message: string): (() => never) => {
  return () => {
    throw new DirtyBitmapError('qmp-refused', message);
  };
};

/** Answers as a QEMU of that release, but for what is given; remembers what it was asked. */
class ToldQemu {
  readonly asked: string[] = [];
  readonly #more: Readonly<Record<string, (args: object | undefined) => unknown>>;

  constructor(more: Readonly<Record<string, (args: object | undefined) => unknown>>) {
    this.#more = more;
  }

  async execute<T>(command: string, args?: object): Promise<T> {
    this.asked.push(command);
    const all = answers([toldNode('disk0', 2 ** 30, [{}, { name: 'void', inconsistent: true }])]);
    const usual: Readonly<Record<string, unknown>> = {
      'query-named-block-nodes': all.nodes,
      'query-block': all.drives,
      'query-migrate': all.migration,
      'query-migrate-capabilities': all.capabilities,
      'query-migrate-parameters': all.parameters,
      'query-status': all.status,
      'query-version': all.version,
    };
    const own = this.#more[command];
    return (own === undefined ? usual[command] : own(args)) as T;
  }
}

describe('queryMigrationSide', () => {
  /** As 10.0.13 and 11.1.3 answer `info migrate`, with `-a` and without. */
  const hmp =
    (withAll: string, without: string) =>
    (args: object | undefined): string =>
      JSON.stringify(args).includes('-a') ? withAll : without;

  it.each([
    [
      '10.0',
      hmp('migrate: extraneous characters at the end of line\r\n', 'globals:\r\nsend-switchover-start: on\r\n'),
      true,
    ],
    ['11.1', hmp('Globals:\r\n  store-global-state: on\r\n  send-switchover-start: off\r\n', ''), false],
    ['one that does not tell', hmp('', ''), undefined],
    ['one without that command', refused('unknown command'), undefined],
  ])('SWITCHOVER_START of %s', async (_, monitor, expected) => {
    const qemu = new ToldQemu({ 'query-version': () => release(10, 0), 'human-monitor-command': monitor });
    expect((await queryMigrationSide(qemu)).switchoverStart).toBe(expected);
  });

  it('is not asked of an older one', async () => {
    const qemu = new ToldQemu({});
    await queryMigrationSide(qemu);
    expect(qemu.asked).not.toContain('human-monitor-command');
  });

  it('a node that has lost its image; any other refusal is one', async () => {
    const ejected = 'QEMU refused query-named-block-nodes: "Block device disk0 is ejected" ("GenericError")';
    const side = await queryMigrationSide(new ToldQemu({ 'query-named-block-nodes': refused(ejected) }));
    expect([side.ejected, [...side.graph.nodes]]).toEqual([ejected, []]);
    const other = queryMigrationSide(new ToldQemu({ 'query-named-block-nodes': refused('no') }));
    await expect(other).rejects.toMatchObject({ code: 'qmp-refused' });
  });
});

describe('queryMigrationBits', () => {
  it('hashes what it may, and goes on without the others', async () => {
    const hash = (args: object | undefined): object =>
      JSON.stringify(args).includes('void') ? refused('inconsistent')() : { sha256: 'aa' };
    const side = await queryMigrationBits(new ToldQemu({ 'x-debug-block-dirty-bitmap-sha256': hash }));
    expect([...side.hashes].map(([bitmap, sha256]) => [bitmap.name?.text, sha256])).toEqual([['b0', 'aa']]);
  });

  it.each([
    ['running', 0],
    ['paused', 1],
  ])('a large bitmap, %s: asked for %i', async (status, times) => {
    const qemu = new ToldQemu({
      'query-named-block-nodes': () => [toldNode('disk0', 2 ** 41, [{}])],
      'query-status': () => ({ status }),
      'x-debug-block-dirty-bitmap-sha256': () => ({ sha256: 'aa' }),
    });
    expect((await queryMigrationBits(qemu)).hashes.size).toBe(times);
  });
});
