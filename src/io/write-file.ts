import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { type FileHandle, link, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';

/** How a file is written. */
export interface WriteFileOptions {
  /** Take the place of a file that is there. Default false: refuse. */
  readonly force?: boolean | undefined;
  /** Remove the temporary file when a signal ends the process (SIGINT, SIGTERM, SIGHUP). Default false. */
  readonly onSignals?: boolean | undefined;
}

/** Pieces of a file, each valid until the next is asked for. */
export type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Pieces below this are gathered: a call of the system for each costs more than a copy. Bytes. */
const GATHER = 256 * 1024;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Writes a file that is there only when it is complete: under another name in the same folder, then to the disk, then
 * into its place. When anything fails, nothing is left and what was there stays. What is no regular file (a pipe, a
 * device) is written as it is.
 * @returns bytes written.
 * @throws DirtyBitmapError `output-exists` where a file is there, before the first piece is asked for; `file-access`
 * where it cannot be written; and what the pieces throw.
 */
export async function writeFile(path: string, pieces: Pieces, options: WriteFileOptions = {}): Promise<number> {
  const place = await attempt(path, () => placeOf(path));
  if (place.kind === 'special') {
    const handle = await attempt(path, () => open(place.path, 'w'));
    return await guarded(handle, () => writeAll(path, handle, pieces));
  }
  if (place.kind === 'file' && options.force !== true) throw exists(path);
  const temporary = join(dirname(place.path), `.${basename(place.path)}.${randomBytes(6).toString('hex')}.tmp`);
  const handle = await attempt(path, () => open(temporary, 'wx', 0o666));
  const forget = options.onSignals === true ? removeOnSignals(temporary) : undefined;
  try {
    const bytes = await guarded(handle, async () => {
      const written = await writeAll(path, handle, pieces);
      await attempt(path, async () => {
        if (place.kind === 'file') await handle.chmod(place.mode);
        await handle.sync();
      });
      return written;
    });
    await attempt(path, () => putInPlace(temporary, place.path, options.force === true));
    return bytes;
  } finally {
    // After a rename it is gone.
    await rm(temporary, { force: true });
    forget?.();
  }
}

/**
 * Refuses early what {@link writeFile} would refuse, before work is put into the bytes.
 * @throws DirtyBitmapError `output-exists`, `file-access`.
 */
export async function checkOutput(path: string, options: WriteFileOptions = {}): Promise<void> {
  const place = await attempt(path, () => placeOf(path));
  if (place.kind === 'file' && options.force !== true) throw exists(path);
  if (place.kind === 'none') await attempt(path, () => stat(dirname(place.path)));
}

type Place =
  | { readonly kind: 'none' | 'special'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number };

/** What is at a path; a symbolic link stays and what it points to is replaced. */
export async function placeOf(path: string): Promise<Place> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return { kind: 'none', path };
  if (found.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
  if (!found.isFile()) return { kind: 'special', path };
  return { kind: 'file', path: await realpath(path), mode: found.mode & 0o7777 };
}

async function writeAll(path: string, handle: FileHandle, pieces: Pieces): Promise<number> {
  const buffer = new Uint8Array(GATHER);
  let used = 0;
  let total = 0;
  const put = (bytes: Uint8Array): Promise<void> => attempt(path, () => writeFully(handle, bytes));
  for await (const piece of pieces) {
    total += piece.length;
    if (used + piece.length > GATHER) {
      await put(buffer.subarray(0, used));
      used = 0;
    }
    if (piece.length > GATHER) {
      await put(piece);
    } else {
      buffer.set(piece, used);
      used += piece.length;
    }
  }
  await put(buffer.subarray(0, used));
  return total;
}

/** Writes all of some bytes where a file stands; a system may take less than it is given. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

async function guarded<T>(handle: FileHandle, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await handle.close();
  }
}

/** Without force a link is made first, which fails where a file has come in the meantime; a rename would not. */
export async function putInPlace(temporary: string, path: string, force: boolean): Promise<void> {
  if (force || !(await linked(temporary, path))) await rename(temporary, path);
  await syncFolder(dirname(path));
}

async function linked(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw exists(path);
    // A file system without links (FAT): the look at the start must do.
    return false;
  }
}

/** Only with the folder on the disk is the name there after a power failure. Not every system can. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

function removeOnSignals(temporary: string): () => void {
  const remove = (signal: NodeJS.Signals): void => {
    forget();
    try {
      unlinkSync(temporary);
    } catch {
      // It may be in its place already.
    }
    process.kill(process.pid, signal);
  };
  const forget = (): void => {
    for (const signal of SIGNALS) process.off(signal, remove);
  };
  for (const signal of SIGNALS) process.on(signal, remove);
  return forget;
}

/** The error for a file that is there and may not be overwritten. */
export function exists(path: string): DirtyBitmapError {
  return new DirtyBitmapError('output-exists', `${quoted(path, 256)} is there already; --force overwrites it`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such folder',
  ENOTDIR: 'a part of the path is no folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
};

/** Does what a file may refuse. @throws DirtyBitmapError `file-access`, with why the path cannot be written. */
export async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DirtyBitmapError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = REASONS[code ?? ''] ?? message;
    throw new DirtyBitmapError('file-access', `${path} cannot be written: ${reason}`, { cause: error });
  }
}
