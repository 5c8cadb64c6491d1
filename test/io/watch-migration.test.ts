import { describe, expect, it } from 'vitest';
import { DirtyBitmapError } from '../../src/errors.js';
import { type WatchOptions, type WatchResult, watchMigration } from '../../src/io/watch-migration.js';
import type { QmpExecutor } from '../../src/qmp/commands.js';
import type { MigrationEvent } from '../../src/qmp/migration-observer.js';
import { answers, toldNode } from '../support/migration-answers.js';

type Status = { readonly status?: string; readonly ram?: object; readonly 'error-desc'?: string };

/** Answers `query-migrate` with one after the other, and then with the last. */
class ScriptedQemu implements QmpExecutor {
  readonly #statuses: Status[];
  readonly #bitmaps: readonly object[];
  /** Whether it has its bitmaps only once it has completed. */
  takes = false;
  /** Where it says `completed`. */
  runState: () => string;
  #last: Status = {};
  asked = 0;
  /** Called with each question of how far it is. */
  onAsk: (time: number) => void = () => {};

  constructor(statuses: Status[], bitmaps: readonly object[] = [{}], runState = 'postmigrate') {
    this.#statuses = statuses;
    this.#bitmaps = bitmaps;
    this.runState = () => runState;
  }

  async execute<T>(command: string): Promise<T> {
    if (command === 'query-migrate') {
      this.onAsk(++this.asked);
      const status = this.#statuses.length > 1 ? this.#statuses.shift() : this.#statuses[0];
      if (status?.status === 'gone') throw new DirtyBitmapError('qmp-closed', 'the connection ended');
      this.#last = status ?? {};
      return status as T;
    }
    if (command === 'query-status') {
      return { status: this.#last.status === 'completed' ? this.runState() : 'running' } as T;
    }
    const all = answers([
      toldNode('disk0', 2 ** 38, this.takes && this.#last.status !== 'completed' ? [] : this.#bitmaps),
    ]);
    const told: Record<string, unknown> = {
      'query-named-block-nodes': all.nodes,
      'query-block': all.drives,
      'query-migrate-capabilities': all.capabilities,
      'query-migrate-parameters': all.parameters,
      'query-version': all.version,
    };
    return told[command] as T;
  }
}

const NONE = {};
const ACTIVE = { status: 'active', ram: { total: 1, remaining: 0, transferred: 1, mbps: 5, 'dirty-sync-count': 9999 } };
const DONE = { status: 'completed' };

const follow = async (
  qmp: QmpExecutor,
  options: WatchOptions = {},
): Promise<{ readonly events: MigrationEvent[]; readonly result: WatchResult }> => {
  const watch = watchMigration(qmp, { interval: 1, patience: 300, ...options });
  const events: MigrationEvent[] = [];
  for (;;) {
    const { done, value } = await watch.next();
    if (done === true) return { events, result: value };
    events.push(value);
  }
};
const kinds = (events: readonly MigrationEvent[]): string[] =>
  events.map((event) => ('status' in event ? `${event.kind} ${event.status}` : event.kind));

describe('watchMigration', () => {
  it('waits for a migration, follows it to its end, and compares both ends', async () => {
    const source = new ScriptedQemu([NONE, NONE, ACTIVE, ACTIVE, ACTIVE, DONE]);
    const destination = new ScriptedQemu([NONE, ACTIVE, DONE]);
    destination.takes = true;
    const { events, result } = await follow(source, { destination });
    expect(kinds(events)).toEqual([
      ...['outlook', 'waiting none', 'phase active', 'stall', 'progress', 'progress', 'phase completed', 'verified'],
    ]);
    expect(result).toMatchObject({ status: 'completed', ok: true, verification: { ok: true } });
  });

  it('a bitmap that was there before the start was not sent', async () => {
    const destination = new ScriptedQemu([NONE, ACTIVE, DONE]);
    const { result } = await follow(new ScriptedQemu([NONE, NONE, ACTIVE, DONE]), { destination });
    expect(result).toMatchObject({ status: 'completed', ok: false, verification: { bitmaps: [{ verdict: 'lost' }] } });
  });

  it('a bitmap that was there when it was asked, but may have come by then, is not called lost', async () => {
    const destination = new ScriptedQemu([NONE, ACTIVE, DONE]);
    const { result } = await follow(new ScriptedQemu([NONE, ACTIVE, ACTIVE, DONE]), { destination });
    expect(result).toMatchObject({
      status: 'completed',
      ok: true,
      verification: { bitmaps: [{ verdict: 'arrived' }] },
    });
  });

  it('tells when it stalls, and when it no longer does', async () => {
    const fast = { ...ACTIVE, ram: { ...ACTIVE.ram, mbps: 9999 } };
    const { events } = await follow(new ScriptedQemu([fast, fast, ACTIVE, ACTIVE, fast, DONE]));
    const stalls = events.flatMap((event) => (event.kind === 'stall' ? [event.stall.verdict] : []));
    expect(stalls).toEqual(['certain', 'no']);
  });

  it('a bitmap that is gone at the destination', async () => {
    const { result } = await follow(new ScriptedQemu([DONE]), { destination: new ScriptedQemu([DONE], []) });
    expect(result).toMatchObject({ status: 'completed', ok: false, verification: { bitmaps: [{ verdict: 'lost' }] } });
  });

  it.each(['failed', 'cancelled'])('%s: not well; one before it is not the one that is followed', async (status) => {
    const over = { status, 'error-desc': 'no route' };
    const source = new ScriptedQemu([over, over, over, ACTIVE, ACTIVE, over]);
    const { events, result } = await follow(source);
    expect(kinds(events)).toContain(`waiting ${status}`);
    expect(result).toMatchObject({ status, ok: false, error: 'no route' });
  });

  it('one that completed before the guest ran on is not the one that is followed', async () => {
    const source = new ScriptedQemu([DONE, DONE, ACTIVE, DONE], [{}], 'running');
    const { events } = await follow(source);
    expect(kinds(events)).toEqual([
      'outlook',
      'waiting completed',
      'phase active',
      'stall',
      'progress',
      'phase completed',
    ]);
  });

  it('nor is it missed when the next one completes between two questions', async () => {
    const states = ['running', 'running', 'postmigrate'];
    const source = new ScriptedQemu([DONE]);
    source.runState = () => states.shift() ?? 'postmigrate';
    expect(kinds((await follow(source)).events)).toEqual(['outlook', 'waiting completed', 'phase completed']);
  });

  it('ends by its signal while it waits, with what it knows', async () => {
    const stop = new AbortController();
    const source = new ScriptedQemu([NONE]);
    source.onAsk = (time) => {
      if (time === 3) stop.abort();
    };
    const { result } = await follow(source, { signal: stop.signal, interval: 5 });
    expect(result).toMatchObject({ status: 'none', ok: false });
  });

  it('a source that is gone', async () => {
    const watch = follow(new ScriptedQemu([ACTIVE, ACTIVE, { status: 'gone' }]));
    await expect(watch).rejects.toMatchObject({ code: 'qmp-closed' });
  });

  it('a destination that never completes', async () => {
    const watch = follow(new ScriptedQemu([DONE]), { destination: new ScriptedQemu([ACTIVE]) });
    await expect(watch).rejects.toMatchObject({ code: 'qmp-timeout' });
  });
});
