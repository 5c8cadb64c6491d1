import { type LiveChain, liveChain } from './live-chain.js';
import type { LiveState } from './live-nodes.js';

/** Something that QEMU told, as `QmpClient` gives it. */
export interface CacheEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What a cache did, and why. */
export interface CacheNote {
  /** The disk, as it was asked for. */
  readonly disk: string;
  readonly what: 'asked' | 'kept' | 'dropped';
  /** In a few words. */
  readonly reason: string;
}

interface Entry {
  readonly chain: LiveChain;
  /** All names of the drive; none where no drive has the node. */
  readonly devices: readonly string[];
}

/** Jobs that change a chain when they complete. Failed and cancelled ones do not. */
const CHANGING_JOBS: readonly unknown[] = ['stream', 'commit', 'mirror'];

/** Answers that an event made old before they came are asked for again, but not for ever. */
const MAX_TRIES = 3;

/**
 * The chains of the disks of one running VM, so that not every look at them is a question to QEMU. Make one for each start of
 * a VM, and give it every event. The filters of jobs come and go without a chain changing: they are as they were when it
 * was asked for. Bitmaps too: plan from fresh ones. Source: merge-and-chain.md sections 10 to 12.
 * @example
 * const cache = new ChainCache(() => queryState(qmp));
 * const qmp = await QmpClient.connect(socket, { onEvent: (event) => cache.event(event) });
 * const { layers } = await cache.chain('disk0');
 */
export class ChainCache {
  #ask: () => Promise<LiveState>;
  readonly #note: (note: CacheNote) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #asking = new Map<string, Promise<LiveChain>>();
  readonly #queues = new Map<string, Promise<unknown>>();
  /** Grows with everything that makes an answer old. */
  #generation = 0;

  /**
   * A cache that knows nothing yet.
   * @param ask asks QEMU how it is now, as `queryState` does.
   * @param note is told what is asked, kept and dropped, and why.
   */
  constructor(ask: () => Promise<LiveState>, note: (note: CacheNote) => void = () => {}) {
    this.#ask = ask;
    this.#note = note;
  }

  /** Disks whose chains are known. */
  get disks(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /**
   * The chain of a disk; who asks while it is being asked for gets the same answer.
   * @param disk a node, or a drive or device.
   * @param force asks again, whatever is known.
   * @throws DirtyBitmapError as `liveChain`, and what asking throws; nothing is kept then.
   */
  async chain(disk: string, { force = false }: { readonly force?: boolean } = {}): Promise<LiveChain> {
    if (force) this.#drop([disk], 'a fresh one was asked for');
    const known = this.#entries.get(disk);
    if (known !== undefined) {
      this.#note({ disk, what: 'kept', reason: 'nothing changed since' });
      return known.chain;
    }
    const asking = this.#asking.get(disk) ?? this.#load(disk);
    this.#asking.set(disk, asking);
    try {
      return await asking;
    } finally {
      if (this.#asking.get(disk) === asking) this.#asking.delete(disk);
    }
  }

  /** Does what changes a disk's chain (a snapshot, a reopen), after whatever else is done to it. */
  async change<T>(disk: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(disk) ?? Promise.resolve();
    const own = before.then(async () => {
      this.#drop([disk], 'it is being changed');
      try {
        return await work();
      } finally {
        this.#drop([disk], 'it was changed');
      }
    });
    const settled = own.catch(() => {});
    this.#queues.set(disk, settled);
    try {
      return await own;
    } finally {
      if (this.#queues.get(disk) === settled) this.#queues.delete(disk);
    }
  }

  /** Takes an event, and forgets what it makes old. */
  event({ name, data }: CacheEvent): void {
    switch (name) {
      case 'BLOCK_JOB_COMPLETED':
        // The event has the id of the job, which says nothing of the disk.
        if (CHANGING_JOBS.includes(data['type']) && data['error'] === undefined) this.#drop(this.disks, name);
        break;
      case 'DEVICE_TRAY_MOVED':
      case 'DEVICE_DELETED':
        this.#drop(this.#disksOf([data['device'], data['id'], data['path']]), name);
        break;
      case 'SHUTDOWN':
        this.#drop(this.disks, name);
        break;
      default:
    }
  }

  /** A disk was plugged in, or got another medium, by ourselves. */
  plugged(disk: string): void {
    this.#drop([disk], 'it was plugged in');
  }

  /** The connection was lost, and events with it: all is asked again, through the new one. */
  reconnected(ask: () => Promise<LiveState>): void {
    this.#ask = ask;
    this.#drop(this.disks, 'reconnected');
  }

  async #load(disk: string): Promise<LiveChain> {
    for (let tries = 1; ; tries++) {
      const generation = this.#generation;
      this.#note({ disk, what: 'asked', reason: tries === 1 ? 'not known' : 'it changed meanwhile' });
      const state = await this.#ask();
      const chain = liveChain(disk, state);
      if (generation === this.#generation) {
        const node = state.devices.get(disk) ?? disk;
        const devices = [...state.devices].filter(([, of]) => of === node).map(([device]) => device);
        this.#entries.set(disk, { chain, devices });
        return chain;
      }
      if (tries === MAX_TRIES) return chain;
    }
  }

  /** The disks that an event may mean: those of the device, and those that are not known by a device. */
  #disksOf(names: readonly unknown[]): readonly string[] {
    const means = (device: string): boolean =>
      names.some(
        (name) => typeof name === 'string' && name !== '' && (device === name || device.startsWith(`${name}/`)),
      );
    return [...this.#entries]
      .filter(([, { devices }]) => devices.length === 0 || devices.some(means))
      .map(([disk]) => disk);
  }

  #drop(disks: readonly string[], reason: string): void {
    this.#generation++;
    for (const disk of disks) {
      this.#asking.delete(disk);
      if (this.#entries.delete(disk)) this.#note({ disk, what: 'dropped', reason });
    }
  }
}
