import { describe, expect, it } from 'vitest';
import type { BitmapPlan } from '../../src/chain/actions.js';
import { planOperation } from '../../src/chain/plan-operation.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { type Applied, applyPlan } from '../../src/qmp/apply-plan.js';
import type { QmpExecutor } from '../../src/qmp/commands.js';

/** What becomes of a command: done, refused, its answer lost before or after it was done. */
type Fate = 'done' | 'refused' | 'lost' | 'lost after' | 'late after';

/** A QEMU with a chain of two layers that both have a bitmap; the lower one is read-only. */
class FakeQemu implements QmpExecutor {
  readonly sent: string[] = [];
  readonly fates: Record<string, Fate[]> = {};
  readonly bitmaps: Record<string, string[]> = { top: ['b'], base: ['b'] };
  readOnly = true;
  closed = false;
  /** Says that it did what it did not do. */
  lies = false;

  async execute<T>(command: string, args?: object): Promise<T> {
    if (this.closed) throw new DirtyBitmapError('qmp-closed', 'the connection to QEMU has ended');
    this.sent.push(command);
    const fate = this.fates[command]?.shift() ?? 'done';
    if (fate === 'refused') throw new DirtyBitmapError('qmp-refused', `QEMU refused ${command}: "no" (GenericError)`);
    if (fate === 'lost') this.#lose();
    const answer = this.#do(command, args as never);
    if (fate === 'lost after') this.#lose();
    if (fate === 'late after') throw new DirtyBitmapError('qmp-timeout', 'no answer');
    return answer as T;
  }

  #lose(): never {
    this.closed = true;
    throw new DirtyBitmapError('qmp-closed', 'the connection to QEMU ended before it was answered');
  }

  #do(command: string, args: { actions: BitmapPlan['actions']; options: { 'read-only': boolean }[] }): unknown {
    if (command === 'query-block') return [];
    if (command === 'query-named-block-nodes') {
      return Object.entries(this.bitmaps).map(([node, names]) => ({
        ...{ 'node-name': node, drv: 'qcow2', ro: node === 'base' && this.readOnly },
        children: node === 'top' ? [{ child: 'backing', 'node-name': 'base' }] : [],
        'dirty-bitmaps': names.map((name) => ({
          name,
          granularity: 512,
          count: 512,
          recording: true,
          persistent: true,
        })),
      }));
    }
    if (command === 'blockdev-reopen') this.readOnly = args.options[0]?.['read-only'] ?? true;
    if (command === 'transaction' && !this.lies) {
      for (const { data } of args.actions) {
        if ('name' in data) this.bitmaps[data.node] = (this.bitmaps[data.node] ?? []).filter((n) => n !== data.name);
      }
    }
    return {};
  }
}

/** Deletes the bitmap of both layers. */
async function apply(
  qemu: FakeQemu,
  more: { readonly reconnects?: boolean; readonly bitmap?: string } = {},
): Promise<Applied> {
  return await applyPlan(qemu, {
    plan: ({ nodes }) => planOperation(['top', 'base'], nodes, { kind: 'delete', bitmap: more.bitmap ?? 'b' }),
    reconnect: async () => {
      if (more.reconnects === false) throw new DirtyBitmapError('file-access', 'nobody listens');
      qemu.closed = false;
      return qemu;
    },
  });
}

const changes = (qemu: FakeQemu): string[] => qemu.sent.filter((command) => !command.startsWith('query'));
const ALL = ['blockdev-reopen', 'transaction', 'blockdev-reopen'];

describe('applyPlan', () => {
  it('reopens, does one transaction, reopens, and asks again', async () => {
    const qemu = new FakeQemu();
    const { result, steps, error } = await apply(qemu);
    expect([result, error, changes(qemu), qemu.readOnly]).toEqual(['done', undefined, ALL, true]);
    expect(steps).toEqual([
      'reopen read-write: base: done',
      'transaction of 2 actions: done',
      'reopen read-only: base: done',
      'asked again: the bitmaps are as planned',
    ]);
  });

  it('sends nothing where there are problems, or nothing to do', async () => {
    const qemu = new FakeQemu();
    expect(await apply(qemu, { bitmap: 'x' })).toMatchObject({ result: 'problems', error: { code: 'plan-refused' } });
    const plan = { actions: [], skipped: [], problems: [], reopen: [] };
    expect(await applyPlan(qemu, { plan: () => plan })).toMatchObject({ result: 'nothing' });
    expect(changes(qemu)).toEqual([]);
  });

  it('undoes the reopening where the transaction is refused, and says what QEMU said', async () => {
    const qemu = new FakeQemu();
    qemu.fates['transaction'] = ['refused'];
    const { result, error, steps } = await apply(qemu);
    expect([result, error?.code, changes(qemu), qemu.readOnly]).toEqual(['refused', 'qmp-refused', ALL, true]);
    expect(steps[1]).toMatch(/^transaction of 2 actions: refused: QEMU refused transaction: "no"/);
    expect(qemu.bitmaps).toEqual({ top: ['b'], base: ['b'] });
  });

  it('does not get to the transaction where reopening is refused or lost', async () => {
    const refused = new FakeQemu();
    refused.fates['blockdev-reopen'] = ['refused'];
    expect(await apply(refused)).toMatchObject({ result: 'refused' });
    const lost = new FakeQemu();
    lost.fates['blockdev-reopen'] = ['lost'];
    expect(await apply(lost)).toMatchObject({ result: 'not-done', error: { code: 'qmp-closed' } });
    const gone = new FakeQemu();
    gone.fates['blockdev-reopen'] = ['lost after'];
    expect(await apply(gone, { reconnects: false })).toMatchObject({
      result: 'not-done',
      steps: expect.arrayContaining(['perhaps left read-write: base']),
    });
    const reopen = 'blockdev-reopen';
    expect([changes(refused), changes(lost), changes(gone)]).toEqual([[reopen], [reopen, reopen], [reopen]]);
    expect(lost.readOnly).toBe(true);
  });

  it('tells a node that was left writable', async () => {
    const qemu = new FakeQemu();
    qemu.fates['blockdev-reopen'] = ['done', 'refused'];
    expect(await apply(qemu)).toMatchObject({
      ...{ result: 'done', error: { code: 'qmp-refused' } },
      steps: expect.arrayContaining(['perhaps left read-write: base']),
    });
    qemu.fates['blockdev-reopen'] = ['done', 'refused'];
    qemu.fates['transaction'] = ['refused'];
    qemu.readOnly = true;
    qemu.bitmaps['base'] = ['b'];
    const { error } = await apply(qemu);
    expect(error?.message).toMatch(/refused transaction.*and then QEMU refused blockdev-reopen/);
  });

  it.each([
    ['lost after', 'done', undefined],
    ['late after', 'done', undefined],
    ['lost', 'not-done', 'qmp-closed'],
  ] as const)('the answer is %s: asks what became of it, and never sends it again', async (fate, expected, code) => {
    const qemu = new FakeQemu();
    qemu.fates['transaction'] = [fate];
    const { result, error } = await apply(qemu);
    expect([result, error?.code, changes(qemu), qemu.readOnly]).toEqual([expected, code, ALL, true]);
  });

  it('says that it is not known where QEMU cannot be asked any more, or only a part looks done', async () => {
    const gone = new FakeQemu();
    gone.fates['transaction'] = ['lost after'];
    expect(await apply(gone, { reconnects: false })).toMatchObject({
      result: 'unknown',
      error: { code: 'qmp-closed' },
    });
    const odd = new FakeQemu();
    odd.fates['transaction'] = ['late after'];
    odd.lies = true;
    odd.bitmaps['base'] = [];
    odd.bitmaps['top'] = ['b'];
    expect(await apply(odd)).toMatchObject({ result: 'not-done' });
    expect([changes(gone), changes(odd)]).toEqual([ALL.slice(0, 2), ['transaction']]);
  });

  it('says that it is not known where done and not done look the same', async () => {
    const qemu = new FakeQemu();
    qemu.fates['transaction'] = ['late after'];
    const pull = await applyPlan(qemu, {
      plan: ({ nodes }) => planOperation(['top', 'base'], nodes, { kind: 'pull' }),
    });
    expect([pull.result, pull.error?.code, changes(qemu)]).toEqual(['unknown', 'qmp-timeout', ['transaction']]);
  });

  it('believes what QEMU shows, not what it says', async () => {
    const qemu = new FakeQemu();
    qemu.lies = true;
    expect(await apply(qemu)).toMatchObject({ result: 'differs', error: { code: 'plan-unverified' } });
  });
});
