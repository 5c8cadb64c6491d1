import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { dropBitmaps } from '../../src/io/drop-bitmaps.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { buildImage } from '../qcow2/build-image.js';
import { otherLength } from '../qcow2/crash-edits.js';
import { patched } from '../qcow2/patch.js';
import { IMAGES, readVector } from '../qcow2/vectors.js';
import { u64 } from '../support/stream-builder.js';
import { describeWithQemu } from '../support/with-qemu.js';

const BROKEN = IMAGES.map(([name]) => name).filter((name) => name.startsWith('bad-'));

describeWithQemu('dropBitmaps', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-drop-'));
    path = join(folder, 'image');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const qemu = (...args: string[]): number | null => spawnSync('qemu-img', [...args, path]).status;
  const write = (): number | null => spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'write 0 512', path]).status;

  /** Whether it was broken; then QEMU opens it afterwards, and nothing of its bitmaps is left to be believed. */
  async function drops(bytes: Uint8Array): Promise<boolean> {
    writeFileSync(path, bytes);
    const dropped = await dropBitmaps(path, { unlocked: true });
    if (dropped === undefined) {
      expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
      return false;
    }
    expect(decodeQcow2(new Uint8Array(readFileSync(path))).bitmaps.filter(({ trust }) => trust !== 'stale')).toEqual(
      [],
    );
    expect([0, 3]).toContain(qemu('check', '-f', 'qcow2'));
    expect(write()).toBe(0);
    expect([0, 3]).toContain(qemu('check', '-f', 'qcow2', '-r', 'leaks'));
    return true;
  }

  it('makes QEMU open images whose list of bitmaps is broken', async () => {
    let count = 0;
    // The others differ from these in little.
    for (const name of BROKEN.filter((_, at) => at % 3 === 0 || at === BROKEN.length - 1)) {
      const bytes = readVector(name);
      if (name === 'bad-unknown-incompatible.qcow2') {
        writeFileSync(path, bytes);
        await expect(dropBitmaps(path, { unlocked: true })).rejects.toMatchObject({
          code: 'qcow2-incompatible-unknown',
        });
      } else if (await drops(bytes)) count++;
    }
    expect(count).toBeGreaterThan(5);
  });

  it('does so for an extension of another length, and a directory that guest data lies in', async () => {
    const form = { bitmaps: [{ dirty: [[3, 70]] }], guest: ['data'] } as const;
    expect(await drops(otherLength(buildImage(form).bytes))).toBe(true);
    expect(await drops(otherLength(buildImage({ ...form, moreExtensions: [[0x11223344, 'behind']] }).bytes))).toBe(
      true,
    );
    const built = buildImage(form);
    const shared = patched(built, built.l2[0] as number, u64(BigInt(built.directory) | (1n << 63n)));
    writeFileSync(path, shared);
    expect(await dropBitmaps(path, { unlocked: true })).toMatchObject({ code: 'qcow2-cluster-referenced' });
    expect(decodeQcow2(new Uint8Array(readFileSync(path))).bitmaps[0]?.trust).toBe('stale');
  });
});
