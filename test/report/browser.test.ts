import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readVector } from '../qcow2/vectors.js';
import { findChromium, launchChromium, watchProblems } from '../support/chromium.js';
import { runCli } from '../support/run-cli.js';
import { VECTORS } from '../support/vectors.js';
import { reportWith } from './any-report.js';

const chromium = findChromium();
const ci = process.env['CI'] === 'true';
if (!chromium && !ci) console.warn('\n*** SKIPPED: test/report/browser.test.ts needs Chromium; see README ***\n');

// Under CI it runs without Chromium too, and fails: a skip there would go unseen.
describe.skipIf(!chromium && !ci)('a report in a browser', () => {
  let browser: Browser;
  let folder = '';
  beforeAll(async () => {
    if (!chromium) throw new Error('Chromium is not installed');
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-report-browser-'));
    browser = await launchChromium(chromium);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The page of a report, with all that it asked for and all that went wrong. */
  async function open(html: string, options: { colorScheme?: 'light' | 'dark'; width?: number } = {}) {
    const path = join(folder, 'report.html');
    writeFileSync(path, html);
    const { colorScheme = 'light', width = 1280 } = options;
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const problems = watchProblems(page);
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    const dialogs: string[] = [];
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
    await page.goto(pathToFileURL(path).href);
    return { page, problems, requests, dialogs };
  }

  async function report(...inputs: string[]): Promise<string> {
    return (await runCli('report', ...inputs, '-o', '-')).stdout;
  }

  const capture = (name: string): string => join(VECTORS, `captures/${name}.bin`);
  const REPORTS: Readonly<Record<string, () => Promise<string>>> = {
    'two captures': () => report(capture('small-qcow2-persistent'), capture('disabled-bitmap')),
    'a postcopy': () => report(capture('pc-postcopy-running-writes')),
    'a cut capture': () => report(capture('cut-in-bits')),
    'a chain': () => {
      for (const name of ['chain-top', 'chain-mid', 'chain-base'])
        writeFileSync(join(folder, `${name}.qcow2`), readVector(`${name}.qcow2`));
      return report(join(folder, 'chain-top.qcow2'), '--chain');
    },
  };

  for (const [name, make] of Object.entries(REPORTS)) {
    it(`of ${name} asks for nothing, says nothing on the console, and is accessible in light and dark`, async () => {
      const html = await make();
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page, problems, requests } = await open(html, { colorScheme });
        expect(await violations(page)).toEqual([]);
        expect([problems, requests.length]).toEqual([[], 1]);
        await page.close();
      }
    }, 90_000);
  }

  it('is no wider than a phone', async () => {
    const { page } = await open(await report(capture('cut-in-bits'), capture('disabled-bitmap')), { width: 390 });
    await openAll(page);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
    await page.close();
  });

  it('tells the range of a row to the keyboard, and that of a cell to the pointer', async () => {
    const { page } = await open(await report(capture('small-qcow2-persistent')));
    const row = page.locator('.map .row').first();
    expect(await row.locator('.tip').isVisible()).toBe(false);
    await row.focus();
    expect(await row.locator('.tip').isVisible()).toBe(true);
    expect(await row.getAttribute('aria-label')).toBe('0 B to 4 MiB: 3.13 % dirty');
    expect(await row.locator('rect title').first().textContent()).toBe('0 B to 64 KiB: 100 % dirty');
    await page.close();
  });

  it('runs nothing of a hostile name', async () => {
    const attack =
      '</title></style></svg><script>globalThis.hacked=1;alert(1)</script><img src=x onerror="alert(2)"><svg onload=alert(3)>';
    const { page, problems, requests, dialogs } = await open(reportWith(attack));
    await openAll(page);
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
    expect(await page.locator('script, img, iframe, svg[onload]').count()).toBe(0);
    expect([problems, requests.length, dialogs]).toEqual([[], 1, []]);
    await page.close();
  });

  it('would run nothing even if something got in', async () => {
    const html = reportWith('name').replace(
      '<main>',
      '<main><script>globalThis.hacked=1</script><img src="http://127.0.0.1:9/x" onerror="globalThis.hacked=2"><b style="position:fixed">x</b>',
    );
    const { page, problems } = await open(html);
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
    expect(await page.evaluate("getComputedStyle(document.querySelector('b')).position")).toBe('static');
    expect(problems.filter((problem) => problem.includes('Content Security Policy')).length).toBeGreaterThanOrEqual(3);
    await page.close();
  });
});

async function openAll(page: Page): Promise<void> {
  await page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true");
}

/** What axe-core finds, with everything opened. */
async function violations(page: Page): Promise<unknown> {
  await openAll(page);
  await page.evaluate(axe.source);
  const found: readonly { id: string; impact: string; nodes: object[] }[] = await page.evaluate(
    'axe.run().then((result) => result.violations)',
  );
  return found.map(({ id, impact, nodes }) => ({ id, impact, first: nodes[0] }));
}
