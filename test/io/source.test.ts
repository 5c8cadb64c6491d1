import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSource } from '../../src/io/source.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-source-'));
  execFileSync('mkfifo', [join(folder, 'fifo')]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Reads a pipe to its end while a shell writes to it. */
async function readPipe(script: string, pieces: number): Promise<Buffer> {
  const path = join(folder, 'fifo');
  const writer = spawn('sh', ['-c', `{ ${script}; } > "$0"`, path], { stdio: 'ignore', cwd: folder });
  const source = await openSource(path);
  const all: Buffer[] = [];
  const buffer = new Uint8Array(pieces);
  try {
    expect(source.size).toBeUndefined();
    for (let offset = 0, count = 1; count > 0; offset += count) {
      count = await source.read(buffer, offset);
      all.push(Buffer.from(buffer.subarray(0, count)));
    }
  } finally {
    await source.close();
    writer.kill();
  }
  return Buffer.concat(all);
}

test('a pipe that is written in one go is read whole, in pieces of any size', async () => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251));
  writeFileSync(join(folder, 'file'), bytes);
  for (const size of [1000, 65_536, 1_000_000]) {
    expect(Buffer.compare(await readPipe('cat file', size), bytes)).toBe(0);
  }
});

test('a pipe that pauses is waited for, and its end is its end', async () => {
  const text = await readPipe('sleep 0.05; printf a; sleep 0.05; printf bc; sleep 0.05; printf d', 4096);
  expect(text.toString()).toBe('abcd');
});

test('a pipe that says nothing and ends is empty', async () => {
  expect(await readPipe('sleep 0.05', 4096)).toHaveLength(0);
});

test('a pipe that is written more quickly than it is read lets other work go on', async () => {
  const path = join(folder, 'fifo');
  const writer = spawn('sh', ['-c', 'cat /dev/zero > "$0"', path], { stdio: 'ignore' });
  const source = await openSource(path);
  const buffer = new Uint8Array(65_536);
  let ticked = false;
  setImmediate(() => {
    ticked = true;
  });
  try {
    // Each read finds something: without a turn in between, this would never end.
    while (!ticked) await source.read(buffer, 0);
  } finally {
    await source.close();
    writer.kill();
  }
});

test('a pipe is closed once, however often that is asked for', async () => {
  const path = join(folder, 'fifo');
  const writer = spawn('sh', ['-c', 'printf x > "$0"', path], { stdio: 'ignore' });
  const source = await openSource(path);
  await source.close();
  await source.close();
  writer.kill();
});

test('while it waits for a pipe, other work goes on', async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  await readPipe('sleep 0.1; printf x', 4096);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(0);
});
