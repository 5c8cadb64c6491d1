import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { DirtyBitmapError } from '../errors.js';

/** Where bytes come from: a file that can be read anywhere, or a pipe that cannot. */
export interface Source {
  /** Bytes of the file; undefined for a pipe. */
  readonly size: number | undefined;
  /**
   * Reads up to `into.length` bytes from `offset` on; for a pipe `offset` is where it stands.
   * @returns how many bytes were read; 0 at the end.
   */
  read(into: Uint8Array, offset: number): Promise<number>;
  close(): Promise<void>;
}

/** How a source is opened. */
export interface SourceOptions {
  /**
   * Read regular files without giving way to other work: twice as fast, and right for a process that has no other. A
   * pipe never blocks.
   */
  readonly blocking?: boolean;
}

/**
 * Opens a file, a device or a pipe; `-` is standard input.
 * @throws DirtyBitmapError `file-access` where it cannot be opened.
 */
export async function openSource(path: string, options: SourceOptions = {}): Promise<Source> {
  if (path === '-') {
    if (fstatSync(0).isDirectory()) throw accessError('standard input', { code: 'EISDIR' });
    return new StdinSource();
  }
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const stat = await file.stat();
    if (stat.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
    if (stat.isFIFO()) return new PipeSource(path, file);
    return new FileSource(path, file, stat.isFile() ? stat.size : undefined, options.blocking === true);
  } catch (error) {
    await file?.close();
    throw accessError(path, error);
  }
}

class FileSource implements Source {
  readonly size: number | undefined;
  readonly #path: string;
  readonly #file: FileHandle;

  readonly #blocking: boolean;

  constructor(path: string, file: FileHandle, size: number | undefined, blocking: boolean) {
    this.#path = path;
    this.#file = file;
    this.size = size;
    this.#blocking = blocking && size !== undefined;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    try {
      if (this.#blocking) return readSync(this.#file.fd, into, 0, into.length, offset);
      // A device has no positions: it is read where it stands.
      const position = this.size === undefined ? null : offset;
      return (await this.#file.read(into, 0, into.length, position)).bytesRead;
    } catch (error) {
      throw accessError(this.#path, error);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Milliseconds of reading at once after which other work has its turn. */
const TURN = 10;
/** How often a pipe that holds nothing is looked at again: a writer at work fills it sooner than a thread wakes up. */
const LOOKS = 16;

/**
 * A pipe. What it holds is read at once; only where it holds nothing for a while is it waited for, which costs a turn of
 * the thread pool: more than reading does.
 */
class PipeSource implements Source {
  readonly size = undefined;
  readonly #path: string;
  readonly #waiting: FileHandle;
  /** The same pipe, opened so that reading never waits; undefined where the system has no way to open it again. */
  #ready: number | undefined;
  #lastTurn = performance.now();

  constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#waiting = file;
    this.#ready = openAgain(file.fd);
  }

  async read(into: Uint8Array): Promise<number> {
    // Whoever writes more quickly than we read would let nothing else happen here, not even a signal.
    if (performance.now() - this.#lastTurn > TURN) {
      await setImmediate();
      this.#lastTurn = performance.now();
    }
    try {
      for (let looks = 0; looks < LOOKS && this.#ready !== undefined; looks++) {
        const count = readReady(this.#ready, into);
        if (count !== undefined) return count;
        await setImmediate();
      }
      return (await this.#waiting.read(into, 0, into.length, null)).bytesRead;
    } catch (error) {
      throw accessError(this.#path, error);
    }
  }

  async close(): Promise<void> {
    const ready = this.#ready;
    this.#ready = undefined;
    try {
      if (ready !== undefined) closeSync(ready);
    } finally {
      await this.#waiting.close();
    }
  }
}

function openAgain(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** Reads what is there: 0 bytes at the end, undefined where nothing has come yet. */
function readReady(fd: number, into: Uint8Array): number | undefined {
  try {
    return readSync(fd, into, 0, into.length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

/** Standard input, as it comes; pieces that are larger than what is asked for are kept. */
class StdinSource implements Source {
  readonly size = undefined;
  readonly #pieces = process.stdin.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  async read(into: Uint8Array): Promise<number> {
    if (this.#rest.length === 0) {
      const next = await this.#pieces.next().catch((error: unknown) => {
        throw accessError('standard input', error);
      });
      if (next.done === true) return 0;
      this.#rest = next.value;
    }
    const count = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  async close(): Promise<void> {
    process.stdin.destroy();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENXIO: 'it is a socket or has no reader',
};

export function accessError(path: string, error: unknown): DirtyBitmapError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = REASONS[code ?? ''] ?? message;
  return new DirtyBitmapError('file-access', `${path} cannot be read: ${reason}`, { cause: error });
}
