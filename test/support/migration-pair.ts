import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Qemu } from './qemu.js';

/** Milliseconds that a migration has for what is waited for. */
const PATIENCE = 30_000;

/** What both QEMUs are started with. */
export interface PairOptions {
  /** Of the machine; 64 MiB of an idle guest by default. */
  readonly machine?: readonly string[];
  readonly source: readonly object[];
  /** Nodes of the destination; those of the source by default. */
  readonly destination?: readonly object[];
}

/** A source and a destination, with QMP sockets for us and for the command line, and what goes from one to the other. */
export class MigrationPair {
  readonly folder: string;
  readonly source: Qemu;
  readonly destination: Qemu;

  private constructor(folder: string, source: Qemu, destination: Qemu) {
    this.folder = folder;
    this.source = source;
    this.destination = destination;
  }

  /** Both with `dirty-bitmaps` on, the destination listening. */
  static async start(options: PairOptions): Promise<MigrationPair> {
    const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-pair-'));
    const { machine = ['-m', '64'], source, destination = source } = options;
    const start = async (name: string, nodes: readonly object[], ...more: string[]): Promise<Qemu> => {
      const blockdevs = nodes.flatMap((node) => ['-blockdev', JSON.stringify(node)]);
      const qmp = ['-qmp', `unix:${join(folder, `${name}.qmp`)},server=on,wait=off`];
      const own = mkdtempSync(join(folder, name));
      const qemu = await Qemu.start('qemu-system-x86_64', [...machine, ...blockdevs, ...qmp, ...more], own);
      const capabilities = [{ capability: 'dirty-bitmaps', state: true }];
      await qemu.execute('migrate-set-capabilities', { capabilities });
      return qemu;
    };
    const from = await start('src', source);
    const to = await start('dst', destination, '-incoming', 'defer').catch(async (error: unknown) => {
      await from.quit();
      throw error;
    });
    await to.execute('migrate-incoming', { uri: `unix:${join(folder, 'migration.sock')}` });
    return new MigrationPair(folder, from, to);
  }

  /** The QMP sockets for the command line. */
  get arguments(): string[] {
    return ['--qmp', join(this.folder, 'src.qmp'), '--dst-qmp', join(this.folder, 'dst.qmp')];
  }

  /** Begins to migrate. */
  async migrate(): Promise<void> {
    await this.source.execute('migrate', { uri: `unix:${join(this.folder, 'migration.sock')}` });
  }

  /** Waits until what `query-migrate` says of the source is as wanted. */
  async until(wanted: (migration: Migration) => boolean): Promise<Migration> {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const migration = await this.source.execute<Migration>('query-migrate');
      if (wanted(migration)) return migration;
      if (Date.now() > end) throw new Error(`the migration does not come so far: ${JSON.stringify(migration)}`);
      await sleep(20);
    }
  }

  /** Waits until the destination has completed too. */
  async arrived(): Promise<void> {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const { status } = await this.destination.execute<Migration>('query-migrate');
      if (status === 'completed') return;
      if (Date.now() > end) throw new Error(`the destination is ${status}`);
      await sleep(20);
    }
  }

  async quit(): Promise<void> {
    // At once: a destination that loses its source ends by itself, and answers nothing then.
    await Promise.all([this.source.quit(), this.destination.quit()]);
    rmSync(this.folder, { recursive: true });
  }
}

/** What `query-migrate` says, as far as tests look at it. */
export interface Migration {
  readonly status?: string;
  readonly ram?: { readonly 'dirty-sync-count': number };
}

/** A disk of zeroes. */
export function nullDisk(node: string, size: number): object {
  return { driver: 'null-co', 'node-name': node, size, 'read-zeroes': true };
}
