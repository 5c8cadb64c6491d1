import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tapMemory } from '../support/tap-memory.js';

/** Bytes of RAM that pass: 4 GiB take four times as long, and no more memory (README, On the wire). */
const RAM = Number(process.env['DIRTYBITMAP_TAP_RAM'] ?? 2 ** 30);
const MAX = 100e6;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-tap-memory-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('memory of tap', () => {
  it.each([
    ['that looks on', []],
    ['that changes and records', ['--rename', 'disk0=disk1', '--record', '/dev/null', '--record-meta', '/dev/null']],
  ])('a tap %s takes less than 100 MB, however long the stream is', { timeout: 120_000 }, async (_what, options) => {
    const { peak, code, stdout } = await tapMemory(folder, RAM, ...options);
    const { bytes, bitmaps, capture } = JSON.parse(stdout);
    expect([code, bitmaps.length, capture.complete]).toEqual([0, 1, true]);
    expect(bytes).toBeGreaterThan(RAM);
    expect(peak).toBeLessThan(MAX);
  });
});
