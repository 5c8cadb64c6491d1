import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds until a `cat` has started and, if it writes, has filled the pipe: the clock runs only from there. */
const SETTLED = 30;

/** A pipe with a `cat` at its other end, as QEMU has with `exec:`. What Node makes for a child is a socket, not a pipe. */
export class Fifo {
  readonly path: string;

  constructor(folder: string) {
    this.path = join(folder, 'fifo');
    if (!existsSync(this.path)) execFileSync('mkfifo', [this.path]);
  }

  /** Lets `write` write to a pipe that a `cat` empties; returns what it returns when the `cat` is gone. */
  async toCat<T>(write: (fd: number) => T): Promise<T> {
    // Open for both, so that neither open() nor the cat waits for the other end.
    const both = openSync(this.path, constants.O_RDWR);
    const reader = openSync(this.path, constants.O_RDONLY);
    const writer = openSync(this.path, constants.O_WRONLY);
    const cat = spawn('cat', [], { stdio: [reader, openSync('/dev/null', 'w'), 'inherit'] });
    const gone = once(cat, 'exit');
    closeSync(both);
    closeSync(reader);
    await sleep(SETTLED);
    try {
      return write(writer);
    } finally {
      closeSync(writer);
      await gone;
    }
  }

  /** Lets `read` read what a `cat` of a file writes to the pipe. */
  async fromCat<T>(file: string, read: (path: string) => T | Promise<T>): Promise<T> {
    const both = openSync(this.path, constants.O_RDWR);
    const cat: ChildProcess = spawn('cat', [file], { stdio: ['ignore', both, 'inherit'] });
    const gone = once(cat, 'exit');
    await sleep(SETTLED);
    const reader = openSync(this.path, constants.O_RDONLY);
    closeSync(both);
    try {
      return await read(this.path);
    } finally {
      closeSync(reader);
      await gone;
    }
  }
}
