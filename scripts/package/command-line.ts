import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.js';

const MANIFEST = new URL('../../package.json', import.meta.url);

/** The definitions of all commands, as users have them; nothing is run. */
export function commandLine(): Command {
  const { version } = JSON.parse(readFileSync(MANIFEST, 'utf8')) as { version: string };
  return buildProgram({ stdout: process.stdout, stderr: process.stderr, env: {}, version }, () => {});
}
