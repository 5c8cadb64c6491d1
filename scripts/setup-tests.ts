// Before the tests: what they need besides Node. Installs it where that is possible, else says what will be skipped.
import { spawnSync } from 'node:child_process';
import { findChromium } from '../test/support/chromium.js';

const missing = findChromium() ? [] : [{ package: 'chromium', test: 'test/browser.test.ts' }];

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
