import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Browser, Download, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeCapture } from '../../bench/data/captures.js';
import { readVector } from '../qcow2/vectors.js';
import { findChromium, launchChromium, watchProblems } from '../support/chromium.js';
import { InspectCommand } from '../support/inspect-command.js';
import { runCli } from '../support/run-cli.js';
import { bitmapStream, bitsChunk, completeChunk, EOS, fill, startChunk, UNIT } from '../support/stream-builder.js';
import { VECTORS } from '../support/vectors.js';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const PAGE = pathToFileURL(join(DIST, 'inspector/index.html')).href;
const chromium = findChromium();
const ci = process.env['CI'] === 'true';
if (!chromium && !ci) console.warn('\n*** SKIPPED: test/inspector/browser.test.ts needs Chromium; see README ***\n');

const capture = (name: string): string => join(VECTORS, `captures/${name}.bin`);
const GOOD = capture('small-qcow2-persistent');
const CUT = capture('cut-in-bits');

// Under CI it runs without Chromium too, and fails: a skip there would go unseen.
describe.skipIf(!chromium && !ci)('the inspector in a browser', () => {
  let browser: Browser;
  let folder = '';
  beforeAll(async () => {
    if (!chromium) throw new Error('Chromium is not installed');
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-inspector-browser-'));
    browser = await launchChromium(chromium);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The page, with all that it asked the network for and all that went wrong. */
  async function open(options: { colorScheme?: 'light' | 'dark'; width?: number; url?: string } = {}) {
    const { colorScheme = 'light', width = 1280, url = PAGE } = options;
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const problems = watchProblems(page);
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(url);
    return { page, problems, asked: () => requests.filter((one) => !/^(blob|data):/.test(one)) };
  }

  async function choose(page: Page, path: string): Promise<void> {
    await page.setInputFiles('#file', path);
    await whenRead(page);
  }

  async function drop(page: Page, ...files: readonly (readonly [name: string, bytes: Uint8Array])[]): Promise<void> {
    const all = files.map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]);
    const data = await page.evaluateHandle(`{
      const transfer = new DataTransfer();
      for (const [name, text] of ${JSON.stringify(all)})
        transfer.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
      transfer;
    }`);
    await page.dispatchEvent('body', 'dragover', { dataTransfer: data });
    await page.dispatchEvent('body', 'drop', { dataTransfer: data });
  }

  it('shows a capture that is dropped: findings, bitmaps, chunks, bytes; and asks nobody for anything', async () => {
    const { page, problems, asked } = await open();
    await drop(page, ['cut.bin', readFileSync(CUT)], ['other.bin', readFileSync(GOOD)]);
    await whenRead(page);
    expect(await page.textContent('#status')).toBe(
      'cut.bin was read: 1 bitmap, 2 errors; 1 other file left out: one is read at a time',
    );
    expect(await page.locator('#findings li').allTextContents()).toEqual([
      expect.stringContaining('stream-cut at 3000 (0xbb8)'),
      expect.stringContaining('complete-missing at 86 (0x56)'),
    ]);
    expect(await page.locator('#result .bitmap .map').count()).toBe(1);
    await page.getByRole('button', { name: 'at 3000 (0xbb8)' }).click();
    await page.locator('#byte-view h3', { hasText: 'stream-cut at 3000' }).waitFor();
    await page.getByRole('button', { name: 'chunk 1: show its bytes' }).click();
    await page.locator('#byte-view h3', { hasText: 'chunk 0x40 BITS at 525' }).waitFor();
    expect(await page.locator('#byte-view tbody tr').allTextContents()).toEqual([
      expect.stringContaining('flags'),
      expect.stringContaining('first sector'),
      expect.stringContaining('sectors'),
      expect.stringContaining('size'),
      expect.stringContaining('one bit a granule'),
    ]);
    await page.locator('#byte-next').click();
    await page.locator('#byte-view h3', { hasText: 'bytes at 1024' }).waitFor();
    expect([problems, asked()]).toEqual([[], [PAGE]]);
    await page.close();
  }, 60_000);

  it('shows images, sets and maps', async () => {
    const { page, problems } = await open();
    writeFileSync(join(folder, 'image.qcow2'), readVector('chain-top.qcow2'));
    for (const kind of ['set', 'nbdinfo'])
      await runCli('convert', GOOD, '-O', kind, '-o', join(folder, `${kind}.json`));
    await choose(page, join(folder, 'image.qcow2'));
    expect(await page.textContent('#result .facts')).toContain('qcow2');
    expect(await page.locator('#bytes').isVisible()).toBe(true);
    for (const kind of ['set', 'nbdinfo']) {
      await choose(page, join(folder, `${kind}.json`));
      expect(await page.textContent('#status')).toBe(`${kind}.json was read: 1 bitmap, nothing was found wrong`);
      expect(await page.textContent('#result .bitmap')).toContain('3.19 MiB (3342336)');
      expect(await page.locator('#bytes, #chunks').filter({ visible: true }).count()).toBe(0);
      expect(await page.locator('#contents a').filter({ visible: true }).allTextContents()).not.toContain('Bytes');
    }
    expect(problems).toEqual([]);
    await page.close();
  }, 60_000);

  it('saves what convert writes, and refuses what convert refuses', async () => {
    const { page, problems } = await open();
    await choose(page, GOOD);
    const saved = async (button: string): Promise<[string, string]> => {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: button }).click(),
      ]);
      return [download.suggestedFilename(), await contentOf(download)];
    };
    const written = async (kind: string): Promise<string> =>
      (await runCli('convert', GOOD, '-O', kind, '-o', '-')).stdout;
    expect(await saved('Save as a bitmap set')).toEqual(['small-qcow2-persistent.set.json', await written('set')]);
    expect(await saved('Save as a map')).toEqual([
      'small-qcow2-persistent.disk0-b0.map.json',
      await written('nbdinfo'),
    ]);
    await choose(page, CUT);
    await page.getByRole('button', { name: 'Save as a bitmap set' }).click();
    await page
      .locator('#exported', { hasText: /^stream-cut at 3000: "cut-in-bits.bin" is bad, nothing was written/ })
      .waitFor();
    expect(problems).toEqual([]);
    await page.close();
  }, 60_000);

  it('says in one line why a file cannot be read, and reads the next one', async () => {
    const { page, problems } = await open();
    writeFileSync(join(folder, 'bad.json'), '{"dirtybitmap": 1, "nodes": [{"node": 3}]}');
    await page.setInputFiles('#file', join(folder, 'bad.json'));
    await page.locator('#error', { hasText: /^set-invalid.*nodes\[0\]/ }).waitFor();
    expect(await page.locator('#reading').isVisible()).toBe(false);
    await choose(page, GOOD);
    expect(await page.textContent('#error')).toBe('');
    await page.selectOption('#format', 'section');
    await page.locator('#status', { hasText: '0 bitmaps' }).waitFor();
    expect(problems).toEqual([]);
    await page.close();
  }, 60_000);

  it('does all of it with the keyboard', async () => {
    const { page, problems } = await open();
    const focused = async (): Promise<string> =>
      await page.evaluate(
        "document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.textContent",
      );
    const tabTo = async (wanted: string, key = 'Tab'): Promise<void> => {
      for (let count = 0; count < 120; count++) {
        if ((await focused()) === wanted) return;
        await page.keyboard.press(key);
      }
      throw new Error(`no way leads to ${wanted}`);
    };
    // Waited for from here on: what is not asked for in time is not told.
    const asked = page.waitForEvent('filechooser');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('file');
    await page.keyboard.press('Enter');
    const chooser = await asked;
    await chooser.setFiles(CUT);
    await whenRead(page);
    expect(await focused()).toBe('result');
    await tabTo('at 86 (0x56)');
    await page.keyboard.press('Enter');
    await page.locator('#byte-view h3', { hasText: 'complete-missing at 86' }).waitFor();
    expect(await focused()).toBe('byte-view');
    await tabTo('byte-offset', 'Shift+Tab');
    await page.keyboard.type('0x20d');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('0x20d');
    await page.keyboard.press('Enter');
    await page.locator('#byte-view h3', { hasText: 'bytes at 512' }).waitFor();
    await tabTo('chunk 3: show its bytes', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.locator('#byte-view h3', { hasText: 'BITS at 2615' }).waitFor();
    await tabTo('chunk-number', 'Shift+Tab');
    await page.keyboard.type('x');
    await page.keyboard.press('Enter');
    await page.locator('#chunk-range', { hasText: 'a whole number' }).waitFor();
    await tabTo('export-set');
    await page.keyboard.press('Enter');
    await page.locator('#exported', { hasText: 'is bad' }).waitFor();
    expect(problems).toEqual([]);
    await page.close();
  }, 60_000);

  it('is accessible in light and dark, empty and full, and no wider than a phone', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, problems } = await open({ colorScheme, width: 390 });
      expect(await violations(page)).toEqual([]);
      await choose(page, capture('pc-postcopy-running-writes'));
      await page.getByRole('button', { name: 'chunk 1: show its bytes' }).click();
      await page.locator('#byte-view h3', { hasText: 'chunk' }).waitFor();
      expect(await violations(page)).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
      expect(problems).toEqual([]);
      await page.close();
    }
  }, 90_000);

  it('runs nothing of a hostile name, and lets nothing out', async () => {
    const attack = '<script>globalThis.hacked=1</script><img src=x onerror="globalThis.hacked=2">';
    const names = { node: attack, bitmap: `"'>${attack}` };
    const { page, problems } = await open();
    const body = [bitsChunk(0, UNIT, fill(32, 3)), completeChunk(), EOS];
    await drop(page, [`${attack}.bin`.replaceAll('/', '_'), bitmapStream([startChunk(names), EOS], body)]);
    await whenRead(page);
    expect(await page.locator('main script, img, iframe').count()).toBe(0);
    expect(await page.textContent('#chunk-bitmap')).toContain(attack);
    expect(problems).toEqual([]);
    const out = await page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)");
    expect(out).toBe('TypeError');
    expect(problems.some((problem) => problem.includes("connect-src 'none'"))).toBe(true);
    await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"globalThis.hacked=3\">')");
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
    await page.close();
  }, 60_000);

  it('opens what inspect serves, a range at a time', async () => {
    const command = await InspectCommand.start(CUT);
    const { page, problems, asked } = await open({ url: command.url });
    await whenRead(page);
    expect(await page.textContent('#status')).toBe('cut-in-bits.bin was read: 1 bitmap, 2 errors');
    await page.getByRole('button', { name: 'chunk 1: show its bytes' }).click();
    await page.locator('#byte-view h3', { hasText: 'BITS at 525' }).waitFor();
    expect(new Set(asked())).toEqual(new Set([command.url, `${command.url}file`]));
    expect(problems).toEqual([]);
    expect((await command.interrupt()).code).toBe(0);
    await page.locator('#byte-next').click();
    await page.locator('#byte-view', { hasText: /^file-access: .*does dirtybitmap inspect still run\?/ }).waitFor();
    await page.close();
  }, 60_000);

  it('goes on while it reads 1 GiB, and can be cancelled', async () => {
    const path = join(folder, 'large.bin');
    const { counts } = await writeCapture(DIST, path, 2 ** 30);
    const { page, problems } = await open();
    // What a page does meanwhile: a timer, and answers to the one that asks.
    await page.evaluate('globalThis.ticks = 0; setInterval(() => globalThis.ticks++, 5)');
    await page.setInputFiles('#file', path);
    const values: number[] = [];
    const ticks: number[] = [];
    while (await page.locator('#reading').isVisible()) {
      const value = await page.evaluate('document.getElementById("bar").value');
      if (value === values.at(-1)) continue;
      values.push(value as number);
      ticks.push((await page.evaluate('globalThis.ticks')) as number);
    }
    await whenRead(page);
    // Seen at work many times, and the timer went on between them.
    expect(values.length).toBeGreaterThan(5);
    expect(new Set(ticks).size).toBeGreaterThan(5);
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(await page.textContent('#status')).toBe('large.bin was read: 2 bitmaps, nothing was found wrong');
    const exact = await page.locator('#result .bitmap .facts').allTextContents();
    // In the order of the stream.
    expect(exact.length).toBe(2);
    for (const count of counts) expect(exact.join()).toContain(`(${count})`);
    await page.setInputFiles('#file', path);
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect(await page.textContent('#status')).toBe('large.bin was not read to its end');
    expect(await page.locator('#reading, #chunks, #export').filter({ visible: true }).count()).toBe(0);
    expect(problems).toEqual([]);
    await page.close();
    rmSync(path);
  }, 240_000);
});

/** Waits until an input is shown. */
async function whenRead(page: Page): Promise<void> {
  await page.locator('#reading').waitFor({ state: 'hidden', timeout: 120_000 });
  await page.locator('#contents').waitFor({ timeout: 20_000 });
}

async function contentOf(download: Download): Promise<string> {
  return readFileSync(await download.path(), 'utf8');
}

/** What axe-core finds, with everything opened. */
async function violations(page: Page): Promise<unknown> {
  await page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true");
  await page.evaluate(axe.source);
  const found: readonly { id: string; impact: string; nodes: object[] }[] = await page.evaluate(
    'axe.run().then((result) => result.violations)',
  );
  return found.map(({ id, impact, nodes }) => ({ id, impact, first: nodes[0] }));
}
