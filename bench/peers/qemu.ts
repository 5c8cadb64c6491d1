import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../../test/differential/program.js';
import { type QemuProgram, VirtualMachine } from '../../test/differential/virtual-machine.js';
import { assertSame } from '../case.js';

/** Work of QEMU on bitmaps: the events of its trace with which it begins and ends, and how often it is done. */
interface Work {
  readonly enter: string;
  readonly finish: string;
  readonly times: number;
}

const SAVE: Work = {
  enter: 'dirty_bitmap_save_complete_enter',
  finish: 'dirty_bitmap_save_complete_finish',
  times: 1,
};
/** A START section and an END section. */
const LOAD: Work = { enter: 'dirty_bitmap_load_enter', finish: 'dirty_bitmap_load_success', times: 2 };
/** Milliseconds that the trace may come later than the answer on the other pipe. */
const PATIENCE = 5000;

/** The disk whose bitmap is migrated. */
export interface Disk {
  readonly node: string;
  readonly bitmap: string;
  /** Bytes. */
  readonly size: number;
  /** What QEMU must say the bits are. */
  readonly sha256: string;
}

/** The QEMU of this machine, or undefined. */
export function findQemu(): QemuProgram | undefined {
  return findProgram('qemu-system-x86_64');
}

/** A QEMU that has a bitmap of ours, loaded from a capture, and tells by its trace how long it works on it. */
export class QemuPeer {
  readonly #machine: VirtualMachine;

  private constructor(machine: VirtualMachine) {
    this.#machine = machine;
  }

  /** Milliseconds in which a QEMU of its own loads the dirty-bitmap sections of a capture in a file; checked. */
  static async load(program: QemuProgram, folder: string, capture: string, disk: Disk): Promise<number> {
    const [peer, milliseconds] = await QemuPeer.#loaded(program, folder, capture, disk);
    await peer.stop();
    return milliseconds;
  }

  /** A QEMU with the bitmap of a capture. */
  static async withBitmap(program: QemuProgram, folder: string, stream: Uint8Array, disk: Disk): Promise<QemuPeer> {
    const capture = join(folder, 'qemu.bin');
    writeFileSync(capture, stream);
    const [peer] = await QemuPeer.#loaded(program, folder, capture, disk);
    // What it takes from its own threshold, it sends in one go.
    await peer.#machine.execute('migrate-set-parameters', { 'max-bandwidth': 10 ** 12, 'downtime-limit': 2_000_000 });
    return peer;
  }

  static async #loaded(
    program: QemuProgram,
    folder: string,
    capture: string,
    { node, bitmap, size, sha256 }: Disk,
  ): Promise<[QemuPeer, number]> {
    const blockdev = JSON.stringify({ driver: 'null-co', 'node-name': node, size });
    const traces = [SAVE, LOAD].flatMap(({ enter, finish }) => ['-trace', enter, '-trace', finish]);
    const args = ['-blockdev', blockdev, '-msg', 'timestamp=on', ...traces, '-incoming', 'defer'];
    const machine = await VirtualMachine.start(program, args, folder);
    try {
      await machine.prepareMigration();
      const end = await machine.migrate('migrate-incoming', `exec:cat ${capture}`);
      assertSame(`QEMU loads (${machine.stderr})`, end, 'completed');
      const milliseconds = await traced(machine, LOAD);
      const hash = await machine.execute<{ sha256: string }>('x-debug-block-dirty-bitmap-sha256', {
        node,
        name: bitmap,
      });
      assertSame("the bits' SHA-256", hash.sha256, sha256);
      return [new QemuPeer(machine), milliseconds];
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** Milliseconds of its completion phase, in which it sends the bitmap through a pipe to a `cat`. */
  async send(): Promise<number> {
    this.#machine.stderr = '';
    assertSame('QEMU sends', await this.#machine.migrate('migrate', 'exec:cat > /dev/null'), 'completed');
    const milliseconds = await traced(this.#machine, SAVE);
    // A VM that was migrated has to run before it may be migrated again, and it may not before all is put away.
    for (let status = ''; status !== 'postmigrate'; ) {
      ({ status } = await this.#machine.execute<{ status: string }>('query-status'));
    }
    await this.#machine.execute('cont');
    await this.#machine.execute('stop');
    return milliseconds;
  }

  stop(): Promise<void> {
    return this.#machine.stop();
  }
}

/** Milliseconds that the work took, all times together. A line of the trace is `PID@SECONDS:EVENT ...`. */
async function traced(machine: VirtualMachine, { enter, finish, times }: Work): Promise<number> {
  for (const end = performance.now() + PATIENCE; performance.now() < end; await sleep(5)) {
    const found = [...machine.stderr.matchAll(/^\d+@(\d+\.\d+):(\w+)/gm)];
    const at = (wanted: string): number[] =>
      found.filter(([, , event]) => event === wanted).map(([, time]) => Number(time));
    const [begun, finished] = [at(enter), at(finish)];
    if (finished.length < times) continue;
    return finished.reduce((sum, time, index) => sum + (time - (begun[index] as number)) * 1000, 0);
  }
  throw new Error(`QEMU's trace does not say ${times} times ${finish}: ${machine.stderr}`);
}
