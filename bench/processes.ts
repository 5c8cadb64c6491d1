import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** A process that ran to its end. */
export interface Ran {
  /** From before it was started until it was gone, in milliseconds. */
  readonly milliseconds: number;
  /** What it wrote to file descriptor 3. */
  readonly said: string;
}

/** Runs a process whose output nobody reads. @throws where it fails. */
export function runProcess(command: string, args: readonly string[], options: SpawnSyncOptions = {}): Ran {
  const nowhere = openSync('/dev/null', 'r+');
  const began = performance.now();
  const { status, signal, error, stderr, output } = spawnSync(command, args, {
    ...options,
    stdio: [nowhere, nowhere, 'pipe', 'pipe'],
  });
  const milliseconds = performance.now() - began;
  closeSync(nowhere);
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status ?? signal}: ${stderr}`);
  return { milliseconds, said: String(output[3] ?? '') };
}

/** What a process writes to standard output. @throws where it fails. */
export function outputOf(command: string, args: readonly string[]): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
  return stdout;
}
