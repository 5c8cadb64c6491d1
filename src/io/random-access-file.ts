import { type FileHandle, open, stat } from 'node:fs/promises';
import type { RandomAccess } from '../qcow2/random-access.js';
import { accessError } from './source.js';

/** A file that is read anywhere, until it is closed. */
export interface RandomAccessFile extends RandomAccess {
  /** Closes the file; nothing can be read from it any more. */
  close(): Promise<void>;
}

/**
 * Opens a file or a block device to read anywhere in it.
 * @throws DirtyBitmapError `file-access` where it cannot be opened, and where it has no positions (a pipe).
 */
export async function openRandomAccess(path: string): Promise<RandomAccessFile> {
  try {
    // Before it is opened: that of a pipe without a writer waits for one.
    const kind = await stat(path);
    if (kind.isFile() || kind.isBlockDevice()) return new OpenFile(path, await open(path, 'r'));
    throw kind.isDirectory()
      ? Object.assign(new Error('it is a directory'), { code: 'EISDIR' })
      : new Error('it is neither a file nor a block device');
  } catch (error) {
    throw accessError(path, error);
  }
}

/** A file that is open already, and is closed by whoever opened it. */
export function accessOpen(path: string, handle: FileHandle): RandomAccess {
  return new OpenFile(path, handle);
}

class OpenFile implements RandomAccessFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  /** Grows to the longest read, and is used again for each. */
  #buffer = new Uint8Array(64 * 1024);

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  async size(): Promise<number> {
    const known = await this.#attempt(this.#handle.stat());
    return known.isFile() ? known.size : await deviceSize((into, offset) => this.#readAt(into, offset));
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    let got = 0;
    while (got < length) {
      const count = await this.#readAt(this.#buffer.subarray(got, length), offset + got);
      if (count === 0) break;
      got += count;
    }
    return this.#buffer.subarray(0, got);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #readAt(into: Uint8Array, offset: number): Promise<number> {
    return (await this.#attempt(this.#handle.read(into, 0, into.length, offset))).bytesRead;
  }

  async #attempt<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw accessError(this.#path, error);
    }
  }
}

/**
 * Bytes of a device, whose size no stat tells: the first place where a read gives nothing, found by halving.
 * @param read reads into a buffer from an offset and returns how many bytes there were.
 */
export async function deviceSize(read: (into: Uint8Array, offset: number) => Promise<number>): Promise<number> {
  const byte = new Uint8Array(1);
  let low = 0;
  let high = Number.MAX_SAFE_INTEGER;
  while (low < high) {
    // Not their sum, which may be above 2^53.
    const middle = low + Math.floor((high - low) / 2);
    if ((await read(byte, middle)) > 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
