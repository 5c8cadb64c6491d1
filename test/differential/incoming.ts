import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { QemuNodeMapping } from '../../src/migration/qemu-destination.js';
import { type Shown, shownByQemu } from './shown.js';
import { type QemuProgram, VirtualMachine } from './virtual-machine.js';
import { nodeArgs, type WorldNode } from './world.js';

/** What became of a stream. `cancelled`: the migration completed, and the bitmaps were given up. */
export type Verdict = 'loaded' | 'cancelled' | 'refused' | 'aborted' | 'hangs';

/** What a QEMU made of a stream. */
export interface IncomingRun {
  readonly verdict: Verdict;
  readonly stderr: string;
  /** Empty where the process is gone. */
  readonly bitmaps: readonly Shown[];
}

/** The QEMU that is given a stream. Bitmaps of its nodes are there before, clean. */
export interface IncomingSetup {
  readonly nodes: readonly WorldNode[];
  readonly mapping?: readonly QemuNodeMapping[] | undefined;
}

/** What QEMU says of a migration that completes with all its bitmaps. */
const HARMLESS = /^$|Expected vmdescription section|^warning:/i;

/** Gives a stream to a QEMU that was started for it: one takes only one. */
export async function loadIntoQemu(
  program: QemuProgram,
  stream: Uint8Array,
  setup: IncomingSetup,
  folder: string,
): Promise<IncomingRun> {
  const file = join(folder, 'stream.bin');
  writeFileSync(file, stream);
  const machine = await VirtualMachine.start(program, [...nodeArgs(setup.nodes), '-incoming', 'defer'], folder);
  try {
    await machine.prepareMigration();
    if (setup.mapping !== undefined) {
      await machine.execute('migrate-set-parameters', { 'block-bitmap-mapping': setup.mapping });
    }
    for (const { name: node, bitmaps } of setup.nodes) {
      for (const { name, granularity, recording } of bitmaps) {
        await machine.execute('block-dirty-bitmap-add', { node, name, granularity, disabled: !recording });
      }
    }
    const end = await machine.migrate('migrate-incoming', `exec:cat ${file}`);
    const bitmaps = end === 'completed' ? await shownByQemu(machine) : [];
    const { stderr } = machine;
    return { verdict: verdictOf(end, stderr), stderr, bitmaps };
  } finally {
    await machine.stop();
  }
}

function verdictOf(end: string, stderr: string): Verdict {
  if (end === 'completed') return stderr.split('\n').every((line) => HARMLESS.test(line)) ? 'loaded' : 'cancelled';
  if (end === 'failed' || end === 'exited') return 'refused';
  return end === 'aborted' ? 'aborted' : 'hangs';
}
