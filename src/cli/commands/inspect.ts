import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { printable } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { InspectorServer } from '../../io/serve-inspector.js';
import { html } from '../../report/html/escape.js';
import { onSignals } from '../signals.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';

/** What `inspect` can be asked. */
export interface InspectOptions {
  /** 0 for any that is free. */
  readonly port: number;
}

/** `inspect [FILE]`: serves the inspector on the loopback until it is ended, with a file or without. */
export async function inspect(file: string | undefined, { port }: InspectOptions, terminal: Terminal): Promise<number> {
  if (file === '-') {
    throw new DirtyBitmapError('argument', 'the inspector reads here and there: give a file, not standard input');
  }
  const page = file === undefined ? await builtPage() : preloaded(await builtPage(), basename(file));
  const stop = onSignals(terminal);
  try {
    const server = await InspectorServer.start({ page, file, port });
    try {
      await writeOut(terminal, `${server.url}\n`);
      const what = file === undefined ? 'the inspector' : `the inspector with ${printable(file)}`;
      terminal.stderr.write(`dirtybitmap: serves ${what}, to this computer alone; Ctrl-C ends it\n`);
      await aborted(stop.signal);
    } finally {
      await server.close();
    }
  } finally {
    stop.stop();
  }
  return EXIT.OK;
}

/** The page as it was built into this package. */
async function builtPage(): Promise<string> {
  const root = dirname(createRequire(import.meta.url).resolve('dirtybitmap/package.json'));
  const path = join(root, 'dist/inspector/index.html');
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const message = `${path} cannot be read: it belongs to this package; npm run build makes it`;
    throw new DirtyBitmapError('file-access', message, { cause: error });
  }
}

/** The page as it opens the file that is served beside it; that is the only connection that it may make. */
function preloaded(page: string, name: string): string {
  const places = [
    ['<meta name="dirtybitmap-input" content="">', html`<meta name="dirtybitmap-input" content="${name}">`],
    ['connect-src &#39;none&#39;', 'connect-src &#39;self&#39;'],
  ] as const;
  return places.reduce((text, [from, to]) => {
    // The script comes last, and holds neither before them.
    if (!text.includes(from)) throw new Error(`the inspector's page has no ${from}`);
    return text.replace(from, () => String(to));
  }, page);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
