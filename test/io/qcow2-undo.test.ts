import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nameFromText } from '../../src/bytes/text.js';
import { commitImage, undoCommit } from '../../src/io/qcow2-commit.js';
import { inPlaceWrites, readUndo, sealUndo, writeUndo } from '../../src/io/undo-file.js';
import { write } from '../../src/qcow2/commit/plan.js';
import type { WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { removeBitmap, resetBitmap } from '../../src/qcow2/operations.js';
import type { RandomAccess } from '../../src/qcow2/random-access.js';
import { buildImage } from '../qcow2/build-image.js';
import { padTo } from '../qcow2/crash-edits.js';
import { join as bytesOf, fill } from '../support/stream-builder.js';

const ONE = { bitmaps: [{ name: 'one', dirty: [[3, 70]] }], guest: ['data'] } as const;
const built = buildImage(ONE);
const drop = (image: Qcow2Image): WantedBitmap[] => removeBitmap(image, nameFromText('one'));

describe('undoCommit', () => {
  let folder: string;
  let path: string;
  let undo: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-undo-'));
    path = join(folder, 'image');
    undo = join(folder, 'undo');
    writeFileSync(path, built.bytes);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const commit = (change: (image: Qcow2Image) => WantedBitmap[]) => commitImage(path, change, { unlocked: true, undo });
  const undone = () => undoCommit(path, undo, { unlocked: true });
  /** It is refused with this in the message, and nothing is written. */
  async function refuses(text: string): Promise<void> {
    const before = readFileSync(path);
    await expect(undone()).rejects.toMatchObject({ code: 'undo-invalid', message: expect.stringContaining(text) });
    expect(readFileSync(path).equals(before)).toBe(true);
  }

  it('puts every byte back that was overwritten', async () => {
    await commit(drop);
    expect(Buffer.compare(readFileSync(path), built.bytes)).not.toBe(0);
    expect(await undone()).toBeGreaterThan(2);
    expect(Buffer.compare(readFileSync(path), built.bytes)).toBe(0);
  });

  it('puts it back where the image has grown, and its refcount table moved', async () => {
    const base = padTo(
      buildImage({ refcountBits: 64, bitmaps: [{ name: 'one', flags: 3 }] }).bytes,
      64 * 64 * 512 - 512,
    );
    writeFileSync(path, base);
    await commit((image) => resetBitmap(image, nameFromText('one')));
    await undone();
    const file = readFileSync(path);
    expect(file.length).toBeGreaterThan(base.length);
    expect(file.subarray(0, base.length).equals(base)).toBe(true);
  });

  it('refuses an image that was written since, also where no byte of the change tells', async () => {
    await commit(drop);
    const file = await open(path, 'r+');
    // A guest that writes where it wrote before: only the time of the file tells.
    await file.write(fill(512, 0xbb), 0, 512, built.guest[0]);
    await file.close();
    await refuses('the image was written, or copied, since the change');
  });

  it('refuses an image that has grown, and a second undo', async () => {
    await commit(drop);
    const { mtime, atime } = await (await import('node:fs/promises')).stat(path);
    appendFileSync(path, fill(512));
    utimesSync(path, atime, mtime);
    await refuses('the image was written, or copied, since the change');
    writeFileSync(path, built.bytes);
    rmSync(undo);
    await commit(drop);
    await undone();
    await refuses('the image was written, or copied, since the change');
  });

  it('refuses what did not end', async () => {
    await commit(drop);
    const [first] = readFileSync(undo, 'utf8').split('\n');
    writeFileSync(undo, `${first}\n`);
    await refuses('found that the change did not end');
  });

  it.each([
    ['', 'Unexpected end'],
    ['{}\n{}\n', 'no such fields'],
    ['{"dirtybitmapUndo":2,"ranges":[]}\n', 'no such fields'],
    ['{"dirtybitmapUndo":1,"ranges":[]}\n{}\n', 'no such fields'],
    [
      '{"dirtybitmapUndo":1,"ranges":[{"offset":-1,"before":"","after":""}]}\n{"left":{"size":"1","mtimeNs":"1"}}\n',
      'offset',
    ],
    [
      '{"dirtybitmapUndo":1,"ranges":[{"offset":1,"before":"0","after":""}]}\n{"left":{"size":"1","mtimeNs":"1"}}\n',
      'hexa',
    ],
    [
      '{"dirtybitmapUndo":1,"ranges":[{"offset":1,"before":"00","after":""}]}\n{"left":{"size":"1","mtimeNs":"1"}}\n',
      'two',
    ],
  ])('refuses %j', async (text, why) => {
    writeFileSync(undo, text);
    await refuses(why);
  });

  it('is prepared before anything is written, in a file that is not there yet', async () => {
    writeFileSync(undo, 'mine');
    await expect(commit(drop)).rejects.toMatchObject({ code: 'output-exists' });
    undo = join(folder, 'nowhere', 'undo');
    await expect(commit(drop)).rejects.toMatchObject({ code: 'file-access' });
    await expect(undone()).rejects.toMatchObject({ code: 'file-access' });
    expect(Buffer.compare(readFileSync(path), built.bytes)).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['image', 'undo']);
  });
});

describe('inPlaceWrites', () => {
  const inMemory = (file: Uint8Array): RandomAccess => ({
    size: async () => file.length,
    read: async (offset, length) => file.subarray(offset, offset + length),
  });

  it('knows what is overwritten where writes overlap, and where the file ends inside one', async () => {
    const base = Uint8Array.from({ length: 20 }, (_, at) => at);
    const writes = [
      write('allocate', 4, 'a', fill(8, 0xa0)),
      write('switch', 0, 'b', fill(6, 0xb0)),
      write('switch', 16, 'over the end', fill(8, 0xc0)),
      write('switch', 20, 'behind the end', fill(8, 0xd0)),
      write('free', 5, 'd', fill(1, 0xe0)),
    ];
    const found = await inPlaceWrites(writes, inMemory(base));
    expect(found.map(({ step, before }) => [step.what, [...before]])).toEqual([
      ['a', [4, 5, 6, 7, 8, 9, 10, 11]],
      ['b', [0, 1, 2, 3, 0xa0, 0xa0]],
      ['over the end', [16, 17, 18, 19]],
      ['d', [0xb0]],
    ]);
    const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-undo-'));
    try {
      const undo = join(folder, 'undo');
      const left = { size: 28n, mtimeNs: 2n ** 62n };
      await writeUndo(undo, 'image', found);
      await sealUndo(undo, left);
      const after = bytesOf(base, fill(8));
      for (const { offset, bytes } of writes) after.set(bytes(), offset);
      for (const { offset, bytes } of await readUndo(undo, inMemory(after), left)) after.set(bytes, offset);
      expect([...after.subarray(0, 20)]).toEqual([...base]);
      // Not what the change left: the time is the same, a byte is not.
      await expect(readUndo(undo, inMemory(after), left)).rejects.toMatchObject({ code: 'undo-invalid', offset: 4 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
