import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Core from '../src/index.js';
import type * as Node from '../src/io/index.js';

/** The built package, as whoever installs it gets it; only the types are those of the source. */
export function loadCore(dist: string): Promise<typeof Core> {
  return import(pathToFileURL(join(dist, 'index.js')).href);
}

/** Its entry point for Node. */
export function loadNode(dist: string): Promise<typeof Node> {
  return import(pathToFileURL(join(dist, 'io/index.js')).href);
}

/** Its command line. */
export function commandLine(dist: string): string {
  return join(dist, 'cli/main.js');
}
