import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type DirtyBitmapError, isDirtyBitmapError } from '../../src/errors.js';
import { commitImage } from '../../src/io/qcow2-commit.js';
import { recount } from '../qcow2/own-checker.js';
import { LARGE, prepare, which } from './qcow2-fault-cases.js';

const [MOUNT, UMOUNT] = ['/bin/mount', '/bin/umount'];

/** Mounts a small file system of its own; undefined where that is not allowed. */
function mountSmall(folder: string, bytes: number): (() => void) | undefined {
  const { status } = spawnSync(MOUNT, ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
  return status === 0 ? () => execFileSync(UMOUNT, [folder]) : undefined;
}

describe('a file system that is full', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-full-'));
  const unmount = mountSmall(folder, 2 * 1024 * 1024);
  afterAll(() => {
    unmount?.();
    rmSync(folder, { recursive: true, force: true });
  });

  async function errorOf(work: Promise<unknown>): Promise<DirtyBitmapError | undefined> {
    try {
      await work;
      return undefined;
    } catch (error) {
      if (!isDirtyBitmapError(error)) throw error;
      return error;
    }
  }

  // Needs the right to mount one.
  it.skipIf(unmount === undefined)('leaves the bitmaps as they were, whatever room there is', async () => {
    const path = join(folder, 'image');
    const { base, old, wanted } = prepare(LARGE);
    const { bsize } = statfsSync(folder);
    for (let pages = 0; ; pages += 2) {
      writeFileSync(path, base);
      rmSync(join(folder, 'ballast'), { force: true });
      const left = statfsSync(folder).bavail - pages;
      writeFileSync(join(folder, 'ballast'), new Uint8Array(left * bsize));
      const error = await errorOf(commitImage(path, LARGE.change, { unlocked: true }));
      const file = new Uint8Array(readFileSync(path));
      if (error === undefined) {
        expect(which(file, old, wanted)).toBe('new');
        expect(pages).toBeGreaterThan(10);
        break;
      }
      expect(error).toMatchObject({
        code: 'qcow2-write-failed',
        message: expect.stringMatching(/writing .* at \d+ failed: ENOSPC: .*; the bitmaps are as they were$/),
      });
      expect(which(file, old, wanted)).toBe('old');
      expect(recount(file)).toMatchObject({ corruptions: [], leaks: 0 });
    }
    expect(readdirSync(folder).sort()).toEqual(['ballast', 'image']);
  });
});
