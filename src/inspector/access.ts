import { DirtyBitmapError } from '../errors.js';
import type { RandomAccess } from '../qcow2/random-access.js';
import type { InputSource } from './messages.js';

/**
 * The bytes of an input that the page was given.
 * @throws DirtyBitmapError `file-access` where they cannot be had.
 */
export async function openAccess(source: InputSource): Promise<RandomAccess> {
  return 'blob' in source ? blobAccess(source.blob) : await servedAccess(source.url);
}

function blobAccess(blob: Blob): RandomAccess {
  return {
    size: async () => blob.size,
    async read(offset, length) {
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (error) {
        // A browser does not read a file that was changed after it was chosen.
        const message = `the file cannot be read: ${(error as Error).message}; if it was changed, choose it again`;
        throw new DirtyBitmapError('file-access', message);
      }
    },
  };
}

/** A file that `dirtybitmap inspect` serves, a range at a time. */
async function servedAccess(url: string): Promise<RandomAccess> {
  const head = await ask(url, { method: 'HEAD' });
  const size = Number(head.headers.get('content-length'));
  // Else the browser counts the request as broken off.
  await head.arrayBuffer();
  return {
    size: async () => size,
    async read(offset, length) {
      const last = Math.min(size, offset + length) - 1;
      if (last < offset) return new Uint8Array(0);
      const response = await ask(url, { headers: { range: `bytes=${offset}-${last}` } });
      if (response.status !== 206) throw failed(`expected a part of it, found status ${response.status}`);
      try {
        return new Uint8Array(await response.arrayBuffer());
      } catch (error) {
        throw failed((error as Error).message);
      }
    },
  };
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw failed(`${(error as Error).message}; does dirtybitmap inspect still run?`);
  }
  if (!response.ok) throw failed(`status ${response.status}`);
  return response;
}

function failed(why: string): DirtyBitmapError {
  return new DirtyBitmapError('file-access', `the file cannot be read: ${why}`);
}
