import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CorePage, findChromium, openCorePage } from './support/chromium.js';

declare global {
  /** The built core, on the page only. */
  var dirtybitmap: typeof import('../src/index.js');
}

const chromium = findChromium();
const ci = process.env['CI'] === 'true';
if (!chromium && !ci) console.warn('\n*** SKIPPED: test/browser.test.ts needs Chromium; see README ***\n');

// Under CI it runs without Chromium too, and fails: a skip there would go unseen.
describe.skipIf(!chromium && !ci)('the built core in a browser', () => {
  let core: CorePage;
  beforeAll(async () => {
    if (!chromium) throw new Error('Chromium is not installed');
    core = await openCorePage(chromium);
  }, 60_000);
  afterAll(() => core?.close());

  it('loads, and makes an error with its code', async () => {
    const code = await core.page.evaluate(() => new dirtybitmap.DirtyBitmapError('argument', 'x').code);
    expect(code).toBe('argument');
  });

  it('has nothing on the console', () => {
    expect(core.problems).toEqual([]);
  });
});
