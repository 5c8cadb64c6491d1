import { Writable } from 'node:stream';
import { run } from '../../src/cli/program.js';
import { assertDocumented } from './json-schemas.js';

/** What a run of the command line left. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderr: string;
}

/**
 * Runs the command line in this process, with streams that collect.
 * @throws Error for JSON that is not as its schema says.
 */
export async function runCli(...args: string[]): Promise<CliResult> {
  return await runCliOn({ env: {} }, ...args);
}

/** Where a command runs: a terminal of so many columns, or no terminal. */
export interface Place {
  readonly env: NodeJS.ProcessEnv;
  readonly columns?: number;
}

/** {@link runCli} with this environment, and standard output a terminal where `columns` are given. */
export async function runCliOn({ env, columns }: Place, ...args: string[]): Promise<CliResult> {
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const stdout = collect(out);
  if (columns !== undefined) Object.assign(stdout, { isTTY: true, columns });
  const code = await run(args, { stdout, stderr: collect(err), env, version: '0.0.0' });
  const stdoutBytes = Buffer.concat(out);
  const text = stdoutBytes.toString();
  assertDocumented(args, text);
  return { code, stdoutBytes, stdout: text, stderr: Buffer.concat(err).toString() };
}

function collect(into: Uint8Array[]): NodeJS.WriteStream {
  const stream = new Writable({
    write(chunk: Uint8Array, _encoding, done) {
      into.push(Uint8Array.from(chunk));
      done();
    },
  });
  return stream as unknown as NodeJS.WriteStream;
}
