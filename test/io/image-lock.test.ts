import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasWriter, type LockKind, lockImage } from '../../src/io/image-lock.js';
import { parseProcLocks } from '../../src/io/proc-locks.js';
import { describeWithQemu } from '../support/with-qemu.js';

describe('parseProcLocks', () => {
  it('reads ranges, decimal, of files in hexadecimal devices, and leaves out flock', () => {
    const text = [
      '1: OFDLCK ADVISORY  READ -1 fe:01:1234 100 101',
      '2: POSIX  ADVISORY  WRITE 812 00:1a:99 0 EOF',
      '2: -> POSIX  ADVISORY  WRITE 813 00:1a:99 7 7',
      '3: FLOCK  ADVISORY  WRITE 700 fe:01:77 0 EOF',
      '',
    ].join('\n');
    expect(parseProcLocks(text)).toEqual([
      { device: 'fe:01', inode: 1234, start: 100, end: 101 },
      { device: '00:1a', inode: 99, start: 0, end: Number.POSITIVE_INFINITY },
      { device: '00:1a', inode: 99, start: 7, end: 7 },
    ]);
  });
});

describeWithQemu('lockImage and real QEMU tools', () => {
  let folder: string;
  let image: string;
  let file: FileHandle;
  const children: ChildProcess[] = [];
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-lock-'));
    image = join(folder, 'disk.qcow2');
    execFileSync('qemu-img', ['create', '-f', 'qcow2', image, '1M'], { stdio: 'ignore' });
    file = await open(image, 'r+');
  });
  afterEach(async () => {
    await endAll();
    await file.close();
    rmSync(folder, { recursive: true });
  });

  const img = (...args: string[]): { status: number | null; stderr: string } =>
    spawnSync('qemu-img', [...args, image], { encoding: 'utf8' });
  const codeOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: { code: string }) => error.code,
    );

  async function endAll(): Promise<void> {
    for (const child of children.splice(0)) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(join(folder, 'nbd.sock'), { force: true });
  }

  /** A qemu-nbd that has the image open. */
  async function serve(...args: string[]): Promise<void> {
    const socket = join(folder, 'nbd.sock');
    children.push(spawn('qemu-nbd', ['-t', '-f', 'qcow2', '-k', socket, ...args, image], { stdio: 'ignore' }));
    while (!existsSync(socket)) await sleep(10);
  }

  const ways: LockKind[] = ['ofd', 'qemu-io'];
  for (const way of ways) {
    describe(way, () => {
      it('keeps every QEMU out, and lets it in again', async () => {
        const lock = await lockImage(image, file, { ways: [way] });
        expect(lock.kind).toBe(way);
        expect(await hasWriter(image)).toBe(true);
        const before = readFileSync(image);
        expect(img('info').stderr).toContain('lock');
        expect(img('check').status).toBe(1);
        expect(spawnSync('qemu-img', ['bitmap', '--add', image, 'b'], { encoding: 'utf8' }).stderr).toContain('lock');
        expect(readFileSync(image)).toEqual(before);
        await lock.assertHeld();
        await lock.release();
        await file.close();
        file = await open(image, 'r+');
        expect(await hasWriter(image)).toBe(false);
        expect(img('check').status).toBe(0);
        expect(readdirSync(folder)).toEqual(['disk.qcow2']);
      });

      it('keeps another one of us out', async () => {
        const lock = await lockImage(image, file, { ways: [way] });
        const second = await open(image, 'r+');
        expect(await codeOf(lockImage(image, second, { ways: [way] }))).toBe('image-locked');
        await second.close();
        await lock.assertHeld();
        await lock.release();
      });

      it('refuses an image that QEMU has open, for writing or for reading', async () => {
        await serve();
        expect(await hasWriter(image)).toBe(true);
        expect(await codeOf(lockImage(image, file, { ways: [way] }))).toBe('image-locked');
        await endAll();
        await serve('-r');
        expect(await codeOf(lockImage(image, file, { ways: [way] }))).toBe('image-locked');
        expect(readdirSync(folder)).not.toContain('disk.qcow2.dirtybitmap-lock');
      });
    });
  }

  it('refuses what a QEMU without locks has open for writing', async () => {
    const holder = spawn('sh', ['-c', `exec sleep 60 3<>${image}`], { stdio: 'ignore' });
    children.push(holder);
    await sleep(100);
    expect(await hasWriter(image)).toBe(false);
    await expect(lockImage(image, file)).rejects.toMatchObject({
      code: 'image-locked',
      message: expect.stringContaining(`process ${holder.pid} (sleep) has it open for writing`),
    });
  });

  it('says what to install where there is no way', async () => {
    expect(await codeOf(lockImage(image, file, { ways: [] }))).toBe('image-lock-missing');
    expect((await lockImage(image, file, { ways: ['none'] })).kind).toBe('none');
  });

  it('takes koffi first', async () => {
    expect((await lockImage(image, file)).kind).toBe('ofd');
  });
});
