import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { IncomingMigration } from '../../src/capture/incoming-migration.js';
import { LiveMigration } from '../../src/cli/live-migration.js';
import type { Terminal } from '../../src/cli/terminal.js';
import { chopEvery } from '../support/chop.js';
import { readStream, vectorOf } from '../support/vectors.js';

/** What is shown of a capture that comes in pieces, control sequences left out. */
async function shown(file: string, isTTY: boolean, size?: number): Promise<string> {
  let text = '';
  const stderr = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  Object.assign(stderr, { isTTY, columns: 120 });
  const terminal = { stderr, env: { NO_COLOR: '1' } } as unknown as Terminal;
  const live = await LiveMigration.begin(terminal, () => size);
  const incoming = new IncomingMigration();
  for (const piece of chopEvery(readStream(vectorOf(file)), 4096)) {
    incoming.push(piece);
    live.update(incoming);
  }
  live.stop();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what moves the cursor
  return text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '');
}

describe('LiveMigration', () => {
  it('tells phases and bitmaps as lines where nobody sees a bar', async () => {
    const text = await shown('captures/pc-postcopy.bin', false);
    const phases = [...text.matchAll(/^dirtybitmap: (\w+): /gm)].map(([, phase]) => phase);
    expect(phases).toEqual(['setup', 'precopy', 'switchover', 'postcopy', 'complete']);
    expect(text).toMatch(/^dirtybitmap: \S+\/\S+: complete, .* dirty, .* on the wire$/m);
    expect(text).not.toContain('%');
  });

  it('tells findings as they are found', async () => {
    const text = await shown('captures/inconsistent-bitmap-refused.bin', false);
    expect(text).toContain('dirtybitmap: error source-failed-in-setup at ');
  });

  it('says that postcopy-ram needs a real destination', async () => {
    expect(await shown('captures/pc-postcopy.bin', false)).not.toContain('postcopy-ram is on');
  });

  it('draws bars with percent on a terminal, where something tells the size of the disk', async () => {
    const text = await shown('captures/small-qcow2-persistent.bin', true, 64 * 2 ** 20);
    expect(text).toMatch(/disk0\/b0 \[.*\] 100% {2}165 B {2}ETA/);
    expect(text).toMatch(/complete {2}1\.32 KiB {2}.*\/s/);
  });
});
