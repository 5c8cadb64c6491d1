import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { writeBeside } from './write-beside.js';
import { attempt, exists, placeOf, putInPlace, type WriteFileOptions, writeFully } from './write-file.js';

/** Bytes that wait for the disk before who writes has to wait. */
const BACKLOG = 1024 * 1024;
/** A stream holds the guest's memory: its owner alone may read it. */
const MODE = 0o600;

/**
 * A file that is written as long as something goes on: as `FILE.partial`, and under its own name only once it is kept.
 * What is no regular file (a pipe, a device) is written as it is.
 */
export class Recording {
  /** Takes the bytes; it fails where the file cannot be written, and the file stays as far as it came. */
  readonly stream: Writable;
  /** Where the bytes are before they are kept. */
  readonly partial: string;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #force: boolean;

  private constructor(path: string, partial: string, handle: FileHandle, force: boolean) {
    this.#path = path;
    this.partial = partial;
    this.#handle = handle;
    this.#force = force;
    this.stream = new Writable({
      highWaterMark: BACKLOG,
      write(piece: Uint8Array, _encoding, done) {
        writeFully(handle, piece).then(() => done(), done);
      },
    });
    this.stream.on('error', () => {});
  }

  /**
   * Begins a file. What an earlier recording has left as `.partial` stays: it may be all that there is of it.
   * @throws DirtyBitmapError `output-exists` where the file is there, and `force` is not given; `file-access`.
   */
  static async open(path: string, options: Pick<WriteFileOptions, 'force'> = {}): Promise<Recording> {
    const force = options.force === true;
    const place = await attempt(path, () => placeOf(path));
    if (place.kind === 'special')
      return new Recording(place.path, place.path, await attempt(path, () => open(place.path, 'w')), force);
    if (place.kind === 'file' && !force) throw exists(path);
    return await writeBeside(place.path, async (partial) => {
      return new Recording(place.path, partial, await attempt(path, () => openNew(partial)), force);
    });
  }

  /** All is there, and on the disk: puts it into its place. @throws DirtyBitmapError `output-exists`, `file-access`. */
  async keep(): Promise<void> {
    const special = this.partial === this.#path;
    try {
      if (!special) await attempt(this.#path, () => this.#handle.sync());
    } finally {
      await this.#handle.close();
    }
    if (special) return;
    await attempt(this.#path, () => putInPlace(this.partial, this.#path, this.#force));
    // A link leaves the other name.
    await rm(this.partial, { force: true });
  }

  /** Leaves it as far as it came; nothing is left of one that is empty. @returns its path, or undefined. */
  async leave(): Promise<string | undefined> {
    await this.#handle.close().catch(() => {});
    if (this.partial === this.#path) return undefined;
    const { size } = await stat(this.partial).catch(() => ({ size: 0 }));
    if (size > 0) return this.partial;
    await rm(this.partial, { force: true });
    return undefined;
  }
}

/** A new file. @throws DirtyBitmapError `output-exists` where something is there, be it a link. */
async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw exists(path);
    throw error;
  }
}
