import { spawnSync } from 'node:child_process';
import { describe, it } from 'vitest';

/** What the tests with a real QEMU need: program and Debian package. */
const PROGRAMS: readonly (readonly [string, string])[] = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['qemu-img', 'qemu-utils'],
  ['qemu-nbd', 'qemu-utils'],
  ['nbdinfo', 'libnbd-bin'],
];

/**
 * `describe` where a real QEMU is there. Elsewhere it is skipped, which is said, and which is a failure under CI. There a
 * test that fails is tried once more, which the reporter says: processes that wait for each other on a busy machine.
 */
export function describeWithQemu(name: string, tests: () => void): void {
  const missing = PROGRAMS.filter(([program]) => spawnSync(program, ['--version']).status !== 0);
  if (missing.length === 0) {
    describe(name, { retry: process.env['CI'] === 'true' ? 1 : 0 }, tests);
    return;
  }
  const packages = [...new Set(missing.map(([, debian]) => debian))].join(' ');
  const text = `${missing.map(([program]) => program).join(', ')} missing: apt-get install ${packages}`;
  if (process.env['CI'] === 'true') {
    it(`${name}: needs a real QEMU`, () => {
      throw new Error(text);
    });
    return;
  }
  console.error(`\n*** ${name}: SKIPPED, ${text} ***\n`);
  describe.skip(`${name} (${text})`, tests);
}
