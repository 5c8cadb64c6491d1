import { once } from 'node:events';
import { styleText } from 'node:util';
import { printable } from '../bytes/text.js';
import type { DirtyBitmapError } from '../errors.js';
import type { BarShape } from '../report/density-bar.js';
import type { Paint } from '../report/info-text.js';
import type { Code } from '../rules.js';

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

/** The exit codes in words. */
export const EXIT_TEXTS: Readonly<Record<number, string>> = {
  [EXIT.OK]: 'fine',
  [EXIT.BAD]: 'the input is bad or differs',
  [EXIT.USAGE]: 'used wrongly',
  [EXIT.ACCESS]: 'cannot be read or written',
};

/** What is not the input's fault but the command line's. */
const USAGE_RULES: readonly string[] = ['argument', 'bitmap-not-found', 'output-exists', 'address-in-use'];

/** Neither's: nothing came, or nothing any more. */
const ACCESS_RULES: readonly string[] = [
  'file-access',
  'image-locked',
  'image-lock-missing',
  'qcow2-write-failed',
  'qmp-closed',
  'qmp-timeout',
  'peer-stalled',
  'peer-closed',
];

/** The exit code that an error means. */
export function exitCodeOf(error: DirtyBitmapError): number {
  if (ACCESS_RULES.includes(error.code)) return EXIT.ACCESS;
  return USAGE_RULES.includes(error.code) ? EXIT.USAGE : EXIT.BAD;
}

/** The one line that an error is on standard error. */
export function errorLine({ code, offset, message }: Pick<DirtyBitmapError, 'code' | 'offset' | 'message'>): string {
  return `dirtybitmap: ${code}${offset === undefined ? '' : ` at ${offset}`}: ${printable(message)}\n`;
}

/** What is printed with `--json` where a command fails before it has an answer. */
export interface ErrorDocument {
  readonly error: {
    readonly code: Code;
    /** What was expected, what was found, what to do. */
    readonly message: string;
    /** Bytes from the start of the input, where the place is known. */
    readonly offset: number | undefined;
    /** The field, where that helps. */
    readonly path: string | undefined;
  };
}

/** An error as data. */
export function errorDocument({ code, message, offset, path }: Omit<DirtyBitmapError, 'name'>): ErrorDocument {
  return { error: { code, message, offset, path } };
}

/** Writes text to standard output, and waits where the reader is slow. */
export async function writeOut(terminal: Terminal, text: string | Uint8Array): Promise<void> {
  const { stdout } = terminal;
  // Nobody reads any more.
  if (stdout.errored) return;
  if (stdout.write(text) || stdout.destroyed) return;
  // An error is told to who listens for it; here it only ends the waiting.
  await Promise.race([once(stdout, 'drain'), once(stdout, 'close')]).catch(() => {});
}

/** Whether a person looks at it: only then is anything drawn that was not asked for. */
export function isTerminal(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true;
}

/** How bars are drawn: ASCII where NO_COLOR is set, the terminal is a dumb one, or the locale is not UTF-8. */
export function barShape({ stdout, env }: Terminal): BarShape {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  const unicode = /utf-?8/i.test(locale) && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return { unicode, columns: stdout.columns || 80 };
}

/** Colours for a terminal; none where the output is no terminal or NO_COLOR is set. */
export function painter(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Paint {
  const colour = isTerminal(stream) && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  if (!colour) return (text) => text;
  const colours = { error: 'red', warning: 'yellow', info: 'cyan', good: 'green' } as const;
  return (text, severity) => styleText(colours[severity], text);
}
