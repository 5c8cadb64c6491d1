import type { Stats } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';

/** A lock that some process has on a file. */
export interface FileLock {
  /** Device, as `MAJOR:MINOR` in hexadecimal, and inode of the file. */
  readonly device: string;
  readonly inode: number;
  /** First and last byte; Infinity up to the end of any file. */
  readonly start: number;
  readonly end: number;
}

/** A process that has a file open for writing. */
export interface Holder {
  readonly pid: number;
  /** Its command. */
  readonly command: string;
}

const LINE = /^\d+: (?:-> )?(?:OFDLCK|POSIX) +\w+ +\w+ +-?\d+ ([0-9a-f]+:[0-9a-f]+):(\d+) (\d+) (\d+|EOF)$/gm;

/**
 * The byte-range locks in the text of /proc/locks. Neighbouring bytes come merged into ranges; flock(2) is another matter
 * and left out. Source: qcow2-bitmaps.md section 12.
 */
export function parseProcLocks(text: string): readonly FileLock[] {
  return [...text.matchAll(LINE)].map(([, device = '', inode, start, end]) => ({
    device,
    inode: Number(inode),
    start: Number(start),
    end: end === 'EOF' ? Number.POSITIVE_INFINITY : Number(end),
  }));
}

/** A lock that may be on a file; `certain` unless only the inode is the same. */
export type LockFound = FileLock & { readonly certain: boolean };

/**
 * The locks on a file, or undefined where the system does not tell (not Linux, no /proc). On overlayfs and btrfs the device
 * differs from that of stat(2), so that an inode of another device counts as well, but is not certain.
 */
export async function locksOn({ dev, ino }: Pick<Stats, 'dev' | 'ino'>): Promise<readonly LockFound[] | undefined> {
  const text = await readFile('/proc/locks', 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const device = deviceText(BigInt(dev));
  return parseProcLocks(text)
    .filter((lock) => lock.inode === ino)
    .map((lock) => ({ ...lock, certain: lock.device === device }));
}

/** A device number as /proc/locks writes it. */
function deviceText(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xffff_f000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffff_ff00n);
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':');
}

/**
 * Other processes that have a file open for writing, as far as one may look: QEMU without locks (`-incoming`,
 * `locking=off`) is found only so.
 */
export async function writersOf(path: string): Promise<readonly Holder[]> {
  const wanted = await stat(path);
  const pids = await readdir('/proc').catch(() => []);
  const found: Holder[] = [];
  for (const pid of pids) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const folder = `/proc/${pid}`;
    for (const fd of await readdir(`${folder}/fd`).catch(() => [])) {
      if (!(await isOpenForWriting(folder, fd, wanted))) continue;
      const command = await readFile(`${folder}/comm`, 'utf8').catch(() => '');
      found.push({ pid: Number(pid), command: command.trim() });
      break;
    }
  }
  return found;
}

async function isOpenForWriting(folder: string, fd: string, wanted: { dev: number; ino: number }): Promise<boolean> {
  // Most are sockets and pipes, which need no stat.
  const target = await readlink(`${folder}/fd/${fd}`).catch(() => '');
  if (!target.startsWith('/')) return false;
  const found = await stat(`${folder}/fd/${fd}`).catch(() => undefined);
  if (found?.ino !== wanted.ino || found.dev !== wanted.dev) return false;
  const info = await readFile(`${folder}/fdinfo/${fd}`, 'utf8').catch(() => '');
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}
