import { beforeEach, describe, expect, it } from 'vitest';
import { type CacheNote, ChainCache } from '../../src/chain/chain-cache.js';
import { type LiveState, parseLiveState } from '../../src/chain/live-nodes.js';

let queries = 0;
let notes: CacheNote[] = [];
/** Of the next question, where a test wants to answer late. */
let hold: Promise<void> | undefined;
let cache: ChainCache;

async function ask(): Promise<LiveState> {
  queries++;
  const state = parseLiveState({
    nodes: ['a', 'b'].map((name) => ({ 'node-name': name, drv: 'qcow2', children: [] })),
    drives: [
      { device: '', qdev: '/machine/peripheral/cd/dev', inserted: { 'node-name': 'a' } },
      { device: 'ide1', qdev: 'hd', inserted: { 'node-name': 'b' } },
    ],
  });
  await hold;
  return state;
}

beforeEach(() => {
  queries = 0;
  notes = [];
  hold = undefined;
  cache = new ChainCache(ask, (note) => notes.push(note));
});

/** Questions that it takes to have the chains of these disks. */
async function asked(...disks: string[]): Promise<number> {
  const before = queries;
  for (const disk of disks) await cache.chain(disk);
  return queries - before;
}

const DISKS = ['a', '/machine/peripheral/cd/dev', 'hd'];

describe('ChainCache', () => {
  it('asks once for each disk, and again when it is forced', async () => {
    expect(await asked(...DISKS)).toBe(3);
    expect(await asked(...DISKS, ...DISKS)).toBe(0);
    await cache.chain('a', { force: true });
    expect(queries).toBe(4);
    expect(notes.map(({ disk, what }) => `${what} ${disk}`).slice(-3)).toEqual(['kept hd', 'dropped a', 'asked a']);
    expect(cache.disks).toHaveLength(3);
  });

  it.each([
    ['BLOCK_JOB_COMPLETED', { type: 'commit', device: 'job' }, DISKS],
    ['BLOCK_JOB_COMPLETED', { type: 'stream' }, DISKS],
    ['BLOCK_JOB_COMPLETED', { type: 'mirror' }, DISKS],
    ['BLOCK_JOB_COMPLETED', { type: 'mirror', error: 'No space left on device' }, []],
    ['BLOCK_JOB_COMPLETED', { type: 'backup' }, []],
    ['BLOCK_JOB_CANCELLED', { type: 'commit' }, []],
    ['SHUTDOWN', { guest: true }, DISKS],
    ['RESUME', {}, []],
    // The event may mean the disk that is known by its node, but not the other device.
    ['DEVICE_TRAY_MOVED', { device: '', id: '/machine/peripheral/cd/dev', 'tray-open': true }, DISKS.slice(0, 2)],
    ['DEVICE_DELETED', { device: 'cd', path: '/machine/peripheral/cd' }, DISKS.slice(0, 2)],
    ['DEVICE_DELETED', { device: 'hd', path: '/machine/peripheral/hd' }, ['hd']],
  ])('%s %j drops %j', async (name, data, dropped) => {
    await asked(...DISKS);
    cache.event({ name, data });
    expect(DISKS.filter((disk) => !cache.disks.includes(disk))).toEqual(dropped);
    expect(await asked(...DISKS)).toBe(dropped.length);
  });

  it('drops all on a new connection, and a disk that is plugged in', async () => {
    await asked(...DISKS);
    cache.reconnected(ask);
    expect(await asked(...DISKS)).toBe(3);
    cache.plugged('hd');
    expect(await asked(...DISKS)).toBe(1);
  });

  it('gives one answer to those who ask at once, and keeps none that failed', async () => {
    const [one, two] = await Promise.all([cache.chain('a'), cache.chain('a')]);
    expect([queries, one === two]).toEqual([1, true]);
    await expect(cache.chain('nope')).rejects.toMatchObject({ code: 'argument' });
    expect(cache.disks).toEqual(['a']);
  });

  it('asks again where an event made the answer old before it came', async () => {
    let release = (): void => {};
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const chain = cache.chain('a');
    cache.event({ name: 'SHUTDOWN', data: {} });
    release();
    await chain;
    expect(queries).toBe(2);
    expect(await asked('a')).toBe(0);
  });

  it('changes a disk one after the other, others meanwhile, and drops it before and after', async () => {
    await asked('a', 'hd');
    const order: string[] = [];
    const change = (disk: string, name: string, fail = false): Promise<void> =>
      cache.change(disk, async () => {
        order.push(`${name} begins`);
        await cache.chain(disk);
        if (fail) throw new Error('no');
        order.push(`${name} ends`);
      });
    const [first, second] = [change('a', 'first', true), change('a', 'second')];
    await expect(first).rejects.toThrow('no');
    await second;
    expect(order).toEqual(['first begins', 'second begins', 'second ends']);
    expect(cache.disks).toEqual(['hd']);
  });
});
