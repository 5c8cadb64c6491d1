import { once } from 'node:events';
import { styleText } from 'node:util';
import type { Paint } from '../report/info-text.js';

/** What a command may touch of the world: arguments in, text out. Tests give their own. */
export interface Terminal {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  /** Of this package. */
  readonly version: string;
}

/** Exit codes. Source: design.md, Command line. */
export const EXIT = Object.freeze({
  /** Fine. */
  OK: 0,
  /** The input is bad, or two inputs differ. */
  BAD: 1,
  /** Used wrongly. */
  USAGE: 2,
  /** Something cannot be read or written. */
  ACCESS: 3,
});

/** Writes text to standard output, and waits where the reader is slow. */
export async function writeOut(terminal: Terminal, text: string | Uint8Array): Promise<void> {
  if (terminal.stdout.write(text) || terminal.stdout.destroyed) return;
  await Promise.race([once(terminal.stdout, 'drain'), once(terminal.stdout, 'close')]);
}

/** Colours for a terminal; none where the output is no terminal or NO_COLOR is set. */
export function painter(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Paint {
  const colour = stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  if (!colour) return (text) => text;
  const colours = { error: 'red', warning: 'yellow', info: 'cyan', good: 'green' } as const;
  return (text, severity) => styleText(colours[severity], text);
}
