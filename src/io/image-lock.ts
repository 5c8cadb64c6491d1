import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { loadOfdLocks, type OfdLocks } from './ofd-lock.js';
import { type FileLock, locksOn, writersOf } from './proc-locks.js';

/** How an image is kept to oneself: by QEMU's own locks, by a QEMU tool that has it open, or not at all. */
export type LockKind = 'ofd' | 'qemu-io' | 'none';

/** An image that no QEMU can open for writing. */
export interface ImageLock {
  readonly kind: LockKind;
  /** Looks once more. @throws DirtyBitmapError `image-locked` where the lock is gone, or somebody else came. */
  assertHeld(): Promise<void>;
  /** Lets others open the image again; an OFD lock is let go when its file is closed. */
  release(): Promise<void>;
}

/** How an image is locked. */
export interface LockOptions {
  /** Which ways may be tried, in this order. Default: `ofd`, then `qemu-io`. `none` is never tried by itself. */
  readonly ways?: readonly LockKind[] | undefined;
}

// What QEMU's file driver does: byte 100 + n says "I use permission n", byte 200 + n "I do not share permission n", with
// n: 0 consistent read, 1 write, 2 write unchanged, 3 resize. Locks are shared; after taking them each one is tested.
const TAKEN = [100, 101, 103, 201, 203];
const TESTED = [200, 201, 203, 101, 103];
/** Who holds this byte writes. */
const WRITES = 101;
/** Milliseconds that qemu-io has to open the image. */
const PATIENCE = 10_000;

/**
 * Whether a QEMU has an image open for writing; undefined where the system does not tell (another file system may have a
 * locked file of the same inode). That decides whether a bitmap
 * that is marked in use is live or orphaned. Takes no lock. Source: qcow2-bitmaps.md section 12.
 */
export async function hasWriter(path: string): Promise<boolean | undefined> {
  const locks = await locksOn(await stat(path));
  const writes = locks?.filter((lock) => holds(lock, WRITES));
  if (writes === undefined || writes.length === 0) return writes && false;
  return writes.some(({ certain }) => certain) ? true : undefined;
}

/**
 * Locks an image as QEMU does, so that no QEMU opens it while it is written, and none has it open.
 * @param file the image, open for writing: the locks are on this open file, and go when it is closed.
 * @throws DirtyBitmapError `image-locked` where somebody has it open; `image-lock-missing` where no way works.
 */
export async function lockImage(path: string, file: FileHandle, options: LockOptions = {}): Promise<ImageLock> {
  await assertNoWriter(path, []);
  for (const way of options.ways ?? ['ofd', 'qemu-io']) {
    const lock = await WAYS[way](path, file);
    if (lock !== undefined) return lock;
  }
  throw new DirtyBitmapError(
    'image-lock-missing',
    `${quoted(path, 256)} cannot be locked: this needs the optional package koffi on 64-bit Linux, or qemu-io of ` +
      'qemu-utils; install one, or say that nobody else uses the image (--unlocked)',
  );
}

const WAYS: Readonly<Record<LockKind, (path: string, file: FileHandle) => Promise<ImageLock | undefined>>> = {
  async ofd(path, file) {
    const locks = await loadOfdLocks();
    return locks && ofdLock(path, file, locks);
  },
  'qemu-io': qemuIoLock,
  async none(path) {
    return { kind: 'none', assertHeld: () => assertNoWriter(path, []), release: async () => {} };
  },
};

async function ofdLock(path: string, file: FileHandle, locks: OfdLocks): Promise<ImageLock | undefined> {
  // Some file systems have no locks at all.
  if (!TAKEN.every((byte) => locks.take(file.fd, byte))) return undefined;
  const assertHeld = async (): Promise<void> => {
    if (!TESTED.every((byte) => locks.isFree(file.fd, byte))) throw locked(path, 'a QEMU has it open');
    await assertNoWriter(path, []);
  };
  await assertHeld();
  return { kind: 'ofd', assertHeld, release: async () => {} };
}

/**
 * A qemu-io that has the image open as raw and does nothing: every other QEMU is refused then. Two of these do not
 * exclude each other, so a file beside the image does.
 */
async function qemuIoLock(path: string): Promise<ImageLock | undefined> {
  const mark = `${path}.dirtybitmap-lock`;
  await takeMark(path, mark);
  // To QEMU `a:b` is a protocol, and `-b` an option.
  const child = spawn('qemu-io', ['-f', 'raw', resolve(path)], { stdio: ['pipe', 'ignore', 'pipe'] });
  const release = async (): Promise<void> => {
    await end(child);
    await rm(mark, { force: true });
  };
  try {
    if (!(await holdsSoon(path, child))) {
      await release();
      return undefined;
    }
    const assertHeld = async (): Promise<void> => {
      // Its locks are gone at once; that it has ended is told some time later.
      if (child.exitCode !== null || child.signalCode !== null || (await hasWriter(path)) === false)
        throw locked(path, 'the qemu-io that held it has ended');
      await assertNoWriter(path, [child.pid]);
    };
    await assertHeld();
    return { kind: 'qemu-io', assertHeld, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Makes the file that says who writes the image; that of a process that is gone is taken over. */
async function takeMark(path: string, mark: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await writeFile(mark, `${process.pid}\n`, { flag: 'wx' });
      return;
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const name = quoted(mark, 256);
      if (code !== 'EEXIST')
        throw new DirtyBitmapError('file-access', `${name} cannot be written: ${message}`, { cause });
      const pid = Number(await readFile(mark, 'utf8').catch(() => ''));
      if (tries > 1 || !isGone(pid)) {
        throw locked(path, `another dirtybitmap writes it: ${name} is there (remove that if none runs)`);
      }
      await rm(mark, { force: true });
    }
  }
}

/** Whether there is no such process here. */
function isGone(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Waits until the child has the image open; false where there is no such program. */
async function holdsSoon(path: string, child: ChildProcess): Promise<boolean> {
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const missing = once(child, 'error').then(() => true);
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    if (await Promise.race([missing, sleep(20, false)])) return false;
    if (child.exitCode !== null) throw locked(path, `qemu-io says: ${stderr.trim().slice(0, 200)}`);
    if ((await hasWriter(path)) !== false) return true;
  }
  throw locked(path, 'qemu-io does not open it');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.stdin?.end();
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  await exited;
  clearTimeout(late);
}

/** QEMUs that take no locks are seen only by their open files. */
async function assertNoWriter(path: string, own: readonly (number | undefined)[]): Promise<void> {
  const writer = (await writersOf(path)).find(({ pid }) => !own.includes(pid));
  if (writer === undefined) return;
  throw locked(path, `process ${writer.pid} (${writer.command}) has it open for writing`);
}

function holds({ start, end }: FileLock, byte: number): boolean {
  return start <= byte && byte <= end;
}

function locked(path: string, why: string): DirtyBitmapError {
  const advice = 'close it there first, or change its bitmaps over QMP; nothing was written';
  return new DirtyBitmapError('image-locked', `${quoted(path, 256)} is in use: ${why}; ${advice}`);
}
