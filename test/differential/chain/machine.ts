import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { QmpClient } from '../../../src/io/qmp-client.js';
import type { QmpEvent } from '../../../src/qmp/session.js';
import { Qemu } from '../../support/qemu.js';

/** Milliseconds that a job or a device has. */
const PATIENCE = 20_000;

/** The id of the disk's device: what the guest writes to, wherever its data are. */
const DISK = 'disk';

/** A VM without a guest, with one disk at a time; it serves many cases. */
export class ChainMachine {
  readonly qmp: QmpClient;
  readonly #qemu: Qemu;
  readonly #folder: string;
  readonly #events: QmpEvent[];
  readonly #images = new Map<string, string>();
  #nodes: string[] = [];

  private constructor(qemu: Qemu, qmp: QmpClient, folder: string, events: QmpEvent[]) {
    this.#qemu = qemu;
    this.qmp = qmp;
    this.#folder = folder;
    this.#events = events;
  }

  /** Starts a QEMU in a folder that is its own. */
  static async start(program: string, folder: string): Promise<ChainMachine> {
    const socket = join(folder, 'ours.sock');
    const machine = ['-machine', 'pc', '-accel', 'tcg', '-m', '16', '-S', '-device', 'virtio-scsi-pci,id=scsi'];
    const qemu = await Qemu.start(program, [...machine, '-qmp', `unix:${socket},server=on,wait=off`], folder);
    const events: QmpEvent[] = [];
    const qmp = await QmpClient.connect(`unix:${socket}`, { onEvent: (event) => events.push(event) });
    return new ChainMachine(qemu, qmp, folder, events);
  }

  /** Opens a new, empty image as a node. `cluster` and `size` are in bytes. */
  async addImage(node: string, size: number, cluster: number, backing: string | null): Promise<void> {
    const filename = join(this.#folder, `${node}.qcow2`);
    copyFileSync(this.#empty(size, cluster), filename);
    const file = { driver: 'file', filename };
    await this.qmp.execute('blockdev-add', { driver: 'qcow2', 'node-name': node, file, backing });
    this.#nodes.unshift(node);
  }

  async plug(node: string): Promise<void> {
    await this.qmp.execute('device_add', { driver: 'scsi-hd', drive: node, id: DISK, bus: 'scsi.0' });
  }

  /** A write of the guest. In bytes. */
  async write(offset: number, length: number): Promise<void> {
    const line = `qemu-io -d ${DISK} "write ${offset} ${length}"`;
    await this.qmp.execute('human-monitor-command', { 'command-line': line });
  }

  /** Waits until a job is ready, or over; and then until it has nothing left to copy. */
  async until(job: string, status: 'ready' | 'concluded'): Promise<void> {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const jobs = await this.qmp.execute<{ readonly id: string; readonly status: string }[]>('query-jobs');
      const found = jobs.find(({ id }) => id === job);
      if (found?.status === status && (status === 'concluded' || (await this.#settled(job)))) return;
      if (found === undefined || Date.now() > end)
        throw new Error(`job ${job} does not get ${status}: ${found?.status}`);
      await sleep(2);
    }
  }

  /** Takes away the disk and all nodes. */
  async clear(): Promise<void> {
    this.#events.length = 0;
    await this.qmp.execute('device_del', { id: DISK });
    const end = Date.now() + PATIENCE;
    while (!this.#events.some(({ name, data }) => name === 'DEVICE_DELETED' && data['device'] === DISK)) {
      if (Date.now() > end) throw new Error('QEMU does not let go of the disk');
      await sleep(2);
    }
    // A node goes when nothing is above it.
    for (let left = this.#nodes; left.length > 0; ) {
      const kept: string[] = [];
      for (const node of left) {
        await this.qmp.execute('blockdev-del', { 'node-name': node }).catch(() => kept.push(node));
      }
      if (kept.length === left.length) throw new Error(`QEMU does not let go of ${kept.join(', ')}`);
      left = kept;
    }
    this.#nodes = [];
  }

  async stop(): Promise<void> {
    await this.qmp.close();
    await this.#qemu.quit();
  }

  async #settled(job: string): Promise<boolean> {
    // First what it has to begin with, then what it has begun: the other way round, something could slip from one to the other.
    type Shown = { readonly 'dirty-bitmaps'?: readonly { readonly name?: string; readonly count: number }[] };
    const nodes = await this.qmp.execute<Shown[]>('query-named-block-nodes', { flat: true });
    const own = nodes.flatMap((node) => node['dirty-bitmaps'] ?? []).filter(({ name }) => name === undefined);
    if (own.some(({ count }) => count > 0)) return false;
    type BlockJob = { readonly device: string; readonly len: number; readonly offset: number };
    const jobs = await this.qmp.execute<BlockJob[]>('query-block-jobs');
    return jobs.some(({ device, len, offset }) => device === job && len === offset);
  }

  #empty(size: number, cluster: number): string {
    const path = join(this.#folder, `empty-${size}-${cluster}.qcow2`);
    if (!this.#images.has(path) && !existsSync(path)) {
      const options = ['-f', 'qcow2', '-o', `cluster_size=${cluster}`];
      execFileSync('qemu-img', ['create', ...options, path, String(size)], { stdio: 'ignore' });
    }
    this.#images.set(path, path);
    return path;
  }
}
