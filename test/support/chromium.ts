import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SERVED = ['dist', 'vectors'].map((folder) => resolve(ROOT, folder) + sep);
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Puts the built core on the page as the global `dirtybitmap`. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>dirtybitmap</title><link rel="icon" href="data:,">
<script type="module">import * as dirtybitmap from '/dist/index.js'; globalThis.dirtybitmap = dirtybitmap;</script>`;

/** Path of an installed Chromium, or undefined. `DIRTYBITMAP_CHROMIUM` names another one. */
export function findChromium(): string | undefined {
  const named = process.env['DIRTYBITMAP_CHROMIUM'];
  const paths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  return (named ? [named] : paths).find((path) => existsSync(path));
}

/** Starts a headless Chromium with a new profile. */
export async function launchChromium(executablePath: string): Promise<Browser> {
  return await chromium.launch({ executablePath, args: FLAGS });
}

/** Takes note of console errors, uncaught errors and failed requests of a page from now on. */
export function watchProblems(page: Page): readonly string[] {
  const problems: string[] = [];
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
  return problems;
}

/** The page that has loaded the built core, all that went wrong on it so far, and how to close it. */
export interface CorePage {
  readonly page: Page;
  /** Console errors, uncaught errors and failed requests. */
  readonly problems: readonly string[];
  close(): Promise<void>;
}

/** Opens a page in headless Chromium (a new profile each time) that has `dist/index.js` as `globalThis.dirtybitmap`. */
export async function openCorePage(executablePath: string): Promise<CorePage> {
  const server = await serve();
  const browser = await launchChromium(executablePath).catch((error: unknown) => {
    server.close();
    throw error;
  });
  const close = async () => {
    await browser.close();
    server.close();
  };
  try {
    const page = await browser.newPage();
    const problems = watchProblems(page);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return { page, problems, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Serves the page and the files under dist and vectors, on the loopback interface only. */
async function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/') {
      response.setHeader('content-type', 'text/html').end(PAGE);
      return;
    }
    const path = resolve(ROOT, `.${decodeURIComponent(pathname)}`);
    if (!SERVED.some((folder) => path.startsWith(folder))) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('content-type', extname(path) === '.js' ? 'text/javascript' : 'application/octet-stream');
    createReadStream(path)
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return server;
}
