import { spawnSync } from 'node:child_process';
import { QEMU_VERSIONS } from '../../src/migration/qemu-version.js';
import type { QemuProgram } from './virtual-machine.js';

/** The QEMU that a command starts, where it is there and of a version that was measured. */
export function findProgram(command: string, args: readonly string[] = []): QemuProgram | undefined {
  const run = spawnSync(command, [...args, '--version'], { encoding: 'utf8', timeout: 10_000 });
  const found = /version (\d+\.\d+)\./.exec(run.stdout ?? '')?.[1];
  if (found === undefined) return undefined;
  // One that is not measured is taken for the newest measured one before it.
  const version = QEMU_VERSIONS.findLast((one) => number(one) <= number(found));
  return version === undefined ? undefined : { version, command, args };
}

function number(version: string): number {
  const [major, minor] = version.split('.');
  return Number(major) * 1000 + Number(minor);
}
