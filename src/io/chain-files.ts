import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { AbsentLayer, LayerOpener, OpenedLayer } from '../chain/layer-opener.js';
import { hasWriter } from './image-lock.js';
import { accessOpen } from './random-access-file.js';

/** Opens the layers of a chain that are files and block devices of this host, for reading only; takes no lock. */
export const chainFiles: LayerOpener = {
  async open(path: string): Promise<OpenedLayer | AbsentLayer> {
    let handle: FileHandle;
    try {
      // Without waiting: a pipe that nobody writes would keep us here.
      handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      return absent(error as NodeJS.ErrnoException);
    }
    try {
      return await opened(path, handle);
    } catch (error) {
      await handle.close();
      return absent(error as NodeJS.ErrnoException);
    }
  },
};

async function opened(path: string, handle: FileHandle): Promise<OpenedLayer> {
  const kind = await handle.stat({ bigint: true });
  if (!kind.isFile() && !kind.isBlockDevice()) {
    throw new Error(kind.isDirectory() ? 'it is a directory' : 'it is neither a file nor a block device');
  }
  return {
    file: accessOpen(path, handle),
    // Two nodes of a device have inodes of their own.
    identity: kind.isBlockDevice() ? `device ${kind.rdev}` : `${kind.dev} ${kind.ino}`,
    writerPresent: await hasWriter(path),
    close: () => handle.close(),
  };
}

/** A part of the path that is no directory is as good as missing. */
const MISSING: readonly (string | undefined)[] = ['ENOENT', 'ENOTDIR'];
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no directory',
  EACCES: 'permission denied',
  ELOOP: 'its symbolic links go round in circles',
  ENAMETOOLONG: 'its path is too long',
  ENXIO: 'it is a socket or a device without a driver',
};

function absent({ code, message }: NodeJS.ErrnoException): AbsentLayer {
  return { absent: MISSING.includes(code) ? 'missing' : 'unreadable', reason: REASONS[code ?? ''] ?? message };
}
