import { join } from 'node:path';
import { MigrationPair, nullDisk } from './migration-pair.js';

const GIB = 2 ** 30;

/**
 * The migration that the README tells of: two disks with an empty bitmap each, of which the destination has one. It goes
 * on from one command to the next: before the first `--verify`, it is done.
 */
export class ReadmeMigration {
  #pair: MigrationPair | undefined;
  #done = false;

  /** Whether a command asks these QEMUs. */
  static means(command: string): boolean {
    return /^watch .*\bsrc\.qmp\b/.test(command);
  }

  /** Brings the QEMUs to where the command is given. @returns its arguments, with the sockets as they are here. */
  async prepare(command: string): Promise<string[]> {
    const pair = this.#pair ?? (await start());
    this.#pair = pair;
    if (command.includes('--verify') && !this.#done) {
      // As the command before told to.
      await pair.source.execute('migrate-set-parameters', { 'downtime-limit': 7000 });
      await pair.migrate();
      await pair.until(({ status }) => status === 'completed');
      await pair.arrived();
      this.#done = true;
    }
    return command.split(' ').map((word) => (/^(src|dst)\.qmp$/.test(word) ? join(pair.folder, word) : word));
  }

  async quit(): Promise<void> {
    await this.#pair?.quit();
  }
}

async function start(): Promise<MigrationPair> {
  const disks = [nullDisk('disk0', 256 * GIB), nullDisk('disk1', 10 * GIB)];
  const pair = await MigrationPair.start({ source: disks, destination: disks.slice(0, 1) });
  for (const node of ['disk0', 'disk1']) {
    await pair.source.execute('block-dirty-bitmap-add', { node, name: 'monday' });
  }
  return pair;
}
