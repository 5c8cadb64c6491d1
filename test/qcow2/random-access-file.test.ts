import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deviceSize, openRandomAccess } from '../../src/io/random-access-file.js';
import { readQcow2 } from '../../src/qcow2/read-qcow2.js';
import { readVector } from './vectors.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-random-access-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a file that is read anywhere', () => {
  it('gives what is there, and less at its end', async () => {
    const path = join(folder, 'ten');
    writeFileSync(path, Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
    const file = await openRandomAccess(path);
    expect(await file.size()).toBe(10);
    expect([...(await file.read(3, 4))]).toEqual([3, 4, 5, 6]);
    expect([...(await file.read(8, 200_000))]).toEqual([8, 9]);
    expect([...(await file.read(10, 1))]).toEqual([]);
    expect([...(await file.read(0, 2))]).toEqual([0, 1]);
    await file.close();
    await expect(file.read(0, 1)).rejects.toMatchObject({ code: 'file-access' });
    await expect(file.size()).rejects.toMatchObject({ code: 'file-access' });
  });

  it('holds an image', async () => {
    const path = join(folder, 'big.qcow2');
    writeFileSync(path, readVector('big.qcow2'));
    const file = await openRandomAccess(path);
    const { bitmaps } = await readQcow2(file);
    expect(bitmaps[0]?.bits?.count()).toBe(6 * 2 ** 20);
    await file.close();
  });

  it('is there, and is a file', async () => {
    await expect(openRandomAccess(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'file-access' });
    await expect(openRandomAccess(folder)).rejects.toThrow(/it is a directory/);
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    await expect(openRandomAccess(join(folder, 'pipe'))).rejects.toThrow(/neither a file nor a block device/);
  });
});

describe('the size of a device', () => {
  it.each([0, 1, 511, 512, 2 ** 40 + 512, Number.MAX_SAFE_INTEGER])('of %d bytes is found by reading', async (size) => {
    let reads = 0;
    const found = await deviceSize(async (into, offset) => {
      reads++;
      return offset < size ? into.length : 0;
    });
    expect(found).toBe(size);
    expect(reads).toBeLessThan(60);
  });
});
