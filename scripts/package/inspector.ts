import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';
import { inspectorHtml } from '../../src/inspector/shell.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The inspector as one page, with all that it runs. */
export async function inspectorPage(): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-inspector-'));
  try {
    await build({
      config: false,
      entry: { inspector: join(ROOT, 'src/inspector/main.ts') },
      ...{ format: 'iife', platform: 'browser', target: 'es2022', outDir: folder, minify: true, silent: true },
      // The page needs nothing else.
      noExternal: [/./],
    });
    return inspectorHtml(version, readFileSync(join(folder, 'inspector.global.js'), 'utf8').trim());
  } finally {
    rmSync(folder, { recursive: true });
  }
}
