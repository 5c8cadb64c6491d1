import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Recording } from '../../src/io/recording.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-recording-'));
  path = join(folder, 'x.bin');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('Recording', () => {
  it('has its name only once it is kept, and is its owner’s alone', async () => {
    const recording = await Recording.open(path);
    recording.stream.end('abc');
    await finished(recording.stream);
    expect([existsSync(path), readFileSync(`${path}.partial`, 'utf8')]).toEqual([false, 'abc']);
    await recording.keep();
    expect([existsSync(`${path}.partial`), readFileSync(path, 'utf8')]).toEqual([false, 'abc']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('leaves what there is where it is not kept, and nothing of nothing', async () => {
    const recording = await Recording.open(path);
    recording.stream.end('ab');
    await finished(recording.stream);
    expect(await recording.leave()).toBe(`${path}.partial`);
    expect(readFileSync(`${path}.partial`, 'utf8')).toBe('ab');
    // What is left of an earlier one stays, whatever is forced.
    const again = await Recording.open(path, { force: true });
    expect(again.partial).toBe(`${path}.partial.2`);
    expect(await again.leave()).toBeUndefined();
    expect(existsSync(`${path}.partial.2`)).toBe(false);
    expect(readFileSync(`${path}.partial`, 'utf8')).toBe('ab');
  });

  it('takes one of a hundred names, and then no more', async () => {
    const names = ['', ...Array.from({ length: 99 }, (_, i) => `.${i + 2}`)].map((end) => `${path}.partial${end}`);
    for (const name of names) writeFileSync(name, 'precious');
    const last = names.at(-1) ?? '';
    await expect(Recording.open(path)).rejects.toMatchObject({
      code: 'output-exists',
      message: expect.stringContaining(last),
    });
    rmSync(last);
    const recording = await Recording.open(path);
    expect(recording.partial).toBe(last);
    await recording.leave();
  });

  it('follows no link in the place of what is not whole yet', async () => {
    writeFileSync(`${path}-precious`, 'precious');
    symlinkSync(`${path}-precious`, `${path}.partial`);
    const recording = await Recording.open(path, { force: true });
    recording.stream.end('guest');
    await finished(recording.stream);
    await recording.keep();
    expect(readFileSync(`${path}-precious`, 'utf8')).toBe('precious');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('takes no place that is taken, at its beginning or since', async () => {
    const recording = await Recording.open(path);
    recording.stream.end('mine');
    await finished(recording.stream);
    writeFileSync(path, 'theirs');
    await expect(recording.keep()).rejects.toMatchObject({ code: 'output-exists' });
    expect([readFileSync(path, 'utf8'), readFileSync(`${path}.partial`, 'utf8')]).toEqual(['theirs', 'mine']);
    await expect(Recording.open(path)).rejects.toMatchObject({ code: 'output-exists' });
    await expect(Recording.open(join(folder, 'no', 'x'))).rejects.toMatchObject({ code: 'file-access' });
  });

  it('fails on a disk that is full, and writes a device as it is', async () => {
    const full = await Recording.open('/dev/full');
    full.stream.write('x');
    await expect(finished(full.stream)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await full.leave()).toBeUndefined();
    const nowhere = await Recording.open('/dev/null');
    nowhere.stream.end('x');
    await finished(nowhere.stream);
    await nowhere.keep();
    expect(existsSync('/dev/null.partial')).toBe(false);
  });
});
