#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { run } from './program.js';
import { EXIT } from './terminal.js';

/** Commands that others depend on: nobody's looking away ends them, and what does, ends them in order. */
const LIVE: readonly string[] = ['receive', 'send', 'tap', 'watch', 'plan', 'inspect'];
const live = LIVE.includes(process.argv[2] ?? '');
let failed = false;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough (`| head`) is no error.
  if (error.code === 'EPIPE' && live) return;
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.OK);
  // One line: each piece of output fails for itself.
  if (!failed) process.stderr.write(`dirtybitmap: file-access: the output cannot be written: ${error.message}\n`);
  failed = true;
  if (!live) process.exit(EXIT.ACCESS);
  // It may be the last piece, after the run.
  process.exitCode = EXIT.ACCESS;
});
// What is told there is lost, and nothing else.
process.stderr.on('error', () => {});

// Two folders up from src/cli as well as from dist/cli.
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const code = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  version: manifest.version,
});
process.exitCode = failed ? EXIT.ACCESS : code;
