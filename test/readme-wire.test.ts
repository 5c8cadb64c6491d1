import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PAGES, readPage, writePage } from './support/pages.js';
import { bitmapsOf, Qemu } from './support/qemu.js';
import { runCli } from './support/run-cli.js';
import { whenThere } from './support/wire.js';
import { describeWithQemu } from './support/with-qemu.js';

const DISK = JSON.stringify({ driver: 'null-co', 'node-name': 'disk0', size: 2 ** 30 });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-readme-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The session of a name in the README or the guide: its command and its output. `UPDATE_README=1` writes the output anew. */
async function session(name: string, run: (args: string[]) => Promise<string>): Promise<void> {
  const pattern = new RegExp(`\`\`\`console ${name}\\n\\$ dirtybitmap ([^\\n]*)\\n([\\s\\S]*?)\`\`\``);
  const page = PAGES.find((one) => pattern.test(readPage(one))) ?? '';
  const [block = '', command = '', expected = ''] = pattern.exec(page && readPage(page)) ?? [];
  expect(block).not.toBe('');
  const args = command
    .split(' ')
    .map((word) => word.replace('/tmp/', `${folder}/`).replace(/^bitmaps/, `${folder}/$&`));
  const output = (await run(args)).replaceAll(`${folder}/bitmaps.json`, 'bitmaps.json').replaceAll(folder, '/tmp');
  if (process.env['UPDATE_README'] === '1') {
    const text = readPage(page).replace(
      block,
      () => `\`\`\`console ${name}\n$ dirtybitmap ${command}\n${output}\`\`\``,
    );
    writePage(page, text);
    return;
  }
  expect(steady(output)).toBe(steady(expected));
}

/** How many sections of RAM a source sends is chance, and so is which of them come in one read. */
function steady(text: string): string {
  const lines = text.split('\n');
  const told = lines.filter((line) => line.startsWith('dirtybitmap: ')).sort();
  return [...told, ...lines.filter((line) => !line.startsWith('dirtybitmap: '))]
    .join('\n')
    .replace(/capture, .*/, 'capture, SOME BYTES')
    .replace(/passed: .* to/, 'passed: SOME BYTES to')
    .replace(/\d+ ram \([^)]*\), \d+ dirty-bitmap \([^)]*\)/, 'SECTIONS');
}

describeWithQemu('the sessions of the README with a QEMU at the other end', () => {
  it('receive, then send', async () => {
    const from = await Qemu.start('qemu-system-x86_64', ['-machine', 'none', '-blockdev', DISK], folder);
    await from.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'monday' });
    await from.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 5M 3M"' });
    const capabilities = [{ capability: 'dirty-bitmaps', state: true }];
    await from.execute('migrate-set-capabilities', { capabilities });
    await session('receive', async (args) => {
      const result = runCli(...args);
      await whenThere(join(folder, 'bitmaps.sock'), result);
      await from.execute('migrate', { uri: `unix:${folder}/bitmaps.sock` });
      const { stderr, stdout } = await result;
      return stderr + stdout;
    });
    await from.quit();
    rmSync(join(folder, 'qmp.sock'), { force: true });
    const waiting = ['-machine', 'none', '-incoming', `unix:${folder}/incoming.sock`, '-blockdev', DISK];
    const to = await Qemu.start('qemu-system-x86_64', waiting, folder);
    await session('send', async (args) => {
      const { stdout, stderr } = await runCli(...args);
      return stdout + stderr;
    });
    await to.quit();
  });

  it('tap', async () => {
    const start = async (name: string, ...more: string[]): Promise<Qemu> => {
      const own = join(folder, name);
      mkdirSync(own);
      const qemu = await Qemu.start('qemu-system-x86_64', ['-machine', 'none', '-blockdev', DISK, ...more], own);
      const capabilities = ['dirty-bitmaps', 'return-path'].map((capability) => ({ capability, state: true }));
      await qemu.execute('migrate-set-capabilities', { capabilities });
      return qemu;
    };
    const from = await start('from');
    const to = await start('to', '-incoming', `unix:${folder}/incoming.sock`);
    await from.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'monday' });
    await from.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 5M 3M"' });
    await session('tap', async (args) => {
      const result = runCli(...args);
      await whenThere(join(folder, 'tap.sock'), result);
      await from.execute('migrate', { uri: `unix:${folder}/tap.sock` });
      const { stderr, stdout } = await result;
      return stderr + stdout;
    });
    expect((await bitmapsOf(to)).map(({ name, count }) => [name, count])).toEqual([['friday', 3 * 2 ** 20]]);
    await session('info', async (args) => (await runCli(...args)).stdout);
    await from.quit();
    await to.quit();
  });
});
