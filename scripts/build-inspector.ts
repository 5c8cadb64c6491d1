/** Makes `dist/inspector/index.html`: the inspector as one page, after `tsup` has made the rest of dist. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';
import { inspectorHtml } from '../src/inspector/shell.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-inspector-'));
try {
  await build({
    config: false,
    entry: { inspector: join(root, 'src/inspector/main.ts') },
    ...{ format: 'iife', platform: 'browser', target: 'es2022', outDir: folder, minify: true, silent: true },
    // The page needs nothing else.
    noExternal: [/./],
  });
  const script = readFileSync(join(folder, 'inspector.global.js'), 'utf8').trim();
  mkdirSync(join(root, 'dist/inspector'), { recursive: true });
  writeFileSync(join(root, 'dist/inspector/index.html'), inspectorHtml(version, script));
} finally {
  rmSync(folder, { recursive: true });
}
