import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes that are read between two collections. */
const STEP = 16 * 1024 * 1024;

/**
 * Node makes a buffer for each read of a socket, and its collector comes late for memory that lies outside of its heap: a
 * relay would keep some 40 MB of nothing. This collects what is young, which takes less than a millisecond, each time that so much
 * was read.
 * @returns takes the bytes of each read.
 */
export function youngGarbage(): (bytes: number) => void {
  const collect = collector();
  let read = 0;
  return (bytes) => {
    read += bytes;
    if (read < STEP) return;
    read = 0;
    collect?.({ type: 'minor' });
  };
}

/** Node's own, which it hides; undefined where it cannot be had. */
function collector(): ((options: { readonly type: 'minor' }) => void) | undefined {
  try {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc');
  } catch {
    return undefined;
  }
}
