import { posix } from 'node:path';
import type { LayerOpener } from '../../src/chain/layer-opener.js';

/** Files in memory, and what was done with them. */
export interface MemoryFiles extends LayerOpener {
  /** Paths in the order in which they were opened, as they were given. */
  readonly opened: string[];
  /** Files that are open now. */
  readonly openNow: () => number;
  /** Bytes that were read of all of them. */
  readonly bytesRead: () => number;
}

/** Opens files of memory; a path may have `..`, and each file is itself, whatever the path. */
export function memoryFiles(files: Readonly<Record<string, Uint8Array>>, writers: readonly string[] = []): MemoryFiles {
  const opened: string[] = [];
  let openNow = 0;
  let bytesRead = 0;
  return {
    opened,
    openNow: () => openNow,
    bytesRead: () => bytesRead,
    async open(path) {
      const name = posix.normalize(path);
      const bytes = Object.hasOwn(files, name) ? files[name] : undefined;
      opened.push(path);
      if (bytes === undefined) return { absent: 'missing', reason: 'there is no such file' };
      openNow++;
      return {
        file: {
          size: async () => bytes.length,
          async read(offset, length) {
            // A whole cluster, of at most 2 MiB, is asked for also where the file ends before.
            if (length > Math.max(2 ** 21, bytes.length)) throw new Error(`asked for ${length} bytes`);
            const lent = bytes.slice(offset, offset + length);
            bytesRead += lent.length;
            return lent;
          },
        },
        identity: name,
        writerPresent: writers.includes(name),
        async close() {
          openNow--;
        },
      };
    },
  };
}
