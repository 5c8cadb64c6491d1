// Before the tests: what they need besides Node. Installs it where that is possible, else says what will be skipped.
import { spawnSync } from 'node:child_process';
import { findChromium } from '../test/support/chromium.js';

const QEMU = 'what needs a real QEMU (test/differential, parts of test/cli and test/capture)';
const SHELL = 'a part of test/cli/completion.test.ts';
/** What the tests start, and the Debian package that it comes with. */
const PROGRAMS = [
  { program: 'qemu-system-x86_64', package: 'qemu-system-x86', test: QEMU },
  { program: 'qemu-img', package: 'qemu-utils', test: QEMU },
  { program: 'qemu-nbd', package: 'qemu-utils', test: QEMU },
  { program: 'nbdinfo', package: 'libnbd-bin', test: QEMU },
  { program: 'zsh', package: 'zsh', test: SHELL },
  { program: 'fish', package: 'fish', test: SHELL },
  { program: 'mandoc', package: 'mandoc', test: 'a part of test/cli/man-page.test.ts' },
];

const missing = [
  ...(findChromium() ? [] : [{ package: 'chromium', test: 'test/browser.test.ts' }]),
  // mandoc knows no --version: that it can be started is enough.
  ...PROGRAMS.filter(({ program }) => spawnSync(program, ['--version']).error !== undefined),
].filter((one, at, all) => all.findIndex((other) => other.package === one.package) === at);

if (missing.length > 0) {
  const packages = missing.map((one) => one.package);
  const installed = process.getuid?.() === 0 && install(packages);
  if (!installed) {
    for (const one of missing) console.error(`\n*** ${one.package} is missing: ${one.test} will be SKIPPED ***\n`);
  }
}

function install(packages: readonly string[]): boolean {
  console.error(`setup-tests: apt-get install ${packages.join(' ')} (needed by the tests, missing here)`);
  const commands = [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', ...packages],
  ];
  for (const args of commands) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const run = spawnSync('apt-get', args, { env, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
    if (run.status !== 0) {
      console.error(`setup-tests: apt-get ${args[0]} failed: ${run.error?.message ?? run.stderr.trim()}`);
      return false;
    }
  }
  return true;
}
