import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { commitImage, undoCommit } from '../../src/io/qcow2-commit.js';
import type { NewBitmap, WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { addBitmaps } from '../../src/qcow2/operations.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { describeWithQemu } from '../support/with-qemu.js';

const SIZE = 1024 * 1024;

function add(image: Qcow2Image): WantedBitmap[] {
  const bitmap: NewBitmap = {
    ...{ kind: 'new', name: nameFromText('new'), granularity: 512, auto: true },
    bits: new Bitmap(512, { size: SIZE }),
  };
  return addBitmaps(image, [bitmap]);
}

describeWithQemu('commitImage and real QEMU tools', () => {
  let folder: string;
  let image: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-commit-'));
    image = join(folder, 'disk.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, `${SIZE}`]);
    execFileSync('qemu-img', ['bitmap', '--add', image, 'old']);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true });
  });

  const inUse = (): boolean => decodeQcow2(new Uint8Array(readFileSync(image))).bitmaps.every((one) => one.inUse);
  const names = (): string[] => decodeQcow2(new Uint8Array(readFileSync(image))).bitmaps.map(({ name }) => name.text);
  const qemu = (program: string, ...args: string[]): string => spawnSync(program, args, { encoding: 'utf8' }).stderr;

  it.each([[[]], [['-r']]])('refuses an image that qemu-nbd %j has open, and changes no byte', async (args) => {
    const undo = join(folder, 'undo');
    const socket = join(folder, 'nbd.sock');
    children.push(spawn('qemu-nbd', ['-t', '-f', 'qcow2', '-k', socket, ...args, image], { stdio: 'ignore' }));
    while (!existsSync(socket)) await sleep(10);
    // It marks the bitmaps when it has opened the image for writing; the autoclear bit is what it sets last.
    const marked = (): boolean => inUse() && ((readFileSync(image)[95] as number) & 1) === 1;
    while (args.length === 0 && !marked()) await sleep(10);
    const before = readFileSync(image);
    for (const lockWays of [['ofd'], ['qemu-io'], undefined] as const) {
      const refused = { code: 'image-locked', message: expect.stringContaining('nothing was written') };
      await expect(commitImage(image, add, { lockWays, undo })).rejects.toMatchObject(refused);
      writeFileSync(undo, '');
      await expect(undoCommit(image, undo, { lockWays })).rejects.toMatchObject(refused);
      rmSync(undo);
    }
    expect(readFileSync(image).equals(before)).toBe(true);
    // A plan is no write.
    const { plan } = await commitImage(image, add, { dryRun: true });
    expect(plan.steps.length).toBeGreaterThan(4);
    expect(readFileSync(image).equals(before)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['disk.qcow2', 'nbd.sock']);
  });

  it.each(['ofd', 'qemu-io'] as const)('keeps every tool out while it writes, locked by %s', async (way) => {
    const refusals: string[] = [];
    let calls = 0;
    await commitImage(image, add, {
      lockWays: [way],
      onStep() {
        calls += 4;
        refusals.push(
          qemu('qemu-img', 'bitmap', '--add', image, 'other'),
          qemu('qemu-io', '-f', 'qcow2', '-c', 'write 0 512', image),
          qemu('qemu-img', 'info', image),
          qemu('qemu-nbd', '-f', 'qcow2', '-k', join(folder, 'nbd.sock'), image),
        );
      },
    });
    expect(calls).toBeGreaterThan(16);
    expect(refusals.filter((text) => /Failed to get .*lock/.test(text))).toHaveLength(calls);
    expect(names()).toEqual(['old', 'new']);
    expect(spawnSync('qemu-img', ['check', image]).status).toBe(0);
    expect(qemu('qemu-img', 'bitmap', '--add', image, 'other')).toBe('');
    expect(names()).toEqual(['old', 'new', 'other']);
    // The socket is that of a qemu-nbd that was refused.
    expect(readdirSync(folder)).toEqual(['disk.qcow2', 'nbd.sock']);
  });

  it('stops before anybody sees it, where the qemu-io dies that holds the lock', async () => {
    let killed = false;
    const writing = commitImage(image, add, {
      lockWays: ['qemu-io'],
      onStep() {
        if (killed) return;
        const own = spawnSync('pgrep', ['-P', `${process.pid}`, '-x', 'qemu-io'], { encoding: 'utf8' }).stdout.trim();
        process.kill(Number(own), 'SIGKILL');
        killed = true;
      },
    });
    await expect(writing).rejects.toMatchObject({
      code: 'image-locked',
      message: expect.stringMatching(/lock was lost .*; the bitmaps are as they were; .*`qemu-img check -r leaks`/),
    });
    expect(names()).toEqual(['old']);
    expect([0, 3]).toContain(spawnSync('qemu-img', ['check', image]).status);
    expect(readdirSync(folder)).toEqual(['disk.qcow2']);
    await commitImage(image, add);
    expect(names()).toEqual(['old', 'new']);
  });
});
