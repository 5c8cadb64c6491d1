/** What a call of fcntl(2) with a lock did: whether it was granted, or whether nobody is in the way. */
export interface OfdLocks {
  /** Takes a shared lock on a byte of an open file, for as long as the file is open. */
  take(fd: number, byte: number): boolean;
  /** Whether nobody else has a lock on a byte. */
  isFree(fd: number, byte: number): boolean;
}

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** The struct flock of 64-bit Linux: type, whence (start of the file), start, length, pid (0). */
function flock(type: number, byte: number): Buffer {
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(byte), 8);
  lock.writeBigInt64LE(1n, 16);
  return lock;
}

/**
 * Open-file-description locks, which Node itself cannot take: fcntl(2) through koffi, an optional dependency.
 * @returns undefined where there is no koffi, or no 64-bit little-endian Linux.
 */
export async function loadOfdLocks(): Promise<OfdLocks | undefined> {
  if (process.platform !== 'linux' || !['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch)) return undefined;
  const koffi = await import('koffi').catch(() => undefined);
  if (koffi === undefined) return undefined;
  const fcntl = koffi.default.load(null).func('int fcntl(int fd, int cmd, ...)');
  const call = (fd: number, command: number, lock: Buffer): boolean => fcntl(fd, command, 'void *', lock) === 0;
  return {
    take: (fd, byte) => call(fd, F_OFD_SETLK, flock(F_RDLCK, byte)),
    isFree(fd, byte) {
      const lock = flock(F_WRLCK, byte);
      return call(fd, F_OFD_GETLK, lock) && lock.readInt16LE(0) === F_UNLCK;
    },
  };
}
