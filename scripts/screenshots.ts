/**
 * Pictures of reports, to be looked at: `npm run screenshots [-- FOLDER]`. Each report at desktop and phone width, light
 * and dark, and as printed (PDF), in a temporary folder unless one is given.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { Bitmap } from '../src/bitmap/bitmap.js';
import { nameFromText } from '../src/bytes/text.js';
import { formatSetJson } from '../src/set/set-json.js';
import { readVector } from '../test/qcow2/vectors.js';
import { findChromium, launchChromium } from '../test/support/chromium.js';
import { runCli } from '../test/support/run-cli.js';

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'dirtybitmap-screenshots-'));
mkdirSync(folder, { recursive: true });
const captures = 'vectors/captures';

/** Reports by name, with the command line that makes each. */
const REPORTS: Readonly<Record<string, readonly string[]>> = {
  capture: [`${captures}/pc-postcopy-running-writes.bin`],
  finding: [`${captures}/cut-in-bits.bin`],
  differences: [`${captures}/small-qcow2-persistent.bin`, `${captures}/disabled-bitmap.bin`],
  chain: [...images('chain-top', 'chain-mid', 'chain-base').slice(0, 1), '--chain'],
  orphaned: ['vectors/qcow2/images/in-use.qcow2'],
  large: [largeSet()],
};
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

const executablePath = findChromium();
if (executablePath === undefined) throw new Error('there is no Chromium; set DIRTYBITMAP_CHROMIUM');
const browser = await launchChromium(executablePath);
try {
  for (const [name, args] of Object.entries(REPORTS)) {
    const file = join(folder, `${name}.html`);
    const { stderr } = await runCli('report', ...args, '-o', file, '--force');
    if (stderr !== '') console.error(stderr);
    await shoot(browser, name, file);
  }
} finally {
  await browser.close();
}
console.log(folder);

async function shoot(on: Browser, name: string, file: string): Promise<void> {
  for (const [device, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await on.newPage({ viewport, colorScheme });
      await page.goto(pathToFileURL(file).href);
      await page.screenshot({ path: join(folder, `${name}-${device}-${colorScheme}.png`), fullPage: true });
      await page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true");
      await page.screenshot({ path: join(folder, `${name}-${device}-${colorScheme}-open.png`), fullPage: true });
      if (device === 'desktop' && colorScheme === 'light')
        await page.pdf({ path: join(folder, `${name}.pdf`), format: 'A4' });
      await page.close();
    }
  }
}

/** Copies of images of the vectors. */
function images(...names: string[]): string[] {
  return names.map((name) => {
    const path = join(folder, `${name}.qcow2`);
    writeFileSync(path, readVector(`${name}.qcow2`));
    return path;
  });
}

/** A disk of 16 TiB with writes here and there, ever the same. */
function largeSet(): string {
  const bits = new Bitmap(65536, { size: 2 ** 44 });
  let seed = 1;
  for (let count = 0; count < 20_000; count++) {
    seed = (seed * 48271) % 2147483647;
    const offset = Math.floor((seed / 2147483647) ** 2 * 2 ** 44);
    bits.set(offset, Math.min(2 ** 44 - offset, 65536 * (1 + (seed % 2000))));
  }
  const node = { node: nameFromText('disk0'), size: 2 ** 44 };
  const bitmap = { name: nameFromText('backup-2026-11-21'), recording: true, persistent: true, bits };
  const path = join(folder, 'large.json');
  writeFileSync(path, formatSetJson({ nodes: [{ ...node, bitmaps: [bitmap] }] }));
  return path;
}
