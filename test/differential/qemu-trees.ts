import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './program.js';
import type { QemuProgram } from './virtual-machine.js';

/** Debian's suites with another QEMU than bookworm's, which the tests have anyway: 5.2, 10.0, and the newest. */
export const SUITES = ['bullseye', 'trixie', 'sid'] as const;

const LIBRARIES = 'lib/x86_64-linux-gnu';
const LOADER = /^ld-(linux-x86-64\.so\.2|[\d.]+\.so)$/;

/** Where the trees are kept: outside of the repository. */
export function treesFolder(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return process.env['DIRTYBITMAP_QEMUS'] ?? join(cache, 'dirtybitmap', 'qemu');
}

/** The QEMU in a suite's tree, started by the tree's own loader, so that it sees our files and needs no root. */
export function treeProgram(suite: string): QemuProgram | undefined {
  const tree = join(treesFolder(), suite);
  const libraries = [join(tree, LIBRARIES), join(tree, 'usr', LIBRARIES)];
  // By the name of a file: a link of the tree may be absolute, and then leads out of it.
  const folder = libraries.find((path) => existsSync(path));
  const loader = folder && readdirSync(folder).find((name) => LOADER.test(name));
  if (folder === undefined || loader === undefined) return undefined;
  const program = join(tree, 'usr/bin/qemu-system-x86_64');
  return findProgram(join(folder, loader), ['--library-path', libraries.join(':'), program]);
}
